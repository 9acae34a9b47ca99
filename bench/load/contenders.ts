/**
 * Who is compared: each contender, and how its server is started on a runtime.
 *
 * @module
 */

import { runCommand } from "../../scripts/command.ts";
import type { BenchRuntime, RuntimeName } from "../runtimes.ts";
import { ServerProcess } from "../server_process.ts";
import type { ServerLaunch } from "../servers/launch.ts";
import type { Scenario } from "./scenarios.ts";

/** A server that is compared with others. */
export interface Contender {
  readonly title: string;
  /** The file of the server, or the program that is built, for all runtimes. */
  readonly file: string;
  readonly launch: Partial<ServerLaunch>;
  readonly isTrivet?: true;
  /** Whether it is another state of the source of Trivet. */
  readonly isBefore?: true;
  /** Whether it comes from npm. */
  readonly isPackage?: true;
  /** The runtimes it is measured on; all unless told otherwise. */
  readonly on?: readonly RuntimeName[];
  /** Whether it is one server for all runtimes: what it was built with is looked for in the list of peers. */
  readonly isPeer?: true;
}

const TRIVET = { file: "server.ts", isTrivet: true } as const;
const BEFORE = { ...TRIVET, isBefore: true } as const;
const OF_NPM = { file: "server.ts", isPackage: true, on: ["node"] } as const;

function trivet(title: string, launch: Partial<ServerLaunch>): Contender {
  return { ...TRIVET, title: `Trivet, ${title}`, launch: { serves: "trivet", ...launch } };
}

/** Every contender, by the name that `--contender` selects. */
export const CONTENDERS = {
  "trivet": trivet("HttpResponse", { responses: "own" }),
  "trivet-global": trivet("Response", { responses: "global" }),
  "trivet-fast": trivet("Response with fast-response", { responses: "fast" }),
  "before": { ...BEFORE, title: "before, HttpResponse", launch: { serves: "trivet", responses: "own" } },
  "before-global": { ...BEFORE, title: "before, Response", launch: { serves: "trivet", responses: "global" } },
  "before-fast": { ...BEFORE, title: "before, fast-response", launch: { serves: "trivet", responses: "fast" } },
  "native": { title: "the runtime's own", file: "server.ts", launch: { serves: "own" } },
  "trivet-thread": trivet("one thread", {
    responses: "own",
    options: { model: "hybrid", threads: 1 },
    asModule: true,
  }),
  "trivet-loops": trivet("2 loops", { responses: "own", options: { loops: 2 }, asModule: true }),
  "native-twice": { title: "the runtime's own, 2 processes or threads", file: "server.ts", launch: { serves: "own" } },
  "srvx": { ...OF_NPM, title: "srvx, FastResponse", launch: { serves: "srvx", responses: "srvx" } },
  "srvx-global": { ...OF_NPM, title: "srvx, Response", launch: { serves: "srvx" } },
  "hono": { ...OF_NPM, title: "@hono/node-server", launch: { serves: "hono" } },
  "bare": { title: "bare sockets, HttpResponse", file: "bare.ts", launch: { responses: "own" } },
  "bare-global": { title: "bare sockets, Response", file: "bare.ts", launch: {} },
  "raw": { title: "raw TCP, fixed response", file: "raw.ts", launch: {} },
  "beast": { title: "Boost.Beast, asynchronous", file: "beast", launch: {}, isPeer: true },
  "httplib": { title: "cpp-httplib, 64 threads", file: "httplib", launch: {}, isPeer: true },
  "go": { title: "net/http of Go", file: "go", launch: {}, isPeer: true },
  "nginx": { title: "nginx, return 200", file: "nginx", launch: {}, isPeer: true },
} as const satisfies Record<string, Contender>;

/** The name of a contender. */
export type ContenderName = keyof typeof CONTENDERS;

/** A contender by its name. */
export function contenderOf(name: ContenderName): Contender {
  return CONTENDERS[name];
}

const PROCESSES = 2;

