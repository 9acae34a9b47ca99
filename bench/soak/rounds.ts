/** Starts and stops servers again and again in one process, and looks for what they leave behind. */

import { setTimeout as rest } from "node:timers/promises";
import { get, WireConnection } from "../../test/support/wire_connection.ts";
import type { Contestant } from "../models/lab.ts";
import { ServerProcess } from "../processes.ts";
import { type Experiment, messageOf, mib, timesEach, type Trial } from "../report.ts";
import type { BenchRuntime } from "../runtimes.ts";
import type { HeldInside, StopReport } from "../servers/server.ts";
import { beginHeld, type Entry, exchange, PATIENCE_MS, type RequestKind } from "./requests.ts";

const CONTESTANTS: readonly Contestant[] = [
  { title: "blocking", options: { model: "blocking" } },
  { title: "worker-pool, function", options: { model: "worker-pool", workers: 3 } },
  { title: "worker-pool, 3 threads", options: { model: "worker-pool", workers: 3 }, asModule: true },
  { title: "event-driven", options: { model: "event-driven" } },
  { title: "event-driven, 2 loops", options: { model: "event-driven", loops: 2 }, asModule: true },
  { title: "hybrid, 2 threads", options: { model: "hybrid", threads: 2 }, asModule: true },
];

/** Between the first and the last measurement of memory there are so many more. */
const SAMPLES = 4;
/** Of so many rounds, one is ended by a stop during a graceful one. */
const CUT_EVERY = 5;
/** From the stop on; the other is far longer than a round, so that only being cut off ends it. */
const [HELD_MS, HELD_FOR_EVER_MS] = [20, 60_000];
const MAX_VIOLATIONS = 20;
const REQUESTS: readonly RequestKind[] = ["get", "put", "upload", "stream"];

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
/** A few rounds are too few to tell a leak of memory from an allocator that still grows. */
const MIN_ROUNDS_FOR_MEMORY = 50;
/** A process that nothing keeps alive is gone well within this. */
const MAX_END_MS = 1_500;
/** Readings that are the same one after another show that nothing is on its way out any more. */
const SAME_READINGS = 3;
const READING_INTERVAL_MS = 50;
const MAX_READINGS = 60;

type ProcessSample = Awaited<ReturnType<typeof sampleProcess>>;

export function roundsOf(rounds: number, warmUpRounds: number): Experiment {
  const text =
    `${rounds} servers are started and stopped one after another in one process, after ${warmUpRounds} more to ` +
    "warm up. Each gets a few requests: text, content that comes back, an upload, a stream. When it is told to stop " +
    "one handler is under way, which has to be waited for, one connection is idle, which has to be closed, and in the " +
    "model blocking one waits in line, which has to be served when its turn comes. " +
    `Every ${CUT_EVERY}th graceful stop is overtaken by a hard one while a handler holds its request. Threads and ` +
    "descriptors are those of the operating system; memory is measured after garbage collection. At most " +
    `${MAX_MORE_THREADS} threads, ${MAX_MORE_DESCRIPTORS} descriptors and no socket may be more than after the ` +
    `warm-up; in the second half the heap may grow by ${MAX_HEAP_BYTES_PER_ROUND / 1024} KiB a round and resident ` +
    `memory by ${MAX_RESIDENT_BYTES_PER_ROUND / 1024} KiB. At last the process has to end by itself.`;
  const cases = CONTESTANTS.map((contestant) => ({
    title: contestant.title,
    async run(runtime: BenchRuntime, say: (line: string) => void) {
      const { options, asModule } = contestant;
      const launch = { module: "routes.ts", options, asModule, silent: [], endsByItself: true };
      const server = await ServerProcess.launch(runtime, launch);
      return [await new RoundsTrial(server, options.model === "blocking").run(rounds, warmUpRounds, say)];
    },
  }));
  return { name: "rounds", title: "Start and stop", text, cases };
}

