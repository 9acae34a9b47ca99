/**
 * Who is compared: each contender, and how its server is started on a runtime.
 *
 * @module
 */

import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../../test/support/test_certificates.ts";
import type { BenchRuntime, RuntimeName } from "../runtimes.ts";
import { ServerProcess } from "../processes.ts";
import { BACKLOG, ServerLaunch } from "../servers/launch.ts";
import type { Peers } from "./peers.ts";
import type { Scenario } from "./scenarios.ts";

export interface Contender {
  readonly title: string;
  /** The file of the server, or the program that is built, for all runtimes. */
  readonly file: string;
  readonly launch: Partial<ServerLaunch>;
  /** Trivet, Trivet of another commit, a package of npm, or one server for all runtimes, built or installed. */
  readonly kind?: "trivet" | "before" | "package" | "peer";
}

type Responses = ServerLaunch["responses"];

function trivet(title: string, responses: Responses, more: Partial<ServerLaunch> = {}): Contender {
  return { title: `Trivet, ${title}`, kind: "trivet", file: "server.ts", launch: { responses, ...more } };
}

function before(title: string, responses: Responses): Contender {
  return { ...trivet(title, responses), title: `before, ${title}`, kind: "before" };
}

function other(title: string, launch: Partial<ServerLaunch>, kind?: "package"): Contender {
  return { title, kind, file: "server.ts", launch };
}

function peer(title: string, file: string): Contender {
  return { title, kind: "peer", file, launch: {} };
}

/** Every contender, by the name that `--contender` selects. */
export const CONTENDERS = {
  "trivet": trivet("HttpResponse", "own"),
  "trivet-global": trivet("Response", "global"),
  "trivet-fast": trivet("Response with fast-response", "fast"),
  "before": before("HttpResponse", "own"),
  "before-global": before("Response", "global"),
  "before-fast": before("fast-response", "fast"),
  "native": other("the runtime's own", { serves: "own" }),
  "trivet-thread": trivet("one thread", "own", { options: { model: "hybrid", threads: 1 }, asModule: true }),
  "trivet-loops": trivet("2 loops", "own", { options: { loops: 2 }, asModule: true }),
  "native-twice": other("the runtime's own, 2 processes or threads", { serves: "own" }),
  "srvx": other("srvx, FastResponse", { serves: "srvx", responses: "srvx" }, "package"),
  "srvx-global": other("srvx, Response", { serves: "srvx" }, "package"),
  "hono": other("@hono/node-server", { serves: "hono" }, "package"),
  "bare": { title: "bare sockets, HttpResponse", file: "bare.ts", launch: { responses: "own" } },
  "bare-global": { title: "bare sockets, Response", file: "bare.ts", launch: {} },
  "raw": { title: "raw TCP, fixed response", file: "raw.ts", launch: {} },
  "beast": peer("Boost.Beast, asynchronous", "beast"),
  "httplib": peer("cpp-httplib, 64 threads", "httplib"),
  "go": peer("net/http of Go", "go"),
  "nginx": peer("nginx, return 200", "nginx"),
} as const satisfies Record<string, Contender>;

export type ContenderName = keyof typeof CONTENDERS;

export function contenderOf(name: ContenderName): Contender {
  return CONTENDERS[name];
}

/** Whether a contender can be measured on a runtime, as far as it depends on what was found. */
export function isThere(name: ContenderName, runtime: BenchRuntime, { packages, peers }: Found): boolean {
  const { kind, file } = contenderOf(name);
  if (kind === "package") return runtime.name === "node" && packages !== "";
  if (kind === "before") return runtime.trivetBefore !== null;
  return kind !== "peer" || peers.commands[file] !== undefined;
}

/** What was found beside the runtimes: the folder of packages, or nothing, and servers in other languages. */
export interface Found {
  readonly packages: string;
  readonly peers: Peers;
}

/** How many processes of Bun share a port: the own servers of the others start theirs themselves. */
const COPIES: Readonly<Record<RuntimeName, number>> = { deno: 1, bun: 2, node: 1 };

export async function startContender(
  name: ContenderName,
  scenario: Scenario,
  runtime: BenchRuntime,
  { packages, peers }: Found,
  patient = false,
): Promise<ServerProcess> {
  const { file, launch: own, kind } = contenderOf(name);
  const { target, fields, content, isTls, webSocket } = scenario;
  const sharedPort = kind === "peer" || name === "native-twice" ? freePort() : 0;
  if (kind === "peer") return await ServerProcess.launchForeign(peers.commands[file]!(sharedPort), sharedPort);
  const launch: Partial<ServerLaunch> = {
    trivet: (kind === "before" ? runtime.trivetBefore : runtime.trivet)!,
    patient,
    handler: webSocket === null ? scenario.handler : "ws",
    packages,
    sharedPort,
    tls: isTls ? { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY } : undefined,
    request: { url: `http://127.0.0.1${target}`, fields: { ...fields }, contentBytes: content?.byteLength ?? 0 },
    ...own,
    options: { tcpBacklog: BACKLOG, ...own.options },
  };
  if (name !== "native-twice") return await ServerProcess.launch(runtime, launch, file);
  const [deno] = runtime.command;
  const argv = runtime.name === "deno"
    ? [deno, "serve", "--quiet", "-A", "--no-check", "--no-lock", "--parallel", "--host=127.0.0.1"]
      .concat(`--port=${sharedPort}`, `${runtime.folder}/bench/load/handler_module.ts`)
    : [...runtime.command, `${runtime.folder}/bench/servers/${file}`];
  const shared = { ...new ServerLaunch(), ...launch };
  return await ServerProcess.launchForeign(argv, sharedPort, COPIES[runtime.name], shared);
}

function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}