/** Starts the server of a contender. */
export async function startContender(
  name: ContenderName,
  scenario: Pick<Scenario, "handler" | "target" | "fields" | "content"> & { readonly patient?: boolean },
  runtime: BenchRuntime,
  { packages, peers }: { packages: string; peers: Peers },
): Promise<ServerProcess> {
  const { file, launch: own, isBefore, isPeer } = contenderOf(name);
  const { handler, target, fields, content, patient = false } = scenario;
  const sharedPort = isPeer || name === "native-twice" ? freePort() : 0;
  if (isPeer) return await ServerProcess.launchForeign(peers.commands[file]!(sharedPort), sharedPort);
  const launch: ServerLaunch = {
    serves: "trivet",
    trivet: (isBefore ? runtime.trivetBefore : runtime.trivet)!,
    module: "../load/handler_module.ts",
    options: {},
    asModule: false,
    patient,
    handler,
    responses: "global",
    packages,
    sharedPort,
    request: { url: `http://127.0.0.1${target}`, fields: { ...fields }, contentBytes: content?.byteLength ?? 0 },
    ...own,
  };
  if (name !== "native-twice") return await ServerProcess.launch(runtime, file, launch);
  const [deno] = runtime.command;
  const argv = runtime.name === "deno"
    ? [deno, "serve", "--quiet", "-A", "--no-check", "--no-lock", "--parallel", "--host=127.0.0.1"]
      .concat(`--port=${sharedPort}`, `${runtime.folder}/bench/load/handler_module.ts`)
    : [...runtime.command, `${runtime.folder}/bench/servers/${file}`];
  const copies = runtime.name === "bun" ? PROCESSES : 1;
  return await ServerProcess.launchForeign(argv, sharedPort, copies, launch);
}

/** A port that is free now. */
function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return listener.addr.port;
}

/** Servers that are not of JavaScript. */
export interface Peers {
  /** The command for a port, by the file of the contender. */
  readonly commands: Readonly<Record<string, (port: number) => string[]>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Those that are left out, and why. */
  readonly missing: readonly string[];
}

/** No peers. */
export const NO_PEERS: Peers = { commands: {}, versions: {}, missing: [] };

const BUILD_DEADLINE_MS = 120_000;
/** How each is built into `$1` from the folder of sources, unless it is there, and what prints its version. */
const PEER_BUILDS: Readonly<Record<string, { build: string; version: string; title: string }>> = {
  beast: {
    title: "Boost.Beast",
    build: '[ "$1/beast" -nt beast.cpp ] || g++ -std=c++17 -O2 -o "$1/beast" beast.cpp -pthread',
    version: "sed -n 's/.*BOOST_LIB_VERSION \"\\(.*\\)\"/\\1/p' /usr/include/boost/version.hpp",
  },
  httplib: {
    title: "cpp-httplib",
    build: '[ "$1/httplib" -nt httplib.cpp ] || g++ -std=c++17 -O2 -o "$1/httplib" httplib.cpp -pthread -lcpp-httplib',
    version: "sed -n 's/#define CPPHTTPLIB_VERSION \"\\(.*\\)\"/\\1/p' /usr/include/httplib.h",
  },
  go: {
    title: "Go",
    build: '[ "$1/go" -nt net_http.go ] || GO111MODULE=off go build -o "$1/go" net_http.go',
    version: "go version",
  },
  nginx: {
    title: "nginx",
    build: "command -v nginx || { echo nginx: command not found; false; }",
    version: "nginx -v 2>&1",
  },
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
    const { title, build, version } = PEER_BUILDS[name];
    const { exitCode, output } = await runCommand(["bash", "-c", build, "bash", folder], options);
    if (exitCode !== 0) {
      missing.push(`${title} is left out, since it can't be built: ${output.trim().split("\n", 1)[0]}`);
      continue;
    }
    commands[name] = name === "nginx" ? (port) => nginx(folder, port) : (port) => [`${folder}/${name}`, `${port}`];
    versions[title] = /\d+[._]\d+([._]\d+)?/.exec((await runCommand(["bash", "-c", version], options)).output)?.[0] ??
      "";
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
