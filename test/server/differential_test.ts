/**
 * The same bytes on every runtime: one handler, one table of conversations with the exact bytes of the responses, and a
 * real socket for each row. Each runtime is compared with the same text, and so with every other one.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve } from "../../mod.ts";
import type { DifferentialRow } from "../fixtures/differential.ts";
import { playAlone, sendByteByByte, sendWhole, TestedServers } from "../fixtures/differential_play.ts";
import { DIFFERENTIAL_TABLES } from "../fixtures/differential_tables.ts";
import { handler } from "../fixtures/handlers.ts";

/** More than this is not sent byte by byte: it would show nothing that a few hundred bytes don't. */
const MAX_SINGLE_BYTES = 2_000;

const servers = new TestedServers((options) => serve(options, handler));

function sentBytes(row: DifferentialRow): number {
  return row.talk.reduce((bytes, turn) => bytes + (turn !== "FIN" && "send" in turn ? turn.send.length : 0), 0);
}

for (const [table, rows] of DIFFERENTIAL_TABLES) {
  describe(`the bytes on the wire: ${table}`, () => {
    for (const row of rows) {
      test(`${row.name} (${row.rfc})`, async () => playAlone(row, await servers.with(row.options), sendWhole));
    }
  });

  describe(`the bytes on the wire, sent byte by byte: ${table}`, () => {
    for (const row of rows) {
      if (row.onlyWhole !== undefined || sentBytes(row) > MAX_SINGLE_BYTES) continue;
      test(`${row.name} (${row.rfc})`, async () => playAlone(row, await servers.with(row.options), sendByteByByte));
    }
  });
}

describe("the servers of all these conversations", () => {
  test("have no connection left, and stop in order", async () => {
    const reports = await servers.shutdown();
    assert.deepEqual(reports.map(({ aborted }) => aborted), reports.map(() => 0));
  });
});
