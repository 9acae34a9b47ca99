/**
 * WebSockets under load: Trivet beside Deno.serve, Bun.serve and, on Node, `ws`.
 *
 * Echoes and broadcasts, the memory of idle connections, and what clients that stop reading cost. The servers of a runtime
 * are started at the same time and loaded in turn, A B, B A, A B; ratios are taken within a round.
 *
 * Options: `--runtime=deno,bun,node`, `--scenario=…`, `--rounds=5`, `--seconds=0.5`, `--name=NAME` to write the report,
 * `--before=COMMIT` to measure Trivet of that commit too, `--quick`.
 *
 * @module
 */

import { runCommand } from "../scripts/command.ts";
import { TEST_RUNTIMES } from "../scripts/test_runtimes.ts";
import { ChildProgram } from "./child_program.ts";
import type { LoadReport } from "./clients/websocket.ts";
import { besideServers, pin } from "./process_figures.ts";
import { amount, choice, NAME, runProgram, SWITCH, TEXT } from "./program.ts";
import { median, type Report, type Section, versionsOf } from "./report.ts";
import { type BenchRuntime, describeSource, findRuntimes, RUNTIME_NAMES } from "./runtimes.ts";
import { ServerProcess } from "./server_process.ts";

const WS = "ws@8.23.0";
const INSTALL_DEADLINE_MS = 90_000;
const ASK_DEADLINE_MS = 90_000;
/**
 * What no round counts: buffers grow and compilers get warm, which takes so many messages and not so much time, up to a
 * bound. Those of Bun's engine compile beside the load, and what they take would be counted with it.
 */
const WARM_UP_MS = 700;
const WARM_UP_MESSAGES = 60_000;
const MAX_WARM_UPS = 8;

interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly path: "/echo" | "/all";
  readonly connections: number;
  readonly bytes: number;
  /** Messages under way at a time, on each connection or of all. */
  readonly window: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: "echo-64", title: "64 B echo", path: "/echo", connections: 64, bytes: 64, window: 1 },
  { name: "echo-64x16", title: "64 B echo, 16 at a time", path: "/echo", connections: 64, bytes: 64, window: 16 },
  { name: "echo-1k", title: "1 KiB echo", path: "/echo", connections: 64, bytes: 1024, window: 1 },
  { name: "echo-1kx16", title: "1 KiB echo, 16 at a time", path: "/echo", connections: 64, bytes: 1024, window: 16 },
  { name: "echo-64k", title: "64 KiB echo", path: "/echo", connections: 16, bytes: 65_536, window: 1 },
  { name: "all-64", title: "64 B to 1,000", path: "/all", connections: 1_000, bytes: 64, window: 4 },
  { name: "all-1k", title: "1 KiB to 1,000", path: "/all", connections: 1_000, bytes: 1024, window: 4 },
  { name: "all-64k", title: "64 KiB to 1,000", path: "/all", connections: 1_000, bytes: 65_536, window: 1 },
];
const QUICK = ["echo-64", "all-64"];
const IDLE = 10_000;
/** Each takes some 2.5 MB of the system's memory before the server notices, which has a bound for all connections. */
const STALLED = 200;
const STALLED_MESSAGE_BYTES = 16 * 1024;

/** One server, and the client that loads it. */
interface Contender {
  readonly title: string;
  readonly server: ServerProcess;
  readonly client: ChildProgram;
}

/** What one server did in one round. */
interface Round {
  readonly messages: number;
  readonly messagesPerSecond: number;
  readonly microsecondsPerMessage: number;
}

class Bench {
  readonly problems: string[] = [];
  readonly figures: unknown[] = [];
  readonly #node: string;
  readonly #folder: string;
  readonly #say: (line: string) => void;

  constructor(node: string, folder: string, say: (line: string) => void) {
    this.#node = node;
    this.#folder = folder;
    this.#say = say;
  }

