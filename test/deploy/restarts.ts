/**
 * Rolling restarts: three servers behind proxies are restarted one by one under load, and no request may be lost.
 *
 * @module
 */

import { load, type LoadCount } from "./load.ts";
import { freePort } from "../support/free_port.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { PROXIES, type ProxyKind, type RunningProxy, startProxy } from "./proxies.ts";

/** What serves. */
export interface Contender {
  readonly runtime: string;
  readonly model: "event-driven" | "hybrid";
  /** The command that runs the command of this package, without arguments. */
  readonly command: readonly string[];
}

/** What became of the requests through one proxy. */
export interface RestartRow {
  readonly proxy: string;
  readonly runtime: string;
  readonly model: string;
  readonly count: LoadCount;
}

const CLIENTS_PER_PROXY = 6;
/**
 * By default nginx leaves out a server that has refused a connection for 10 s, and finds none when it leaves out all: so
 * long one has to be back before the second one behind it is restarted.
 */
const BACK_MS = 10_500;
const STEP_MS = 500;
/** HAProxy takes a server back after two checks that have passed, which take long on a busy machine. */
const CHECKED_MS = 4_000;
/** What is idle at the proxies is closed then. */
const DRAIN_TIMEOUT_MS = 2_000;
/** Longer than two checks over TLS take. */
const SECURED_DELAY_MS = 2_000;
const DEADLINE_MS = 30_000;
const MODULE = new URL("./app.ts", import.meta.url).pathname;

/** A server that can be restarted. */
class RestartedServer {
  readonly #contender: Contender;
  readonly #port: number;
  readonly #flags: readonly string[];
  #child: Deno.ChildProcess | null = null;
  #output = "";

  constructor(contender: Contender, port: number, flags: readonly string[]) {
    this.#contender = contender;
    this.#port = port;
    this.#flags = flags;
  }

  async start(): Promise<void> {
    const { command: [program, ...args], model } = this.#contender;
    const places = model === "hybrid" ? ["--threads", "2"] : [];
    const where = ["--host", "127.0.0.1", "--port", String(this.#port), "--model", model, ...places];
    const how = ["--health-path", "/health", "--drain-timeout", String(DRAIN_TIMEOUT_MS), "--log", "none"];
    const child = this.#child = new Deno.Command(program, {
      args: [...args, MODULE, ...where, ...how, ...this.#flags],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#output = "";
    this.#read(child.stdout);
    this.#read(child.stderr);
    await this.#until(() => this.#output.includes("Listening on"), "listen");
  }

  /** Sends SIGTERM and waits for the end. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    const { code } = await child.status;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`A server on ${this.#contender.runtime} ended with ${code}:\n${this.#output}`);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this.#output += text;
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    for (const untilMs = Date.now() + DEADLINE_MS; !isSo();) {
      if (Date.now() > untilMs) throw new Error(`A server does not ${what}:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Restarts three servers one by one, all proxies in front of them at once; then three others, for those that speak TLS. */
export async function restartUnderLoad(
  contender: Contender,
  programs: Readonly<Record<ProxyKind["program"], string | null>>,
  folder: string,
): Promise<RestartRow[]> {
  const pair = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  await Deno.writeTextFile(pair.cert, TEST_SERVER_CERT);
  await Deno.writeTextFile(pair.key, TEST_SERVER_KEY);
  const installed = PROXIES.filter(({ program }) => programs[program] !== null);
  const [plain, secured] = [false, true].map((isSecured) => installed.filter((kind) => kind.isSecured === isSecured));
  const secure = ["--tls-cert", pair.cert, "--tls-key", pair.key, "--drain-delay", String(SECURED_DELAY_MS)];
  return [
    ...await restart(contender, programs, folder, plain, []),
    ...await restart(contender, programs, folder, secured, secure),
  ];
}

async function restart(
  contender: Contender,
  programs: Readonly<Record<ProxyKind["program"], string | null>>,
  folder: string,
  kinds: readonly ProxyKind[],
  flags: readonly string[],
): Promise<RestartRow[]> {
  if (kinds.length === 0) return [];
  const ports = [freePort(), freePort(), freePort()];
  const servers = ports.map((port) => new RestartedServer(contender, port, flags));
  const proxies: RunningProxy[] = [];
  const stopping = new AbortController();
  try {
    for (const server of servers) await server.start();
    const loads: [string, Promise<LoadCount>][] = [];
    for (const kind of kinds) {
      const port = freePort();
      proxies.push(await startProxy(kind, programs[kind.program]!, folder, port, ports));
      loads.push([kind.name, load(port, CLIENTS_PER_PROXY, stopping.signal)]);
    }
    await pause(STEP_MS);
    const backAtMs: number[] = [];
    for (const [i, server] of servers.entries()) {
      const isBehindNginx = kinds.some(({ program }) => program === "nginx");
      if (i >= 2 && isBehindNginx) await pause(backAtMs[i - 2] + BACK_MS - Date.now());
      else if (i >= 1) await pause(backAtMs[i - 1] + CHECKED_MS - Date.now());
      await server.stop();
      await server.start();
      backAtMs.push(Date.now());
      await pause(STEP_MS);
    }
    stopping.abort();
    const { runtime, model } = contender;
    return await Promise.all(
      loads.map(async ([proxy, counting]) => ({ proxy, runtime, model, count: await counting })),
    );
  } finally {
    stopping.abort();
    await Promise.allSettled([...proxies, ...servers].map((each) => each.stop()));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
