/**
 * The handlers that are measured, for every server that takes fetch handlers. They must not know which server calls
 * them, and nothing in them is prepared for the benchmark's own requests.
 */

// deno-lint-ignore-file no-explicit-any -- the types of the packages of npm are not here

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** The global `Response` or a class with its interface. */
export interface ResponseClass {
  new (body?: BodyInit | null, init?: ResponseInit): Response;
  json(value: unknown, init?: ResponseInit): Response;
}

export const HELLO = "Hello, world!";
/** The two fields that "json" and the applications of frameworks add to their answers. */
export const JSON_FIELDS = { "cache-control": "no-store", "x-frame-options": "DENY" } as const;

const CHUNK_BYTES = 64 * 1024;
export const STREAM_BYTES: number = 16 * CHUNK_BYTES;
export const FLOOD_BYTES: number = 1024 ** 3;

/** A chunk of streamed content: every byte tells its place in a chunk, so that a lost or doubled piece shows. */
export const CHUNK: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK_BYTES).map((_, index) => index % 251);

/** A page with some text that is not ASCII. */
export const PAGE: string = "Trivet \u2013 one server, three legs. ".repeat(6_000);
const BLOB = new Blob(Array<Uint8Array<ArrayBuffer>>(16).fill(CHUNK));

/** Another one in each process and each thread. */
export const WHO: string = crypto.randomUUID().slice(0, HELLO.length);

export function describeRequest(url: URL, userAgent: string | null, language: string | null): object {
  return { path: url.pathname, name: url.searchParams.get("name"), userAgent, language };
}

export function greet(id: string): string {
  return `Hello, ${id}!`;
}

/** What makes each handler; those of frameworks need the folder in which the packages of npm are. */
export const MAKERS = {
  hello: (Answer) => () => new Answer(HELLO),
  json: (Answer) => (request) => {
    const { headers } = request;
    const answer = describeRequest(new URL(request.url), headers.get("user-agent"), headers.get("accept-language"));
    return Answer.json(answer, { headers: JSON_FIELDS });
  },
  echo: (Answer) => async (request) => new Answer(await request.arrayBuffer()),
  page: (Answer) => () => new Answer(PAGE),
  blob: (Answer) => () => new Answer(BLOB),
  stream: (Answer) => () => new Answer(streamOf(STREAM_BYTES)),
  count: (Answer) => async (request) => new Answer(String(await countBytes(request))),
  flood: (Answer) => () => new Answer(streamOf(FLOOD_BYTES)),
  who: (Answer) => () => new Answer(WHO),
  "hono-text": (_, packages) => honoApp(packages),
  "hono-json": (_, packages) => honoApp(packages),
  "h3-json": (_, packages) => h3App(packages),
} as const satisfies Record<string, (Answer: ResponseClass, packages: string) => FetchHandler | Promise<FetchHandler>>;

export type HandlerName = keyof typeof MAKERS;

/** A package of npm, or an entry of one, as a module. */
export function importPackage(packages: string, name: string) {
  const path = createRequire(`${packages}/`).resolve(name);
  // Hono has its modules beside the CommonJS that is found first.
  return import(pathToFileURL(path.replace("/dist/cjs/", "/dist/")).href);
}

/** A middleware, and routes with a parameter, as an application has them. */
async function honoApp(packages: string): Promise<FetchHandler> {
  const { Hono } = await importPackage(packages, "hono");
  const app = new Hono();
  app.use(async (c: any, next: () => Promise<void>) => {
    await next();
    c.res.headers.set("x-frame-options", JSON_FIELDS["x-frame-options"]);
  });
  app.get("/text/:id", (c: any) => {
    c.header("cache-control", JSON_FIELDS["cache-control"]);
    return c.text(greet(c.req.param("id")));
  });
  app.get("/users/:id", (c: any) => {
    c.header("cache-control", JSON_FIELDS["cache-control"]);
    return c.json({ id: c.req.param("id"), name: c.req.query("name"), userAgent: c.req.header("user-agent") });
  });
  return (request) => app.fetch(request);
}

async function h3App(packages: string): Promise<FetchHandler> {
  const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
  const { getQuery, H3 } = await importPackage(packages, `h3/${runtime}`);
  const app = new H3();
  app.use((event: any) => void event.res.headers.set("x-frame-options", JSON_FIELDS["x-frame-options"]));
  app.get("/users/:id", (event: any) => {
    event.res.headers.set("cache-control", JSON_FIELDS["cache-control"]);
    const { headers } = event.req;
    return { id: event.context.params.id, name: getQuery(event).name, userAgent: headers.get("user-agent") };
  });
  return (request) => app.fetch(request);
}

/** Content of so many bytes, a whole number of chunks, made when it is asked for. */
export function streamOf(byteLength: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let leftBytes = byteLength;
  return new ReadableStream({
    pull(controller) {
      if (leftBytes === 0) return controller.close();
      leftBytes -= CHUNK_BYTES;
      // A server may take over what it is given, so it gets a chunk of its own.
      controller.enqueue(CHUNK.slice());
    },
  });
}

export async function countBytes({ body }: Request): Promise<number> {
  let byteLength = 0;
  for await (const chunk of body ?? []) byteLength += chunk.byteLength;
  return byteLength;
}
