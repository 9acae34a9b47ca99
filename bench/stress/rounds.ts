/**
 * Starts and stops servers again and again in one process, and looks for what they leave behind.
 *
 * @module
 */

import { ChildProgram } from "../child_program.ts";
import type { BenchRuntime } from "../contenders.ts";
import type { ProcessSample } from "./process_sample.ts";
import { STREAM_CHUNK_BYTES, STREAM_CHUNKS } from "./rounds_handler.ts";
import type { RoundReport, RoundsLaunch } from "./rounds_server.ts";
import { type Outcome, StressConnection } from "./stress_connection.ts";
import type { StressCase, StressOptions, StressProgram, Trial } from "./trial.ts";

/** A model, and what of its contract matters for a round. */
interface Contestant {
  readonly title: string;
  readonly options: Readonly<Record<string, string | number>>;
  readonly asModule: boolean;
  /** Whether connections persist, so that one can be idle when the stop begins. */
  readonly persists: boolean;
  /** Whether a further connection waits in line while a request is under way. */
  readonly queues: boolean;
}

const CONTESTANTS: readonly Contestant[] = [
  model("blocking", { model: "blocking" }, { persists: false, queues: true }),
  model("worker-pool, function", { model: "worker-pool", workers: 3 }, {}),
  model("worker-pool, 3 threads", { model: "worker-pool", workers: 3 }, { asModule: true }),
  model("event-driven", { model: "event-driven" }, {}),
  model("event-driven, 2 loops", { model: "event-driven", loops: 2 }, { asModule: true }),
  model("hybrid, 2 threads", { model: "hybrid", threads: 2 }, { asModule: true }),
];

/** Rounds before anything is measured: code is compiled, and allocators and pools of threads reach their size. */
const WARM_UP_ROUNDS = 20;
const QUICK_ROUNDS = 10;
const QUICK_WARM_UP_ROUNDS = 3;
/** Between the first and the last measurement of memory there are so many more. */
const SAMPLES = 4;
/** Of so many rounds, one is ended by a stop during a graceful one. */
const CUT_EVERY = 5;
/** Longer than it takes to begin the stop. */
const HELD_MS = 50;
/** Far longer than a round: only being cut off ends it. */
const HELD_FOR_EVER_MS = 60_000;
const PATIENCE_MS = 10_000;
const UPLOAD_BYTES = 100_000;
const MAX_VIOLATIONS = 20;

/**
 * The bounds of what may be left. A leak of one thing in each round shows as many as there are rounds; what runtimes do
 * by themselves (a thread more in a pool, a descriptor of a cache) is far less.
 */
const MAX_MORE_THREADS = 3;
const MAX_MORE_SOCKETS = 0;
const MAX_MORE_DESCRIPTORS = 3;
/**
 * In the second half of the rounds, when allocators have settled. Code that is compiled meanwhile takes 2 to 7 KiB a
 * round; servers that were kept on purpose took 18 KiB on Node and 42 KiB on Bun.
 */
const MAX_HEAP_BYTES_PER_ROUND = 12 * 1024;
const MAX_RESIDENT_BYTES_PER_ROUND = 256 * 1024;
/** A process that nothing keeps alive is gone well within this. */
const MAX_END_MS = 1_500;

const MIB = 1024 ** 2;

/** The program. */
export const ROUNDS: StressProgram = {
  name: "rounds",
  title: "Start and stop",
  describe: ({ rounds, isQuick }) =>
    `${isQuick ? QUICK_ROUNDS : rounds} servers are started and stopped one after another in one process, after ` +
    `${
      isQuick ? QUICK_WARM_UP_ROUNDS : WARM_UP_ROUNDS
    } more to warm up. Each gets a few requests: text, content that ` +
    `comes back, a stream, an upload of ${UPLOAD_BYTES} bytes. When it is told to stop one handler is under way, which ` +
    "has to be waited for, one connection is idle, which has to be closed, and in the model blocking one waits in " +
    `line, which has to get a 503. Every ${CUT_EVERY}th graceful stop is overtaken by a hard one while a handler holds ` +
    "its request. Threads and descriptors are those of the operating system; memory is measured after garbage " +
    `collection. At most ${MAX_MORE_THREADS} threads, ${MAX_MORE_DESCRIPTORS} descriptors and no socket may be more ` +
    `than after the warm-up; in the second half the heap may grow by ${MAX_HEAP_BYTES_PER_ROUND / 1024} KiB a round ` +
    `and resident memory by ${MAX_RESIDENT_BYTES_PER_ROUND / 1024} KiB. At last the process has to end by itself.`,
  cases: CONTESTANTS.map((contestant): StressCase => ({
    title: contestant.title,
    run: (runtime, options, say) => new RoundsTrial(contestant, runtime, options).run(say),
  })),
};

