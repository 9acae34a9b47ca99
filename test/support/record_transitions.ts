/**
 * Records the ways that the states of connections, exchanges, threads and servers take in this process, and makes a way
 * that is not there an error.
 *
 * Being imported is enough; what makes servers for tests imports it. Records are written when `scripts/test.ts` has named
 * a folder for them: a line at the first time a way is taken, so that nothing is lost with a process or a thread that is
 * ended.
 *
 * @module
 */

import { appendFileSync } from "node:fs";
import process from "node:process";
import { RECORDS_VARIABLE, writeWay } from "../../scripts/state_ways.ts";
import { transitionRecorder } from "../../src/states.ts";

const folder = process.env[RECORDS_VARIABLE];
const path = `${folder}/${process.pid}-${crypto.randomUUID()}`;
const seen = new Set<string>();

function record(table: string, from: string, to: string): void {
  const line = writeWay([table, from, to]);
  if (seen.has(line)) return;
  seen.add(line);
  if (folder !== undefined) appendFileSync(path, line);
}

/**
 * Calls a function whose ways are not those of a server, as in a test that looks at the table itself.
 *
 * @returns What the function returns.
 */
export function withoutRecording<T>(call: () => T): T {
  const before = transitionRecorder.record;
  transitionRecorder.record = null;
  try {
    return call();
  } finally {
    transitionRecorder.record = before;
  }
}

/** The same for what takes turns of the event loop; faults of a connection are not thrown on meanwhile. */
export async function withoutRecordingLater(call: () => Promise<void>): Promise<void> {
  const before = transitionRecorder.record;
  transitionRecorder.record = null;
  try {
    await call();
  } finally {
    transitionRecorder.record = before;
  }
}

transitionRecorder.record = record;
