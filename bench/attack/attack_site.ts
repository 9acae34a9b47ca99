/** Where an attack takes place: a server of its own, a client that behaves and is timed, and what the system says. */

import { setTimeout as rest } from "node:timers/promises";
import { get, type Outcome, WireConnection } from "../../test/support/wire_connection.ts";
import { figure, messageOf, timesEach, type Trial } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import { ServerProcess } from "../processes.ts";

export interface Attack {
  /** The number of what was found, by which attacks are known. */
  readonly part: number;
  readonly title: string;
  /** Whether the runtime's own server is attacked too: what needs an option of Trivet has nothing to compare with. */
  readonly alsoNative?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Whether Trivet is handed the handler's module; models with threads are, and loops. */
  readonly takesModule?: boolean;
  /** Whether errors go where they go without options. */
  readonly printsErrors?: boolean;
  /** What bash does with the command of the server. */
  readonly shell?: string;
  /** What is allowed of Trivet: the worst wait of another client, and memory beyond that of the idle server. */
  readonly maxWaitMs?: number;
  readonly maxMemoryMiB?: number;
  /** How what is asked for may end: with a status, or with the status 503 and a Retry-After. */
  readonly allowed?: readonly string[];
  /** How many requests of ordinary clients were answered before the server counts as idle; a few unless given. */
  readonly ordinaryRequests?: number;
  run(site: AttackSite): Promise<AttackOutcome>;
}

interface AttackOutcome {
  readonly worstWaitMs?: number;
  readonly answered: string;
  /** What each exchange of the attack has ended with, to compare with what is allowed. */
  readonly names?: readonly string[];
  /** What must not be, whatever the machine: looked at for Trivet only. */
  readonly violated?: Verdict;
  /** What takes too long or costs too much; a quick run may share its machine with anything, and does not look at it. */
  readonly late?: Verdict;
}

type Verdict = string | false;

export const PATIENCE_MS = 15_000;
const LAST_PATIENCE_MS = 5_000;
const PROBE_INTERVAL_MS = 25;
const WARM_UP_REQUESTS = 50;
const ORDINARY_CLIENTS = 16;
const SETTLE_MS = 200;
/**
 * A quick run judges memory by this many times the goal: how much of it a collector of young objects takes depends on the
 * machine, and what an attack without a bound costs is more (365 to 1,233 MiB where the goal is 100).
 */
const QUICK_MEMORY_FACTOR = 3;

/** What came of some requests: how each has ended, in one line how all have, and the longest wait. */
type Asked = ReturnType<typeof together> & { readonly waitMs: number };

export class AttackSite {
  readonly server: ServerProcess;
  readonly runtime: BenchRuntime;
  readonly isQuick: boolean;

  constructor(server: ServerProcess, runtime: BenchRuntime, isQuick: boolean) {
    [this.server, this.runtime, this.isQuick] = [server, runtime, isQuick];
  }

  /** Opens so many connections, which are closed at the end of the scope that uses them. */
  async open(count = 1): Promise<WireConnection[] & Disposable> {
    const connections = await Promise.all(Array.from({ length: count }, () => WireConnection.open(this.server.port)));
    return Object.assign(connections, { [Symbol.dispose]: () => connections.forEach((each) => each.close()) });
  }

  async exchange(request: string, patienceMs: number, content?: Uint8Array): Promise<Outcome> {
    using connections = await this.open();
    return await connections[0].exchange(request, patienceMs, content);
  }

  /**
   * Asks so often, with so many requests under way at a time, all at once unless given: each on a new connection, or on
   * kept ones the next when the last was answered.
   */
  async ask(
    target: string,
    options: { count?: number; atOnce?: number; patienceMs?: number; isKept?: boolean; lines?: string[] } = {},
  ): Promise<Asked> {
    const { count = 1, atOnce = count, patienceMs = PATIENCE_MS, isKept = false, lines = [] } = options;
    const request = get(target, ...lines);
    using kept = await this.open(isKept ? atOnce : 0);
    const outcomes: Outcome[] = [];
    let [left, waitMs] = [count, 0];
    await Promise.all(Array.from({ length: atOnce }, async (_, at) => {
      while (left-- > 0) {
        const beganAtMs = performance.now();
        const exchange = isKept ? kept[at].exchange(request, patienceMs) : this.exchange(request, patienceMs);
        outcomes.push(await exchange.catch((): Outcome => ({ kind: "cut", receivedBytes: 0 })));
        waitMs = Math.max(waitMs, performance.now() - beganAtMs);
      }
    }));
    return { ...together(outcomes), waitMs };
  }

