/**
 * The part of @std that the tests use, loaded when they run.
 *
 * The modules are loaded by names that are no literals, and their types stand here, so that `deno check` and the tests of
 * a machine that does not reach JSR never ask for them.
 *
 * @module
 */

/** `@std/assert`. */
export interface StdAssert {
  assertEquals(actual: unknown, expected: unknown, message?: string): void;
  assertMatch(actual: string, expected: RegExp, message?: string): void;
  assertStringIncludes(actual: string, expected: string, message?: string): void;
}

/** What `route` of `@std/http/unstable-route` takes. */
export interface StdRoute {
  readonly pattern: URLPattern;
  readonly method?: string | readonly string[];
  readonly handler: (request: Request, params: URLPatternResult, info?: unknown) => Response | Promise<Response>;
}

/** `@std/http`, and its router. */
export interface StdHttp {
  serveDir(request: Request, options: Readonly<Record<string, unknown>>): Promise<Response>;
  serveFile(request: Request, path: string): Promise<Response>;
  route(
    routes: readonly StdRoute[],
    otherwise: (request: Request) => Response,
  ): (request: Request, info?: unknown) => Response | Promise<Response>;
  getCookies(headers: Headers): Record<string, string>;
  setCookie(headers: Headers, cookie: Readonly<Record<string, unknown>>): void;
  deleteCookie(headers: Headers, name: string): void;
  eTag(entity: string): Promise<string | undefined>;
  ifNoneMatch(field: string | null, tag: string | undefined): boolean;
  accepts(request: Request, ...types: readonly string[]): string | undefined;
  readonly ServerSentEventStream: new () => TransformStream<Readonly<Record<string, unknown>>, Uint8Array<ArrayBuffer>>;
  readonly ServerSentEventParseStream: new () => TransformStream<Uint8Array, Readonly<Record<string, unknown>>>;
}

/** What the tests use of @std. */
export interface Std {
  readonly assert: StdAssert;
  readonly http: StdHttp;
}

/**
 * Loads the modules.
 *
 * @returns Them, or the reason why they can't be had, in one line.
 */
export async function loadStd(): Promise<Std | string> {
  const names = ["@std/assert", "@std/http", "@std/http/unstable-route"];
  try {
    const [assert, http, router] = await Promise.all(names.map((name) => import(name)));
    return { assert, http: { ...http, route: router.route } };
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
}
