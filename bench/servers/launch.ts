/**
 * How a server is told what to serve, and how a child program, server or client, does what it is told and ends: with
 * its standard input, which ends with the program that started it, and after its lifetime in any case.
 */

import type { AddressInfo, Server } from "node:net";
import process from "node:process";
import type { HandlerName } from "../load/handlers.ts";

/** What a server is told, as JSON in its environment, where its threads see it too. */
export class ServerLaunch {
  readonly serves: "trivet" | "own" | "hono" | "srvx" = "trivet";
  /** The URL of the module of Trivet: its source, or what was emitted for Node. */
  readonly trivet: string = "";
  /** The module of the handler, beside this folder, and whether Trivet is handed the module and not its function. */
  readonly module: string = "../load/handler_module.ts";
  readonly asModule: boolean = false;
  readonly options: Readonly<Record<string, unknown>> = {};
  /** Of Trivet's errors and warnings those that are not printed. */
  readonly silent: readonly ("onError" | "onWarning")[] = [];
  /** Whether connections may be idle or slow for as long as the measurement takes. */
  readonly patient: boolean = false;
  /** Of the handlers of the load benchmark: which one, or that of WebSockets. */
  readonly handler?: HandlerName | "ws";
  /** Which class makes the responses: Trivet's, the global one, the global one once it is Trivet's, or that of srvx. */
  readonly responses: "own" | "global" | "fast" | "srvx" = "global";
  /** The folder in which the packages of npm were installed, if they are needed. */
  readonly packages: string = "";
  /** Whether nothing but a leak is to keep the process alive when its input has ended. */
  readonly endsByItself: boolean = false;
  /** Where handlers of the soak write down that they are called. */
  readonly journal: string = "";
  /** Where to listen when others listen there too: then it is one of several processes. */
  readonly sharedPort: number = 0;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** The request that will come, for a server that parses none. */
  readonly request: { readonly url: string; readonly fields: Record<string, string>; readonly contentBytes: number } = {
    url: "",
    fields: {},
    contentBytes: 0,
  };
}

export const HOSTNAME = "127.0.0.1";
/** Room for thousands of clients that connect at the same time, where the own default has less. */
export const BACKLOG = 4_096;
/** Nothing that is measured takes longer. */
const LIFETIME_MS = 20 * 60_000;

// deno-lint-ignore no-explicit-any -- the types of Bun are not here, and those of its garbage collection nowhere
export const { Bun, gc } = globalThis as any;

export function readLaunch(): ServerLaunch {
  return { ...new ServerLaunch(), ...JSON.parse(process.env.BENCH_LAUNCH ?? "{}") };
}

/** Tells the port, does from now on what it is told, and listens for the end. */
export function announce(port: number, commands: Commands = {}): void {
  const { sharedPort, endsByItself } = readLaunch();
  // One of several processes is ended by what started them.
  if (sharedPort > 0) setTimeout(() => process.exit(1), LIFETIME_MS).unref();
  else obey({ collect: collectGarbage, ...commands }, endsByItself ? 0 : LIFETIME_MS);
  console.log(JSON.stringify({ port }));
}

export function listenOnNode(server: Server, port = 0): void {
  const tell = () => announce((server.address() as AddressInfo).port);
  server.listen({ port, host: HOSTNAME, backlog: BACKLOG }, tell);
}

/** Needs `--expose-gc` on V8. */
export function collectGarbage(): void {
  if (Bun !== undefined) Bun.gc(true);
  else gc?.();
}

export type Commands = Readonly<Record<string, (...words: string[]) => unknown>>;

/**
 * Does what each line of standard input says, a command and its words, and answers with a line of JSON, which has an
 * `error` where the command has failed.
 *
 * @param lifetimeMs When the process ends in any case; where it is given, the process ends with its input, too.
 */
export function obey(commands: Commands, lifetimeMs = 0): void {
  // The next line comes when this one was answered, and no line is long.
  process.stdin.on("data", async (bytes: Uint8Array) => {
    const [command, ...words] = new TextDecoder().decode(bytes).trim().split(" ");
    try {
      console.log(JSON.stringify(await commands[command](...words) ?? null));
    } catch (error) {
      console.log(JSON.stringify({ error: String((error as Error).stack ?? error) }));
    }
  });
  if (lifetimeMs === 0) return;
  process.stdin.on("end", () => process.exit(0));
  setTimeout(() => process.exit(1), lifetimeMs).unref();
}
