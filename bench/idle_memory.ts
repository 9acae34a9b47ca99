/**
 * What a connection costs in memory while it waits for its next request.
 *
 * @module
 */

import { ChildProgram } from "./child_program.ts";
import type { HolderReport } from "./clients/holder.ts";
import { type BenchRuntime, CONTENDERS } from "./contenders.ts";
import { measureLatency } from "./latency.ts";
import type { ContenderName } from "./scenarios.ts";
import { ServerProcess } from "./server_process.ts";

/** What was found of one server. */
export interface IdleMemory {
  readonly runtime: string;
  readonly contender: ContenderName;
  readonly connections: number;
  /** Resident, once garbage is collected; `null` where it failed. */
  readonly bytesPerConnection: number | null;
  readonly problems: readonly string[];
}

/** Connections that are open. */
export interface HeldConnections {
  /** The client that holds them: the caller's to stop. */
  readonly holder: ChildProgram;
  readonly opened: HolderReport;
  /** Growth of the server's resident memory. */
  readonly bytesPerConnection: number;
}

/** Who is compared. */
const IDLE_CONTENDERS: readonly ContenderName[] = ["trivet", "before", "native", "raw"];
const OPEN_DEADLINE_MS = 30_000;
const SETTLE_MS = 1_000;
const WARM_UP_SECONDS = 1;

/** Opens connections to a server, has each of them answered once, and leaves them idle. */
export async function holdConnections(server: ServerProcess, connections: number): Promise<HeldConnections> {
  const before = await settledBytes(server);
  const path = decodeURIComponent(new URL("clients/holder.ts", import.meta.url).pathname);
  const holder = new ChildProgram([
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
    path,
    `${server.port}`,
    `${connections}`,
  ]);
  try {
    const opened = await holder.answer<HolderReport>(OPEN_DEADLINE_MS);
    const bytesPerConnection = (await settledBytes(server) - before) / connections;
    return { holder, opened, bytesPerConnection };
  } catch (error) {
    await holder.stop();
    throw error;
  }
}

/** Measures Trivet and the runtime's own server. */
export async function measureIdleMemory(runtime: BenchRuntime, connections: number): Promise<IdleMemory[]> {
  const found: IdleMemory[] = [];
  for (const contender of IDLE_CONTENDERS) {
    if (CONTENDERS[contender].isBefore && runtime.trivetBefore === null) continue;
    found.push({ runtime: runtime.name, contender, connections, ...await measureOne(runtime, contender, connections) });
  }
  return found;
}

async function measureOne(
  runtime: BenchRuntime,
  contender: ContenderName,
  connections: number,
): Promise<Pick<IdleMemory, "bytesPerConnection" | "problems">> {
  const server = await ServerProcess.start(runtime, contender, { handler: "hello", packages: "", patient: true });
  try {
    await measureLatency(server.port, WARM_UP_SECONDS);
    const { holder, opened, bytesPerConnection } = await holdConnections(server, connections);
    await holder.stop();
    const isWhole = opened.answered === connections && opened.closed === 0;
    return {
      bytesPerConnection,
      problems: isWhole ? [] : [`of ${connections} connections ${opened.answered} answered`],
    };
  } catch (error) {
    return { bytesPerConnection: null, problems: [error instanceof Error ? error.message : String(error)] };
  } finally {
    await server.stop();
  }
}

/** Resident memory once garbage is collected. */
async function settledBytes(server: ServerProcess): Promise<number> {
  await server.collectGarbage();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  await server.collectGarbage();
  return server.memory().residentBytes;
}