class RoundsTrial {
  /** In the model blocking no connection persists, and a further one waits in line while a request is under way. */
  readonly #isBlocking: boolean;
  readonly #server: ServerProcess;
  readonly #violations: string[] = [];
  #threadsAtStop = 0;
  #longestStopMs = 0;

  constructor(server: ServerProcess, isBlocking: boolean) {
    [this.#server, this.#isBlocking] = [server, isBlocking];
  }

  async run(rounds: number, warmUpRounds: number, say: (line: string) => void): Promise<Trial> {
    const samples: ProcessSample[] = [];
    try {
      // Each round starts one of its own.
      await this.#server.ask("drain");
      for (let round = 0; round < warmUpRounds; round++) await this.#runRound(round);
      for (let part = 0, round = 0; part <= SAMPLES; part++) {
        for (; round < Math.round(rounds * part / SAMPLES); round++) await this.#runRound(round);
        const sample = await sampleProcess(this.#server);
        samples.push(sample);
        say(`${round} rounds, ${mib(sample.residentBytes, 1)} MiB`);
      }
    } catch (error) {
      this.#violations.push(messageOf(error));
    }
    const stopBeganMs = performance.now();
    await this.#server.stop();
    return this.#conclude(rounds, samples, performance.now() - stopBeganMs);
  }

  async #runRound(round: number): Promise<void> {
    const isCut = round % CUT_EVERY === CUT_EVERY - 1;
    const { port } = await this.#server.ask<{ port: number }>("start");
    let connection = await WireConnection.open(port);
    for (const kind of REQUESTS) {
      const entry = await exchange(connection, kind);
      this.#expect(entry.ending === "right", describe(entry));
      this.#expect(entry.persists !== this.#isBlocking, `a connection ${entry.persists ? "" : "does not "}persist`);
      if (entry.persists) continue;
      connection.close();
      connection = await WireConnection.open(port);
    }
    // From here on it is idle; in the model blocking it would be the one that is served.
    if (this.#isBlocking) connection.close();
    const holding = await WireConnection.open(port);
    const held = await beginHeld(holding, isCut ? HELD_FOR_EVER_MS : HELD_MS);
    this.#expect(held.hasBegun, "a handler that holds its request did not begin");
    const inLine = this.#isBlocking ? await WireConnection.open(port) : null;
    await inLine?.send(get("/get/0"));
    const stopping = this.#server.ask<StopReport>(isCut ? "cut" : "drain");
    const other = inLine === null ? this.#awaitClose(connection) : this.#awaitTurn(inLine, isCut);
    const [entry] = await Promise.all([held.ended(), other]);
    const isRight = isCut ? entry.ending.startsWith("cut") : entry.ending === "right";
    this.#expect(isRight, `when stopped, ${describe(entry)}`);
    holding.close();
    const report = await stopping;
    // The one that is idle or waits in line may have closed in order before a hard stop.
    this.#expect(isCut ? report.aborted > 0 : report.aborted === 0, `a stop reported ${JSON.stringify(report)}`);
    const isRefused = await WireConnection.open(port).then((accepted) => accepted.close(), () => true);
    this.#expect(isRefused === true, "a stopped server accepts connections");
    this.#threadsAtStop = Math.max(this.#threadsAtStop, report.threadsAtEnd);
    this.#longestStopMs = Math.max(this.#longestStopMs, report.durationMs);
  }

  async #awaitClose(idle: WireConnection): Promise<void> {
    const outcome = await idle.finalResponse(PATIENCE_MS);
    this.#expect(outcome.kind === "cut" && outcome.receivedBytes === 0, "an idle connection was not closed");
    idle.close();
  }

  async #awaitTurn(inLine: WireConnection, isCut: boolean): Promise<void> {
    const outcome = await inLine.finalResponse(PATIENCE_MS);
    // The one before never ends by itself when the stop is a hard one, so that this one has no turn: it may be told so.
    const status = outcome.kind === "answered" ? outcome.status : null;
    const isRight = isCut ? outcome.kind === "cut" || status === 503 : status === 200;
    this.#expect(isRight, `a connection that waits in line ended with ${JSON.stringify(outcome)}`);
    inLine.close();
  }

