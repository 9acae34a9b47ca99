/**
 * The same bytes on every runtime: one handler, one table of conversations with the exact bytes of the responses, and a
 * real socket for each row. Each runtime is compared with the same text, and so with every other one.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve } from "../../mod.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { ServeOptions } from "../../src/options.ts";
import type { Server } from "../../src/server.ts";
import { CONNECTION_ROWS } from "../fixtures/differential_connections.ts";
import { type DifferentialRow, get, MASKS, okText } from "../fixtures/differential.ts";
import { REFUSAL_ROWS } from "../fixtures/differential_refusals.ts";
import { REQUEST_ROWS } from "../fixtures/differential_requests.ts";
import { RESPONSE_ROWS } from "../fixtures/differential_responses.ts";
import { handler } from "../fixtures/handlers.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";

/** Long enough for a busy machine; a row that passes never waits for it. */
const DEADLINE_MS = 5_000;
/** More than this is not sent byte by byte: it would show nothing that a few hundred bytes don't. */
const MAX_SINGLE_BYTES = 2_000;

/** By how much a part of a Date field that came alone can be longer than its mask. */
const SPARE_CHARS = 64;

const ORDINARY: ServeOptions = {};
const IMF_FIXDATE = /^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/gm;

/** A server for each set of options, and what its onError was told since the last look. */
interface TestedServer {
  readonly server: Server;
  readonly reported: ErrorCode[];
}

const servers = new Map<ServeOptions, Promise<TestedServer>>();

function serverWith(options: ServeOptions): Promise<TestedServer> {
  let tested = servers.get(options);
  if (tested === undefined) {
    tested = startServer(options);
    servers.set(options, tested);
  }
  return tested;
}

async function startServer(options: ServeOptions): Promise<TestedServer> {
  const reported: ErrorCode[] = [];
  const onError: ServeOptions["onError"] = (error) => void reported.push(error.code);
  const where = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError };
  return { server: await serve({ ...where, ...options }, handler).ready(), reported };
}

/** Plays a row's conversation. What is sent goes out whole or byte by byte. */
async function play(row: DifferentialRow, send: (client: RawClient, bytes: string) => Promise<void>): Promise<void> {
  const { server, reported } = await serverWith(row.options ?? ORDINARY);
  const client = await connectRaw({ port: server.port });
  const mask = (text: string): string => {
    const dated = text.replace(IMF_FIXDATE, "Date: <date>\r").replaceAll(
      `127.0.0.1:${server.port}`,
      "127.0.0.1:<port>",
    );
    return row.mask === undefined ? dated : MASKS[row.mask](dated);
  };
  let expected = "";
  const receive = async (bytes: string): Promise<void> => {
    expected = mask(expected + bytes);
    const isDecided = (received: string): boolean => {
      const masked = mask(received);
      return masked.startsWith(expected) || masked.length > expected.length + SPARE_CHARS;
    };
    await client.receiveUntil(isDecided, DEADLINE_MS).catch(() => {});
    assert.equal(mask(client.received()), expected);
  };
  try {
    for (const turn of row.talk) {
      if (turn === "FIN") client.end();
      else if ("send" in turn) await send(client, turn.send);
      else await receive(turn.receive);
    }
    if (row.after === "persists") {
      client.send(get("/text", "Connection: close"));
      await receive(okText("hello", "Connection: close"));
    }
    await client.receiveAll(DEADLINE_MS).catch((error) => {
      if (row.after !== "is cut off" || client.cause === null) throw error;
    });
    assert.equal(mask(client.received()), expected);
    assert.deepEqual(reported.splice(0), row.reported ?? []);
  } finally {
    reported.length = 0;
    client.destroy();
  }
}

function sendWhole(client: RawClient, bytes: string): Promise<void> {
  client.send(bytes);
  return Promise.resolve();
}

async function sendByteByByte(client: RawClient, bytes: string): Promise<void> {
  for (const byte of bytes) {
    // A server that has refused the request need not be sent the rest.
    if (client.state !== "open") return;
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function sentBytes(row: DifferentialRow): number {
  return row.talk.reduce((bytes, turn) => bytes + (turn !== "FIN" && "send" in turn ? turn.send.length : 0), 0);
}

const TABLES: Readonly<Record<string, readonly DifferentialRow[]>> = {
  requests: REQUEST_ROWS,
  responses: RESPONSE_ROWS,
  refusals: REFUSAL_ROWS,
  connections: CONNECTION_ROWS,
};

for (const [table, rows] of Object.entries(TABLES)) {
  describe(`the bytes on the wire: ${table}`, () => {
    for (const row of rows) {
      test(`${row.name} (${row.rfc})`, () => play(row, sendWhole));
    }
  });

  describe(`the bytes on the wire, sent byte by byte: ${table}`, () => {
    for (const row of rows) {
      if (row.onlyWhole !== undefined || sentBytes(row) > MAX_SINGLE_BYTES) continue;
      test(`${row.name} (${row.rfc})`, () => play(row, sendByteByByte));
    }
  });
}

describe("the servers of all these conversations", () => {
  test("have no connection left, and stop in order", async () => {
    const stopped = [...servers.values()].map(async (tested) =>
      (await tested).server.shutdown({ timeout: DEADLINE_MS })
    );
    const reports = await Promise.all(stopped);
    assert.deepEqual(reports.map(({ aborted }) => aborted), reports.map(() => 0));
  });
});
