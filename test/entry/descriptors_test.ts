/** A process that runs out of descriptors (EMFILE) lives, says so, and serves again when there are some. */

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask, pathsIn, withFolder } from "../fixtures/tls_features.ts";
import { atOnce } from "../support/at_once.ts";
import { type Exit, Program } from "./program.ts";

const CLI = new URL("../../src/entry/cli.ts", import.meta.url);
const HANDLERS = fileURLToPath(new URL("../fixtures/handlers_module.ts", import.meta.url));
const TELLS_TLS = fileURLToPath(new URL("../fixtures/models/tells_tls.ts", import.meta.url));
const DESCRIPTORS = 256;
const CONNECTIONS = 400;
const TLS_DESCRIPTORS = 400;
const HANDSHAKES = 600;
/** Long enough for a busy machine; a test that passes never waits for it. */
const ANSWERED_WITHIN_MS = 20_000;

/** Connects so often. A connection that is closed again is no concern. */
async function connectMany(port: number, count = CONNECTIONS): Promise<Socket[]> {
  return await Promise.all(
    Array.from({ length: count }, () =>
      new Promise<Socket>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => resolve(socket));
        socket.on("error", () => resolve(socket)).on("data", () => {});
      })),
  );
}

/** Takes all descriptors of a server, gives them back, asks it and ends it. */
async function exhaust(options: readonly string[]): Promise<Exit> {
  const args = ["serve", HANDLERS, "--port", "0", "--hostname", "127.0.0.1", ...options];
  const program = new Program(CLI, args, { descriptors: DESCRIPTORS });
  const [, port] = await program.line(/^Listening on http:\/\/127\.0\.0\.1:(\d+)\//);
  const clients = await connectMany(Number(port));
  // A tick of the clock, and the second after which silent clients are told that they are refused.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  for (const client of clients) client.destroy();
  let status = 0;
  for (const endMs = performance.now() + ANSWERED_WITHIN_MS; status !== 200 && performance.now() < endMs;) {
    // The server is another process: its descriptors are free when it answers, and no clock of the test tells when.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const asked = fetch(`http://127.0.0.1:${port}/text`, { headers: { connection: "close" } });
    status = await asked.then((response) => response.text().then(() => response.status), () => 0);
  }
  assert.equal(status, 200);
  program.signal("SIGTERM");
  return await program.ended;
}

describe(`a server that may have ${DESCRIPTORS} descriptors, and ${CONNECTIONS} idle clients`, () => {
  const rows = [[], ["--max-connections", "0"]];
  const ended = atOnce(rows, exhaust);
  for (const row of rows) {
    test(`lives, warns, and serves again when they have gone: ${row.join(" ") || "default options"}`, async () => {
      const { code, signal, errors } = await ended(row);
      assert.deepEqual([code, signal], [0, null]);
      const warning = /^Trivet: \d+ connections are open, and the process may have 256 descriptors: /;
      assert.ok(errors.some((line) => warning.test(line)), errors.join("\n"));
    });
  }
});

describe(`a server with TLS that may have ${TLS_DESCRIPTORS} descriptors, and ${HANDSHAKES} handshakes in which nothing is said`, () => {
  for (const options of [[], ["--max-connections", "0"]]) {
    test(`lives, and serves again when they have gone: ${options.join(" ") || "default options"}`, () =>
      withFolder(async (folder) => {
        const { cert, key } = pathsIn(folder);
        const where = ["--port", "0", "--hostname", "127.0.0.1", "--tls-cert", cert, "--tls-key", key];
        const program = new Program(CLI, ["serve", TELLS_TLS, ...where, ...options], { descriptors: TLS_DESCRIPTORS });
        const [, port] = await program.line(/^Listening on https:\/\/127\.0\.0\.1:(\d+)\//);
        const clients = await connectMany(Number(port), HANDSHAKES);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        for (const client of clients) client.destroy();
        let answered = 0;
        for (let attempt = 0; attempt < 100 && answered < 3; attempt++) {
          // As above.
          await new Promise((resolve) => setTimeout(resolve, 100));
          answered += await ask(Number(port)).then(() => 1, () => 0);
        }
        assert.equal(answered, 3);
        program.signal("SIGTERM");
        const { code, signal } = await program.ended;
        assert.deepEqual([code, signal], [0, null]);
      }));
  }
});