  /** After many violations the rest of the rounds would take long and tell nothing new. */
  #expect(isRight: boolean, violation: string): void {
    if (isRight) return;
    this.#violations.push(violation);
    if (this.#violations.length === MAX_VIOLATIONS) throw new Error("The rounds were given up.");
  }

  #conclude(rounds: number, samples: readonly ProcessSample[], endMs: number): Trial {
    const problems = timesEach(this.#violations);
    const printed = this.#server.printedErrors.replace(/^Trivet: \d+ of \d+ threads are busy.*\n/gm, "");
    if (printed !== "") problems.push(`it printed: ${printed}`);
    if (samples.length <= SAMPLES) return { figures: {}, problems, details: samples };
    const [first, middle, last] = [samples[0], samples[SAMPLES / 2], samples[SAMPLES]];
    type Count = Exclude<keyof ProcessSample, "names">;
    const more = (of: Count) => last[of] - first[of];
    const perRound = (of: Count) => (last[of] - middle[of]) / (rounds / 2);
    const isLong = rounds >= MIN_ROUNDS_FOR_MEMORY;
    const bounds: readonly [what: string, found: number, allowed: number][] = [
      ["threads", more("threads"), MAX_MORE_THREADS],
      ["sockets", more("sockets"), MAX_MORE_SOCKETS],
      ["other descriptors", more("otherDescriptors"), MAX_MORE_DESCRIPTORS],
      ["active resources", more("resources"), MAX_MORE_THREADS],
      ["milliseconds until the process ended", endMs, MAX_END_MS],
      ["bytes of heap a round", isLong ? perRound("heapBytes") : 0, MAX_HEAP_BYTES_PER_ROUND],
      ["bytes of resident memory a round", isLong ? perRound("residentBytes") : 0, MAX_RESIDENT_BYTES_PER_ROUND],
    ];
    for (const [what, found, allowed] of bounds) {
      if (found > allowed) problems.push(`${Math.round(found)} more ${what}, allowed are ${allowed}`);
    }
    const figures = {
      rounds,
      threads: `${first.threads} → ${last.threads}`,
      "most at stop": this.#threadsAtStop,
      sockets: `${first.sockets} → ${last.sockets}`,
      "other fds": `${first.otherDescriptors} → ${last.otherDescriptors}`,
      resources: `${first.resources} → ${last.resources}`,
      "heap MiB": samples.map(({ heapBytes }) => mib(heapBytes, 1)).join(" "),
      "RSS MiB": samples.map(({ residentBytes }) => mib(residentBytes)).join(" "),
      "RSS KiB/round": Math.round(perRound("residentBytes") / 1024),
      "longest stop ms": this.#longestStopMs,
      "ended in ms": Math.round(endMs),
    };
    return { figures, problems, details: samples };
  }
}

/** Lets threads and sockets that are about to end do so, collects garbage and looks. */
async function sampleProcess(server: ServerProcess) {
  let [last, reading] = ["", ""];
  for (let readings = 0, same = 0; readings < MAX_READINGS && same < SAME_READINGS; readings++, last = reading) {
    // Twice: what finalizers let go of is garbage for the next time.
    for (let i = 0; i < 2; i++) {
      await server.collectGarbage();
      await rest(READING_INTERVAL_MS / 2);
    }
    reading = JSON.stringify(server.threadsAndDescriptors());
    same = reading === last ? same + 1 : 0;
  }
  const { threads, descriptors } = server.threadsAndDescriptors();
  const { heapBytes, resources } = await server.ask<HeldInside>("held");
  const sockets = descriptors.filter((target) => target.startsWith("socket:")).length;
  return {
    residentBytes: server.memory().residentBytes,
    heapBytes,
    threads: threads.length,
    sockets,
    otherDescriptors: descriptors.length - sockets,
    resources: resources.length,
    names: [...threads, ...resources],
  };
}

function describe({ kind, ending, got }: Entry): string {
  return `${kind} ended with "${ending}" ${got}`.trim();
}
