/**
 * Where an attack takes place: a server of its own, a client that behaves and is timed, and what the system says.
 *
 * @module
 */

import type { ServerStats } from "../../mod.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { ServerProcess } from "../server_process.ts";
import { type Outcome, WireConnection } from "../clients/wire_connection.ts";
import type { Trial } from "../trials.ts";

/** What Trivet says of itself under attack. */
export interface AttackStats {
  readonly stats: ServerStats;
  readonly errors: Readonly<Record<string, number>>;
  readonly warnings: Readonly<Record<string, number>>;
}

/** Whose server is attacked. */
export type Attacked = "trivet" | "native";

/** One attack. */
export interface Attack {
  /** The number of what was found, by which attacks are known. */
  readonly part: number;
  readonly title: string;
  /** Whom it is made against: what needs an option of Trivet has nothing to compare with. */
  readonly against: readonly Attacked[];
  readonly options?: Readonly<Record<string, unknown>>;
  readonly takesModule?: boolean;
  /** Whether errors go where they go without options. */
  readonly printsErrors?: boolean;
  /** How many files the server may have open. */
  readonly openFiles?: number;
  /** Where standard error goes. */
  readonly standardError?: "a full disk" | "a reader that is gone";
  /** What is allowed of Trivet: the worst wait of another client, and memory beyond that of the idle server. */
  readonly maxWaitMs?: number;
  readonly maxMemoryMiB?: number;
  /** How many requests of ordinary clients were answered before the server counts as idle; a few unless given. */
  readonly ordinaryRequests?: number;
  run(site: AttackSite): Promise<AttackOutcome>;
}

/** What an attack found. */
export interface AttackOutcome {
  /** How long another client has waited at most; `null` where none is there. */
  readonly worstWaitMs: number | null;
  /** What was answered, in words. */
  readonly answered: string;
  /** What must not be, whatever the machine: looked at for Trivet only. */
  readonly violations: readonly string[];
  /** What takes too long or costs too much; a quick run may share its machine with anything, and does not look at it. */
  readonly late?: readonly string[];
}

/** How long a client waits that behaves. */
export const PATIENCE_MS = 15_000;
/** A server that was attacked is not waited for as long. */
const LAST_PATIENCE_MS = 5_000;
const PROBE_INTERVAL_MS = 25;
const WARM_UP_REQUESTS = 50;
const ORDINARY_CLIENTS = 16;
const SETTLE_MS = 200;
const MIB = 2 ** 20;

/** A server under attack. */
export class AttackSite {
  readonly server: ServerProcess;
  readonly attacked: Attacked;
  readonly runtime: BenchRuntime;
  readonly isQuick: boolean;

  /** A server that runs. */
  constructor(server: ServerProcess, attacked: Attacked, runtime: BenchRuntime, isQuick: boolean) {
    this.server = server;
    this.attacked = attacked;
    this.runtime = runtime;
    this.isQuick = isQuick;
  }

  /** Connects. */
  connect(): Promise<WireConnection> {
    return WireConnection.open(this.server.port);
  }

  /** Connects so often. */
  connectAll(count: number): Promise<WireConnection[]> {
    return Promise.all(Array.from({ length: count }, () => this.connect()));
  }

  /** Has requests of ordinary clients answered, each behind the one before. */
  async serveOrdinary(requests: number): Promise<void> {
    let left = requests;
    const connections = await this.connectAll(ORDINARY_CLIENTS);
    await Promise.all(connections.map(async (connection) => {
      while (left-- > 0) await connection.exchange(get("/hello"), PATIENCE_MS);
      connection.close();
    }));
  }

  /** Asks once on a connection of its own. */
  async ask(target: string, patienceMs: number = PATIENCE_MS): Promise<Asked> {
    const beganAtMs = performance.now();
    try {
      const connection = await this.connect();
      const outcome = await connection.exchange(get(target), patienceMs);
      connection.close();
      return { outcome, waitMs: performance.now() - beganAtMs };
    } catch {
      return { outcome: { kind: "cut", receivedBytes: 0 }, waitMs: performance.now() - beganAtMs };
    }
  }

  /** Asks again and again, each time on a new connection, while something else happens. */
  async probeDuring<T>(other: Promise<T>): Promise<{ result: T; worstWaitMs: number; asked: Asked[] }> {
    let isOver = false;
    const done = other.finally(() => isOver = true);
    // What is thrown is thrown by the end of this method.
    done.catch(() => {});
    const pending: Promise<Asked>[] = [];
    while (!isOver) {
      pending.push(this.ask("/hello"));
      await rest(PROBE_INTERVAL_MS);
    }
    const asked = await Promise.all(pending);
    return { result: await done, worstWaitMs: Math.max(...asked.map(({ waitMs }) => waitMs)), asked };
  }

  /** What Trivet counts. */
  async stats(): Promise<AttackStats> {
    return await this.server.stats() as AttackStats;
  }
}

/** A request of a client that behaves, and how long it took. */
export interface Asked {
  readonly outcome: Outcome;
  readonly waitMs: number;
}

