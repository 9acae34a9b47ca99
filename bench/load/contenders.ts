/** Who is compared, and how the server of each is started on a runtime; those in other languages are built first. */

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

function contender(
  title: string,
  launch: Contender["launch"],
  kind?: Contender["kind"],
  file = "server.ts",
): Contender {
  return { title, launch, kind, file };
}

function trivet(title: string, responses: ServerLaunch["responses"], more: Contender["launch"] = {}): Contender {
  return contender(`Trivet, ${title}`, { responses, ...more }, "trivet");
}

export const CONTENDERS = {
  "trivet": trivet("HttpResponse", "own"),
  "trivet-global": trivet("Response", "global"),
  "trivet-fast": trivet("Response with fast-response", "fast"),
  "before": contender("before, HttpResponse", { responses: "own" }, "before"),
  "before-global": contender("before, Response", { responses: "global" }, "before"),
  "before-fast": contender("before, fast-response", { responses: "fast" }, "before"),
  "native": contender("the runtime's own", { serves: "own" }),
  "trivet-thread": trivet("one thread", "own", { options: { model: "hybrid", threads: 1 }, asModule: true }),
  "trivet-loops": trivet("2 loops", "own", { options: { loops: 2 }, asModule: true }),
  "native-twice": contender("the runtime's own, 2 processes or threads", { serves: "own" }),
  "srvx": contender("srvx, FastResponse", { serves: "srvx", responses: "srvx" }, "package"),
  "srvx-global": contender("srvx, Response", { serves: "srvx" }, "package"),
  "hono": contender("@hono/node-server", { serves: "hono" }, "package"),
  "bare": contender("bare sockets, HttpResponse", { responses: "own" }, undefined, "bare.ts"),
  "bare-global": contender("bare sockets, Response", {}, undefined, "bare.ts"),
  "raw": contender("raw TCP, fixed response", {}, undefined, "raw.ts"),
  "beast": contender("Boost.Beast, asynchronous", {}, "peer", "Boost.Beast"),
  "httplib": contender("cpp-httplib, 64 threads", {}, "peer", "cpp-httplib"),
  "go": contender("net/http of Go", {}, "peer", "Go"),
  "nginx": contender("nginx, return 200", {}, "peer", "nginx"),
};

export type ContenderName = keyof typeof CONTENDERS;

/** What was chosen for a run, and found for it. */
export interface Method {
  readonly contenders: readonly ContenderName[];
  /** The folder of the packages of npm, or nothing. */
  readonly packages: string;
  readonly peers: Peers;
  /** For files of the run. */
  readonly folder: string;
  readonly node: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly starts: number;
  /** Seconds of load before the first round, in which each content is compared. */
  readonly warmUpSeconds: number;
  /** Requests that are to be answered before the first round; what has no compiler needs none of them. */
  readonly warmUpRequests: number;
}

/** Whether a contender is chosen, and can be measured on a runtime as far as it depends on what was found. */
export function isThere(name: ContenderName, runtime: BenchRuntime, { contenders, packages, peers }: Method): boolean {
  const { kind, file } = CONTENDERS[name];
  if (!contenders.includes(name)) return false;
  if (kind === "package") return runtime.name === "node" && packages !== "";
  if (kind === "before") return runtime.trivetBefore !== null;
  return kind !== "peer" || peers.programs[file] !== undefined;
}

/** How many processes of Bun share a port: the own servers of the others start theirs themselves. */
const COPIES: Readonly<Record<RuntimeName, number>> = { deno: 1, bun: 2, node: 1 };

export async function startContender(
  name: ContenderName,
  scenario: Scenario,
  runtime: BenchRuntime,
  { packages, peers }: Method,
  patient = false,
): Promise<ServerProcess> {
  const { file, launch: own, kind } = CONTENDERS[name];
  const { target, fields, content, isTls } = scenario;
  const sharedPort = kind === "peer" || name === "native-twice" ? freePort() : 0;
  if (kind === "peer") return await ServerProcess.launchForeign([peers.programs[file], `${sharedPort}`], sharedPort);
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
  /** The program, which is told its port, by the file of the contender. */
  readonly programs: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Those that are left out, and why. */
  readonly missing: readonly string[];
}

const BUILD_DEADLINE_MS = 120_000;
/** Builds the peers whose tools are installed, and keeps what is built for the next run: a minute for a compiler. */
export async function buildPeers(names: readonly string[], beside: string): Promise<Peers> {
  const folder = `${beside}/../trivet-bench-peers`;
  await Deno.mkdir(folder, { recursive: true });
  const [programs, versions]: Record<string, string>[] = [{}, {}];
  const missing: string[] = [];
  const cwd = decodeURIComponent(new URL("../servers/peers", import.meta.url).pathname);
  const make = (target: string) =>
    runCommand(["make", "--silent", `OUT=${folder}`, target], { cwd, deadlineMs: BUILD_DEADLINE_MS });
  for (const name of names) {
    const { exitCode, output } = await make(`${folder}/${name}`);
    if (exitCode !== 0) {
      missing.push(`${name} is left out, since it can't be built: ${output.trim().split("\n", 1)[0]}`);
      continue;
    }
    programs[name] = `${folder}/${name}`;
    versions[name] = /\d+[._]\d+([._]\d+)?/.exec((await make(`version-${name}`)).output)?.[0] ?? "";
  }
  return { programs, versions, missing };
}