function model(
  title: string,
  options: Contestant["options"],
  further: Partial<Pick<Contestant, "asModule" | "persists" | "queues">>,
): Contestant {
  return { title, options, asModule: false, persists: true, queues: false, ...further };
}

/** All rounds of one model on one runtime. */
class RoundsTrial {
  readonly #contestant: Contestant;
  readonly #rounds: number;
  readonly #warmUpRounds: number;
  readonly #program: ChildProgram;
  readonly #violations: string[] = [];
  #threadsAtStop = 0;
  #longestStopMs = 0;

  constructor(contestant: Contestant, runtime: BenchRuntime, { rounds, isQuick }: StressOptions) {
    this.#contestant = contestant;
    this.#rounds = isQuick ? QUICK_ROUNDS : rounds;
    this.#warmUpRounds = isQuick ? QUICK_WARM_UP_ROUNDS : WARM_UP_ROUNDS;
    const { options, asModule } = contestant;
    const launch: RoundsLaunch = { trivet: runtime.trivet, options, asModule };
    const path = decodeURIComponent(new URL("rounds_server.ts", import.meta.url).pathname);
    this.#program = new ChildProgram([...runtime.command, path, JSON.stringify(launch)]);
  }

  async run(say: (line: string) => void): Promise<Trial> {
    const samples: ProcessSample[] = [];
    const startMs = performance.now();
    let endMs = Infinity;
    try {
      for (let round = 0; round < this.#warmUpRounds; round++) await this.#runRound(round);
      samples.push(await this.#ask<ProcessSample>("measure"));
      for (let part = 0; part < SAMPLES; part++) {
        const until = Math.round(this.#rounds * (part + 1) / SAMPLES);
        for (let round = Math.round(this.#rounds * part / SAMPLES); round < until; round++) await this.#runRound(round);
        samples.push(await this.#ask<ProcessSample>("measure"));
        say(`${until} rounds, ${mib(samples[samples.length - 1].residentBytes)} MiB`);
      }
    } catch (error) {
      this.#violations.push(error instanceof Error ? error.message : String(error));
    } finally {
      const stopBeganMs = performance.now();
      await this.#program.stop();
      endMs = performance.now() - stopBeganMs;
    }
    const seconds = (performance.now() - startMs) / 1000;
    return this.#conclude(samples, endMs, seconds);
  }

  async #runRound(round: number): Promise<void> {
    const { persists, queues } = this.#contestant;
    const isCut = round % CUT_EVERY === CUT_EVERY - 1;
    const { port } = await this.#ask<{ port: number }>("start");
    await this.#serveAFew(port);
    const idle = persists ? await this.#openIdle(port) : null;
    const held = await StressConnection.open(port);
    await held.send(get(`/held?${isCut ? HELD_FOR_EVER_MS : HELD_MS}`));
    this.#expect(await held.informationalStatus(PATIENCE_MS) === 103, "a handler that holds its request did not begin");
    const waiting = queues ? await this.#openInLine(port) : null;
    const stopped = this.#ask<RoundReport>(isCut ? "cut" : "drain");
    await Promise.all([
      this.#awaitHeld(held, isCut),
      idle === null ? null : this.#awaitClose(idle),
      waiting === null ? null : this.#awaitRefusal(waiting, isCut),
    ]);
    const report = await stopped;
    // The one that is idle or waits in line may have closed in order before a hard stop.
    this.#expect(isCut ? report.aborted > 0 : report.aborted === 0, `a stop reported ${JSON.stringify(report)}`);
    this.#expect(await refusesConnections(port), "a stopped server accepts connections");
    this.#threadsAtStop = Math.max(this.#threadsAtStop, report.threadsAtEnd);
    this.#longestStopMs = Math.max(this.#longestStopMs, report.durationMs);
  }

  /** One request of each kind, on one connection where it persists. */
  async #serveAFew(port: number): Promise<void> {
    const stream = Array.from({ length: STREAM_CHUNKS }, (_, at) => String.fromCharCode(97 + at));
    const content = "content that comes back";
    const upload = new Uint8Array(UPLOAD_BYTES).fill(120);
    const requests: readonly [expected: string, send: (on: StressConnection) => Promise<Outcome>][] = [
      ["text", (on) => on.exchange(get("/text"), PATIENCE_MS)],
      [content, (on) => on.exchange(`${head("POST", "/echo", content.length)}${content}`, PATIENCE_MS)],
      [String(UPLOAD_BYTES), (on) => on.upload(head("PUT", "/count", UPLOAD_BYTES), upload, PATIENCE_MS)],
      [
        stream.map((letter) => letter.repeat(STREAM_CHUNK_BYTES)).join(""),
        (on) => on.exchange(get("/stream"), PATIENCE_MS),
      ],
    ];
    let connection: StressConnection | null = null;
    for (const [expected, send] of requests) {
      connection ??= await StressConnection.open(port);
      const outcome = await send(connection);
      this.#expectText(outcome, expected, "a request");
      const persists = outcome.kind === "answered" && outcome.persists;
      this.#expect(
        persists === this.#contestant.persists,
        `a connection ${persists ? "persists" : "does not persist"}`,
      );
      if (persists) continue;
      connection.close();
      connection = null;
    }
    connection?.close();
  }

  async #openIdle(port: number): Promise<StressConnection> {
    const connection = await StressConnection.open(port);
    this.#expectText(await connection.exchange(get("/text"), PATIENCE_MS), "text", "a request");
    return connection;
  }

  /** A connection that was accepted while another one is served. */
  async #openInLine(port: number): Promise<StressConnection> {
    const connection = await StressConnection.open(port);
    await connection.send(get("/text"));
    const untilMs = performance.now() + PATIENCE_MS;
    while (await this.#ask<number>("waiting") === 0) {
      // On a machine that is held up the one that is served may be done before this one is seen to wait.
      if (performance.now() > untilMs) throw new Error("No connection was seen to wait in line.");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return connection;
  }

  async #awaitHeld(held: StressConnection, isCut: boolean): Promise<void> {
    const outcome = await held.finalResponse(PATIENCE_MS);
    if (isCut) this.#expect(outcome.kind === "cut", `a request that is cut off ended with ${describe(outcome)}`);
    else this.#expectText(outcome, "held", "the request under way");
    held.close();
  }

  async #awaitClose(idle: StressConnection): Promise<void> {
    this.#expect(await idle.isClosedByPeer(PATIENCE_MS), "an idle connection was not closed");
    idle.close();
  }