/** A GET. */
export function get(target: string, ...lines: readonly string[]): string {
  return `GET ${target} HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
}

/** Waits. */
export function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** How outcomes were, in words: `38 x 200, 2 x 503, 1 x cut`. */
export function tally(outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>();
  for (const outcome of outcomes) counts.set(nameOf(outcome), (counts.get(nameOf(outcome)) ?? 0) + 1);
  return [...counts].sort().map(([name, count]) => `${count} x ${name}`).join(", ");
}

/** The status, or what came instead. */
export function nameOf(outcome: Outcome): string {
  if (outcome.kind !== "answered") return outcome.kind;
  if (outcome.status !== 503) return String(outcome.status);
  return outcome.head.includes("\r\nretry-after:") ? "503" : "503 without Retry-After";
}

/** Starts a server, attacks it, and looks at what is left. */
export async function runAttack(
  attack: Attack,
  attacked: Attacked,
  runtime: BenchRuntime,
  isQuick: boolean,
): Promise<Trial> {
  const title = `${attack.part} ${attack.title}: ${attacked === "trivet" ? "Trivet" : "its own"}`;
  let server: ServerProcess;
  try {
    server = await startServer(attack, attacked, runtime);
  } catch (error) {
    const [reason] = /(?:TypeError|RangeError|Error): [^\n]+/.exec(String(error).replace(/^Error: /, "")) ?? [error];
    return trialOf(title, { "another's wait ms": "-", survived: "-" }, [`it did not start: ${firstClause(reason)}`]);
  }
  try {
    const site = new AttackSite(server, attacked, runtime, isQuick);
    await site.serveOrdinary(isQuick ? WARM_UP_REQUESTS : attack.ordinaryRequests ?? WARM_UP_REQUESTS);
    await rest(SETTLE_MS);
    const idleBytes = server.memory().residentBytes;
    server.forgetPeak();
    const cpuBefore = server.cpuTime().seconds;
    const outcome = await attack.run(site).catch((error): AttackOutcome => ({
      worstWaitMs: null,
      answered: "-",
      violations: [`the attack could not go on: ${firstClause(error)}`],
    }));
    const { outcome: last } = await site.ask("/hello", LAST_PATIENCE_MS);
    const left = lookAt(server);
    const survived = left !== null && last.kind === "answered" && last.status === 200;
    const memoryMiB = left === null ? null : (left.peakBytes - idleBytes) / MIB;
    return trialOf(
      title,
      {
        "another's wait ms": outcome.worstWaitMs === null ? "-" : Math.round(outcome.worstWaitMs),
        "memory MiB": memoryMiB === null ? "-" : Math.round(memoryMiB),
        "processor s": left === null ? "-" : (left.cpuSeconds - cpuBefore).toFixed(2),
        answered: outcome.answered,
        survived: survived ? "yes" : "NO",
      },
      attacked === "native" ? [] : [
        ...outcome.violations,
        ...survived ? [] : [`it did not survive, and printed: ${firstLines(server)}`],
        ...tooMuch(
          "the memory",
          "MiB",
          memoryMiB,
          (attack.maxMemoryMiB ?? Infinity) * (isQuick ? QUICK_MEMORY_FACTOR : 1),
        ),
        ...isQuick ? [] : outcome.late ?? [],
        ...isQuick ? [] : tooMuch("another client's wait", "ms", outcome.worstWaitMs, attack.maxWaitMs),
      ],
    );
  } finally {
    await server.stop();
  }
}

/** Starts the server of an attack. */
export function startServer(
  { options = {}, takesModule = false, printsErrors = false, openFiles, standardError }: Attack,
  attacked: Attacked,
  runtime: BenchRuntime,
): Promise<ServerProcess> {
  const limit = openFiles === undefined ? "" : `ulimit -Sn ${openFiles} && ulimit -Hn ${openFiles} && `;
  const redirection = standardError === undefined
    ? ""
    : standardError === "a full disk"
    ? " 2>/dev/full"
    : " 2> >(true)";
  const command = ["bash", "-c", `${limit}exec "$@"${redirection}`, "bash", ...runtime.command];
  return ServerProcess.serve({ ...runtime, command }, {
    serves: attacked === "native" ? "own" : "trivet",
    module: "../attack/attack_handler.ts",
    options,
    asModule: takesModule,
    counted: printsErrors ? [] : ["onError", "onWarning"],
  });
}

/** What it printed, in one line. */
function firstLines({ printedErrors }: ServerProcess): string {
  return printedErrors.replace(/\s+/g, " ").slice(0, 160) || "nothing";
}

/** What an error says, without its lists. */
function firstClause(error: unknown): string {
  return String(error).split(/[,\n]/, 1)[0];
}

/** Memory and time of a process; `null` when it has ended. */
function lookAt(server: ServerProcess): { peakBytes: number; cpuSeconds: number } | null {
  try {
    const { peakBytes } = server.memory();
    return peakBytes === 0 ? null : { peakBytes, cpuSeconds: server.cpuTime().seconds };
  } catch {
    return null;
  }
}

/**
 * A quick run judges memory by this many times the goal: how much of it a collector of young objects takes depends on the
 * machine, and what an attack without a bound costs is more (365 to 1,233 MiB where the goal is 100).
 */
const QUICK_MEMORY_FACTOR = 3;

function tooMuch(what: string, unit: string, found: number | null, max = Infinity): string[] {
  return found === null || found <= max ? [] : [`${what} is ${Math.round(found)} ${unit}, allowed are ${max}`];
}

function trialOf(title: string, figures: Trial["figures"], violations: readonly string[]): Trial {
  return { title, figures, violations, notes: [], details: null };
}
