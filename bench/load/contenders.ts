/**
 * Who is compared: each contender, and how its server is started on a runtime; servers in other languages are built first.
 *
 * @module
 */

import { runCommand } from "../../scripts/command.ts";
import { freePort } from "../../test/support/free_port.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../../test/support/test_certificates.ts";
import type { BenchRuntime, RuntimeName } from "../runtimes.ts";
import { ServerProcess } from "../processes.ts";
import { BACKLOG, type ServerLaunch } from "../servers/launch.ts";
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
  const { target, fields, content, isTls } = scenario;
  const sharedPort = kind === "peer" || name === "native-twice" ? freePort() : 0;
  if (kind === "peer") return await ServerProcess.launchForeign(peers.commands[file]!(sharedPort), sharedPort);
  const launch: Partial<ServerLaunch> = {
    trivet: (kind === "before" ? runtime.trivetBefore : runtime.trivet)!,
    patient,
    handler: scenario.handler,
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
  return await ServerProcess.launchForeign(argv, sharedPort, COPIES[runtime.name], launch);
}

export interface Peers {
  /** The command for a port, by the file of the contender. */
  readonly commands: Readonly<Record<string, (port: number) => string[]>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Those that are left out, and why. */
  readonly missing: readonly string[];
}

const BUILD_DEADLINE_MS = 120_000;
const TITLES: Readonly<Record<string, string>> = {
  beast: "Boost.Beast",
  httplib: "cpp-httplib",
  go: "Go",
  nginx: "nginx",
};

/** Builds the peers whose tools are installed, and keeps what is built for the next run: a minute for a compiler. */
export async function buildPeers(names: readonly string[], beside: string): Promise<Peers> {
  const folder = `${beside}/../trivet-bench-peers`;
  await Deno.mkdir(folder, { recursive: true });
  const commands: Record<string, (port: number) => string[]> = {};
  const versions: Record<string, string> = {};
  const missing: string[] = [];
  const cwd = decodeURIComponent(new URL("../servers/peers", import.meta.url).pathname);
  const options = { cwd, deadlineMs: BUILD_DEADLINE_MS };
  for (const name of names) {
    const title = TITLES[name];
    const make = (target: string) => runCommand(["make", "--silent", `OUT=${folder}`, target], options);
    const { exitCode, output } = await make(`${folder}/${name}`);
    if (exitCode !== 0) {
      missing.push(`${title} is left out, since it can't be built: ${output.trim().split("\n", 1)[0]}`);
      continue;
    }
    commands[name] = name === "nginx" ? (port) => nginx(folder, port) : (port) => [`${folder}/${name}`, `${port}`];
    versions[title] = /\d+[._]\d+([._]\d+)?/.exec((await make(`version-${name}`)).output)?.[0] ?? "";
  }
  return { commands, versions, missing };
}

/** One worker that answers by itself and writes no log. */
function nginx(folder: string, port: number): string[] {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((each) => `${each}_temp_path ${folder};`);
  Deno.writeTextFileSync(
    `${folder}/nginx.conf`,
    `daemon off; master_process off; error_log stderr; pid ${folder}/nginx.pid; events { worker_connections 20000; }
    http { access_log off; keepalive_requests 1000000000; ${paths.join(" ")} default_type "text/plain;charset=UTF-8";
    server { listen 127.0.0.1:${port}; location / { return 200 "Hello, world!"; } } }`,
  );
  return ["nginx", "-e", "stderr", "-c", `${folder}/nginx.conf`, "-p", folder];
}