  async #awaitRefusal(waiting: StressConnection, isCut: boolean): Promise<void> {
    const outcome = await waiting.finalResponse(PATIENCE_MS);
    const isRefused = outcome.kind === "answered" && outcome.status === 503;
    // A hard stop may come before the refusal has left.
    const isRight = isRefused || (isCut && outcome.kind === "cut");
    this.#expect(isRight, `a connection that waits in line ended with ${describe(outcome)}`);
    waiting.close();
  }

  #expectText(outcome: Outcome, text: string, what: string): void {
    const isRight = outcome.kind === "answered" && outcome.status === 200 && outcome.content === text;
    this.#expect(isRight, `${what} ended with ${describe(outcome)}`);
  }

  /** After many violations the rest of the rounds would take long and tell nothing new. */
  #expect(isRight: boolean, violation: string): void {
    if (isRight) return;
    this.#violations.push(violation);
    if (this.#violations.length === MAX_VIOLATIONS) throw new Error("The rounds were given up.");
  }

  async #ask<T>(command: string): Promise<T> {
    const answer = await this.#program.ask<T | { error: string }>(command, 3 * PATIENCE_MS);
    if (typeof answer === "object" && answer !== null && "error" in answer) throw new Error(answer.error);
    return answer as T;
  }

  #conclude(samples: readonly ProcessSample[], endMs: number, seconds: number): Trial {
    const violations = [...countEach(this.#violations)];
    if (this.#program.printedErrors !== "") violations.push(`it printed: ${this.#program.printedErrors}`);
    if (samples.length <= SAMPLES) {
      return { title: this.#contestant.title, figures: {}, violations, notes: [], details: samples };
    }
    const [first, last] = [samples[0], samples[SAMPLES]];
    const threads = [first, last].map(({ threads }) => sum(threads));
    const halfRounds = this.#rounds / 2;
    const residentGrowth = (last.residentBytes - samples[SAMPLES / 2].residentBytes) / halfRounds;
    const heapGrowth = (last.heapBytes - samples[SAMPLES / 2].heapBytes) / halfRounds;
    const bounds: readonly [what: string, more: number, allowed: number][] = [
      ["threads", threads[1] - threads[0], MAX_MORE_THREADS],
      ["sockets", last.sockets - first.sockets, MAX_MORE_SOCKETS],
      ["other descriptors", last.otherDescriptors - first.otherDescriptors, MAX_MORE_DESCRIPTORS],
      ["active resources", sum(last.resources) - sum(first.resources), MAX_MORE_THREADS],
      ["bytes of heap a round", heapGrowth, MAX_HEAP_BYTES_PER_ROUND],
      ["bytes of resident memory a round", residentGrowth, MAX_RESIDENT_BYTES_PER_ROUND],
      ["milliseconds until the process ended", endMs, MAX_END_MS],
    ];
    // A few rounds are too few to tell a leak of memory from an allocator that still grows.
    const isLong = this.#rounds >= 50;
    for (const [what, more, allowed] of bounds) {
      if (more > allowed && (isLong || !what.includes("memory") && !what.includes("heap"))) {
        violations.push(`${Math.round(more)} more ${what}, allowed are ${allowed}`);
      }
    }
    return {
      title: this.#contestant.title,
      figures: {
        rounds: this.#rounds,
        threads: `${threads[0]} → ${threads[1]}`,
        "most at stop": this.#threadsAtStop,
        sockets: `${first.sockets} → ${last.sockets}`,
        "other fds": `${first.otherDescriptors} → ${last.otherDescriptors}`,
        resources: `${sum(first.resources)} → ${sum(last.resources)}`,
        "heap MiB": samples.map(({ heapBytes }) => mib(heapBytes)).join(" "),
        "RSS MiB": samples.map(({ residentBytes }) => Math.round(residentBytes / MIB)).join(" "),
        "RSS KiB/round": Math.round(residentGrowth / 1024),
        "longest stop ms": this.#longestStopMs,
        "ended in ms": Math.round(endMs),
        "seconds": Math.round(seconds),
      },
      violations,
      notes: [],
      details: samples,
    };
  }
}

async function refusesConnections(port: number): Promise<boolean> {
  try {
    (await StressConnection.open(port)).close();
    return false;
  } catch {
    return true;
  }
}

function get(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: stress.example\r\n\r\n`;
}

function head(method: string, target: string, contentBytes: number): string {
  return `${method} ${target} HTTP/1.1\r\nHost: stress.example\r\nContent-Length: ${contentBytes}\r\n\r\n`;
}

function describe(outcome: Outcome): string {
  if (outcome.kind !== "answered") return JSON.stringify(outcome);
  return `${outcome.status} ${JSON.stringify(outcome.content.slice(0, 100))}`;
}

function countEach(violations: readonly string[]): Set<string> {
  const counts = new Map<string, number>();
  for (const violation of violations) counts.set(violation, (counts.get(violation) ?? 0) + 1);
  return new Set([...counts].map(([violation, count]) => count === 1 ? violation : `${count} times: ${violation}`));
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
