/**
 * Ten thousand connections on one event loop, half of them idle and half of them slow, while ordinary requests are
 * answered: what they cost in latency and in memory, for Trivet and for the runtime's own server.
 *
 * Usage: `deno run -A bench/connections.ts [runtime ...] [--connections=10000]`. It fails when Trivet closes one of the
 * connections or leaves one without its answer.
 *
 * @module
 */

import type { ChildProgram } from "./child_program.ts";
import { type BenchRuntime, findRuntimes, RUNTIME_NAMES } from "./contenders.ts";
import type { HolderReport } from "./clients/holder.ts";
import { holdConnections } from "./idle_memory.ts";
import { type Latency, measureLatency } from "./latency.ts";
import { ServerProcess } from "./server_process.ts";

/** What was found of one server. */
interface Finding {
  readonly alone: Latency;
  readonly crowded: Latency;
  readonly bytesPerConnection: number;
  readonly opened: HolderReport;
  readonly finished: HolderReport;
}

const CONTENDERS = ["trivet", "native"] as const;
const DEFAULT_CONNECTIONS = 10_000;
/** The first requests are slower than all others and not of interest here. */
const WARM_UP_SECONDS = 2;
const MEASURED_SECONDS = 5;
const FINISH_DEADLINE_MS = 20_000;

async function measure(runtime: BenchRuntime, contender: "trivet" | "native", connections: number): Promise<Finding> {
  const server = await ServerProcess.start(runtime, contender, { handler: "hello", packages: "", patient: true });
  let holder: ChildProgram | null = null;
  try {
    await measureLatency(server.port, WARM_UP_SECONDS);
    const alone = await measureLatency(server.port, MEASURED_SECONDS);
    const held = await holdConnections(server, connections);
    const { opened, bytesPerConnection } = held;
    holder = held.holder;
    await holder.ask("trickle", FINISH_DEADLINE_MS);
    const crowded = await measureLatency(server.port, MEASURED_SECONDS);
    const finished = await holder.ask<HolderReport>("finish", FINISH_DEADLINE_MS);
    return { alone, crowded, bytesPerConnection, opened, finished };
  } finally {
    await holder?.stop();
    await server.stop();
  }
}

function describe(name: string, { alone, crowded, bytesPerConnection, opened, finished }: Finding): string {
  const latency = ({ p50Ms, p99Ms, maxMs }: Latency) =>
    `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, max ${maxMs.toFixed(2)} ms`;
  return [
    `${name}: ${opened.answered} connections, each answered once; at the end ${finished.closed} closed by the server, ` +
    `${finished.answered} answered again`,
    `  ordinary requests alone:     ${latency(alone)}`,
    `  ordinary requests with them: ${latency(crowded)}`,
    `  memory: ${(bytesPerConnection / 1024).toFixed(1)} KiB resident per idle connection`,
  ].join("\n");
}

async function main(args: readonly string[]): Promise<number> {
  const connections = Number(
    args.find((each) => each.startsWith("--connections="))?.split("=")[1] ?? DEFAULT_CONNECTIONS,
  );
  const asked = args.filter((each) => !each.startsWith("--"));
  const names = RUNTIME_NAMES.filter((name) => asked.length === 0 || asked.includes(name));
  const root = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const folder = await Deno.makeTempDir({ prefix: "trivet-bench-" });
  let failures = 0;
  try {
    for (const runtime of await findRuntimes(names, root, folder)) {
      for (const contender of CONTENDERS) {
        const name = `${runtime.title} ${runtime.version}, ${contender === "trivet" ? "Trivet" : "the runtime's own"}`;
        try {
          const finding = await measure(runtime, contender, connections);
          console.log(describe(name, finding));
          if (contender === "trivet" && finding.finished.answered < connections) failures++;
        } catch (error) {
          console.log(`${name}: FAILED. ${error instanceof Error ? error.message : error}`);
          failures++;
        }
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return failures === 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));