  /** Asks until so many requests in a row were served, and gives the time it took; within a bound. */
  async untilServed(limitMs: number, patienceMs: number, inRow = 1): Promise<number> {
    const beganAtMs = performance.now();
    for (let served = 0; served < inRow && performance.now() - beganAtMs < limitMs;) {
      served = (await this.ask("/hello", { patienceMs })).answered === "1 x 200" ? served + 1 : 0;
      if (served === 0) await rest(PROBE_INTERVAL_MS);
    }
    return performance.now() - beganAtMs;
  }

  async probeDuring<T>(other: Promise<T>): Promise<{ result: T; worstWaitMs: number }> {
    let isOver = false;
    const done = other.finally(() => isOver = true);
    // What is thrown is thrown by the end of this method.
    done.catch(() => {});
    const pending: Promise<Asked>[] = [];
    while (!isOver) {
      pending.push(this.ask("/hello"));
      await rest(PROBE_INTERVAL_MS);
    }
    const worstWaitMs = Math.max(...(await Promise.all(pending)).map(({ waitMs }) => waitMs));
    return { result: await done, worstWaitMs };
  }
}

export function together(outcomes: readonly Outcome[]) {
  const names = outcomes.map(nameOf);
  return { outcomes, names, answered: timesEach(names.toSorted()).join(", ") };
}

export function nameOf(outcome: Outcome): string {
  if (outcome.kind !== "answered") return outcome.kind;
  if (outcome.status !== 503) return String(outcome.status);
  return outcome.head.includes("\r\nretry-after:") ? "503" : "503 without Retry-After";
}

export async function runAttack(
  attack: Attack,
  serves: "trivet" | "own",
  isQuick: boolean,
  runtime: BenchRuntime,
): Promise<Trial[]> {
  const { options = {}, takesModule = false, printsErrors = false, shell = 'exec "$@"' } = attack;
  await using server = await ServerProcess.launch({
    ...runtime,
    command: ["bash", "-c", shell, "bash", ...runtime.command],
  }, {
    serves,
    module: "routes.ts",
    options,
    asModule: takesModule,
    silent: printsErrors ? [] : ["onError", "onWarning"],
  });
  const site = new AttackSite(server, runtime, isQuick);
  const ordinaryRequests = isQuick ? WARM_UP_REQUESTS : attack.ordinaryRequests ?? WARM_UP_REQUESTS;
  await site.ask("/hello", { count: ordinaryRequests, atOnce: ORDINARY_CLIENTS, isKept: true });
  await rest(SETTLE_MS);
  const idleBytes = server.memory().residentBytes;
  server.forgetPeak();
  const cpuBefore = server.cpuTime().seconds;
  const { answered, worstWaitMs, names = [], violated = false, late = false } = await attack.run(site).catch(
    (error): AttackOutcome => ({
      answered: "-",
      violated: `the attack could not go on: ${messageOf(error).split(/[,\n]/, 1)[0]}`,
    }),
  );
  const survived = (await site.ask("/hello", { patienceMs: LAST_PATIENCE_MS })).answered === "1 x 200";
  const { allowed = names } = attack;
  const others = names.filter((name) => !allowed.includes(name)).length;
  const { peakBytes } = server.memory();
  const memoryMiB = (peakBytes - idleBytes) / 2 ** 20;
  const maxMemoryMiB = (attack.maxMemoryMiB ?? Infinity) * (isQuick ? QUICK_MEMORY_FACTOR : 1);
  const printed = server.printedErrors.replace(/\s+/g, " ").slice(0, 160) || "nothing";
  const wrong: readonly Verdict[] = [
    violated,
    others > 0 && `${others} of ${names.length} did not get ${allowed.join(" or ")}`,
    !survived && `it did not survive, and printed: ${printed}`,
    tooMuch("the memory", "MiB", memoryMiB, maxMemoryMiB),
    !isQuick && late,
    !isQuick && tooMuch("another client's wait", "ms", worstWaitMs, attack.maxWaitMs),
  ];
  const figures = {
    "another's wait ms": figure(worstWaitMs) || "-",
    "memory MiB": figure(memoryMiB) || "-",
    "processor s": peakBytes > 0 ? (server.cpuTime().seconds - cpuBefore).toFixed(2) : "-",
    answered,
    survived: survived ? "yes" : "NO",
  };
  return [{ figures, problems: serves === "own" ? [] : wrong.filter((each) => each !== false) }];
}

function tooMuch(what: string, unit: string, found = 0, max = Infinity): Verdict {
  return found > max && `${what} is ${Math.round(found)} ${unit}, allowed are ${max}`;
}