  /** All scenarios on one runtime. */
  async load(runtime: BenchRuntime, scenarios: readonly Scenario[], rounds: number, ms: number): Promise<Section> {
    const rows: string[][] = [];
    for (const scenario of scenarios) {
      const contenders = await this.#start(runtime);
      const results = contenders.map((): Round[] => []);
      try {
        for (const contender of contenders) {
          await this.#ask(contender, `open ${contender.server.port} ${scenario.path} ${scenario.connections}`);
          for (let runs = 0, messages = 0; runs < MAX_WARM_UPS && messages < WARM_UP_MESSAGES; runs++) {
            messages += (await this.#run(contender, scenario, WARM_UP_MS)).messages;
          }
        }
        for (let round = 0; round < rounds; round++) {
          const order = contenders.map((_, at) => round % 2 === 0 ? at : contenders.length - 1 - at);
          for (const at of order) results[at].push(await this.#run(contenders[at], scenario, ms));
        }
      } finally {
        await this.#stop(contenders);
      }
      rows.push(...this.#rowsOf(scenario, contenders, results));
      this.#say(rows.slice(-contenders.length).map((row) => row.join(" | ")).join("\n         "));
    }
    const head = ["load", "server", "messages/s", "to Trivet", "CPU, µs", "to Trivet"];
    return { title: runtime.title, head, rows };
  }

  /** What an idle connection takes. */
  async idle(runtimes: readonly BenchRuntime[]): Promise<Section> {
    const rows: string[][] = [];
    for (const runtime of runtimes) {
      for (const contender of await this.#start(runtime)) {
        try {
          const { server } = contender;
          // What a first connection brings along is not counted for each.
          await this.#ask(contender, `open ${server.port} /idle 100`);
          await server.collectGarbage();
          const before = server.memory().residentBytes;
          await this.#ask(contender, `open ${server.port} /idle ${IDLE}`);
          await server.collectGarbage();
          await new Promise((resolve) => setTimeout(resolve, 500));
          await server.collectGarbage();
          const each = (server.memory().residentBytes - before) / (IDLE - 100);
          rows.push([runtime.title, contender.title, `${(each / 1024).toFixed(1)} KiB`]);
          this.figures.push({ idle: runtime.name, server: contender.title, bytes: each });
          this.#say(rows.at(-1)!.join(" | "));
        } finally {
          await this.#stop([contender]);
        }
      }
    }
    return {
      title: `Memory of each of ${IDLE.toLocaleString("en")} idle connections`,
      head: ["on", "server", "each"],
      rows,
    };
  }

  /** Many subscribers stop reading, and ten go on. */
  async stalled(runtimes: readonly BenchRuntime[]): Promise<Section> {
    const rows: string[][] = [];
    for (const runtime of runtimes) {
      const [contender, ...others] = await this.#start(runtime);
      await this.#stop(others);
      try {
        const { server } = contender;
        const load = { ...SCENARIOS[0], path: "/all", bytes: STALLED_MESSAGE_BYTES, window: 4 } as const;
        await this.#ask(contender, `open ${server.port} /all 10`);
        await this.#run(contender, load, WARM_UP_MS);
        const alone = await this.#run(contender, load, 1_000);
        await this.#ask(contender, `open ${server.port} /all ${STALLED + 10}`);
        await this.#ask(contender, `stall ${STALLED}`);
        server.forgetPeak();
        const before = server.memory().residentBytes;
        // Connections that are cut off are no problem of the client.
        const beside = await this.#run(contender, load, 4_000, true);
        const peak = server.memory().peakBytes - before;
        const stats = await server.stats() as { webSockets: { open: number } };
        const row = [
          runtime.title,
          `${(peak / 2 ** 20).toFixed(0)} MiB`,
          String(stats.webSockets.open),
          beside.messagesPerSecond.toFixed(0),
          alone.messagesPerSecond.toFixed(0),
        ];
        rows.push(row);
        this.figures.push({ stalled: runtime.name, peak, ...stats, alone, beside });
        this.#say(row.join(" | "));
      } finally {
        await this.#stop([contender]);
      }
    }
    const head = ["Trivet on", "memory, at most", "open at the end", "messages/s of ten that read", "the same alone"];
    return {
      title: `${STALLED.toLocaleString("en")} subscribers that stop reading, and ten that read`,
      text:
        `16 KiB messages are published for four seconds. A subscriber is cut off when more than 16 MiB wait for it, or ` +
        "when it has the most of more than 256 MiB that wait for all.",
      head,
      rows,
    };
  }

  async #start(runtime: BenchRuntime): Promise<Contender[]> {
    const own = { deno: "Deno.serve", bun: "Bun.serve", node: "ws" }[runtime.name];
    const all = [
      { title: "Trivet", launch: { serves: "trivet", trivet: runtime.trivet } },
      ...(runtime.trivetBefore === null
        ? []
        : [{ title: "Trivet before", launch: { serves: "trivet", trivet: runtime.trivetBefore } }]),
      { title: own, launch: { serves: "own", packages: this.#folder } },
    ];
    return await Promise.all(all.map(async ({ title, launch }) => {
      const server = await ServerProcess.launch(runtime, "websocket.ts", launch);
      await pin(server.pid);
      const client = `${this.#folder}/bench/clients/websocket.ts`;
      const argv = besideServers([this.#node, "--disable-warning=ExperimentalWarning", client]);
      return { title, server, client: new ChildProgram(argv) };
    }));
  }

  async #stop(contenders: readonly Contender[]): Promise<void> {
    for (const { title, server, client } of contenders) {
      await client.stop();
      await server.stop();
      if (server.printedErrors !== "" && title.startsWith("Trivet")) this.problems.push(server.printedErrors);
    }
  }

  async #ask(contender: Contender, line: string, mayLose = false): Promise<LoadReport> {
    const report = await contender.client.ask<LoadReport>(line, ASK_DEADLINE_MS);
    if (report.problem !== "" && !mayLose) this.problems.push(`${contender.title}, ${line}: ${report.problem}`);
    return report;
  }

  async #run(contender: Contender, scenario: Scenario, ms: number, mayLose = false): Promise<Round> {
    const command = scenario.path === "/echo" ? "echo" : "publish";
    const before = contender.server.cpuTime().seconds;
    const line = `${command} ${scenario.bytes} ${scenario.window} ${Math.round(ms)}`;
    const { messages, seconds } = await this.#ask(contender, line, mayLose);
    const cpuSeconds = contender.server.cpuTime().seconds - before;
    return { messages, messagesPerSecond: messages / seconds, microsecondsPerMessage: (cpuSeconds * 1e6) / messages };
  }

  #rowsOf(scenario: Scenario, contenders: readonly Contender[], results: readonly Round[][]): string[][] {
    const [ours] = results;
    return contenders.map(({ title }, at) => {
      const of = (pick: (round: Round) => number) => median(results[at].map(pick));
      const ratio = (pick: (round: Round) => number) =>
        at === 0 ? "" : median(results[at].map((round, i) => pick(round) / pick(ours[i]))).toFixed(2);
      this.figures.push({ scenario: scenario.name, server: title, rounds: results[at] });
      return [
        at === 0 ? scenario.title : "",
        title,
        of((round) => round.messagesPerSecond).toFixed(0),
        ratio((round) => round.messagesPerSecond),
        of((round) => round.microsecondsPerMessage).toFixed(2),
        ratio((round) => round.microsecondsPerMessage),
      ];
    });
  }
}

await runProgram({
  runtime: choice(RUNTIME_NAMES, (name) => name),
  scenario: choice([...SCENARIOS.map(({ name }) => name), "idle", "stalled"], (name) => name),
  rounds: amount(5, 99),
  seconds: amount(0.5, 10),
  name: NAME,
  before: TEXT,
  quick: SWITCH,
}, async ({ runtime: names, scenario, rounds, seconds, name, before, quick }, { root, folder, say }) => {
  const runtimes = await findRuntimes(names, root, folder, before);
  const installed = await runCommand(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", WS], {
    cwd: folder,
    deadlineMs: INSTALL_DEADLINE_MS,
  });
  if (installed.exitCode !== 0) throw new Error(`${WS} could not be had.\n${installed.output}`);
  const node = await TEST_RUNTIMES.find((each) => each.name === "node@24")!.find(root);
  const bench = new Bench(node.path, folder, say);
  const wanted = SCENARIOS.filter((each) => scenario.includes(each.name) && (!quick || QUICK.includes(each.name)));
  const sections: Section[] = [];
  for (const runtime of runtimes) {
    sections.push(await bench.load(runtime, wanted, quick ? 1 : rounds, seconds * 1000));
  }
  if (!quick && scenario.includes("idle")) sections.push(await bench.idle(runtimes));
  if (!quick && scenario.includes("stalled")) sections.push(await bench.stalled(runtimes));
  const versions = { ...await versionsOf(runtimes, root, await describeSource(root)), ws: WS.split("@")[1] };
  const report: Report = {
    title: "WebSockets",
    method: `Medians of ${rounds} rounds of ${seconds} s each; the server on one processor, its client on the other. ` +
      "CPU is that of the server, of all its threads, for each message that came in (echo) or went out (broadcast).",
    versions,
    sections,
    problems: bench.problems,
    figures: bench.figures,
  };
  return { report, name };
});
