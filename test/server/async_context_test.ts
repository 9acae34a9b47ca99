/**
 * What a handler finds in an `AsyncLocalStorage`: nothing of another request, as with the runtimes' own servers of
 * `node:http`, whichever connection asked first for what they share.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fetch } from "../fixtures/async_context_app.ts";
import { serveUnder, TESTED_MODELS, type TestedModel } from "../fixtures/models/tested_models.ts";
import { connectRaw } from "../support/raw_client.ts";

const HANDLER = { fetch, module: new URL("../fixtures/async_context_app.ts", import.meta.url) };
const CLIENTS = 8;
const PATIENCE_MS = 20_000;
/** More than is read before it is asked for. */
const CONTENT = "x".repeat(200_000);

/** Has several clients send requests, one behind the other on each connection, and tells what their handlers found. */
async function find(model: TestedModel, path: string, content: string): Promise<Set<string>> {
  const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {} };
  const server = await serveUnder(model, options, HANDLER).ready();
  const requests = model.connectionsAtOnce < CLIENTS ? 1 : 3;
  const answers = await Promise.all(Array.from({ length: CLIENTS }, async () => {
    const client = await connectRaw({ port: server.port });
    for (let sent = 1; sent <= requests; sent++) {
      const last = sent === requests ? "Connection: close\r\n" : "";
      client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\n${last}Content-Length: ${content.length}\r\n\r\n${content}`);
      await client.receiveUntil(
        (received) => received.split("found ").length > sent && received.endsWith(";"),
        PATIENCE_MS,
      );
    }
    client.destroy();
    return client.received();
  }));
  await server.stop();
  const found = answers.join("").match(/found \w+/g) ?? [];
  assert.equal(found.length, CLIENTS * requests);
  return new Set(found);
}

// Each of several loops is one like that of "event-driven".
for (const model of TESTED_MODELS.filter(({ hasLoops }) => !hasLoops)) {
  describe(`the store of a request under ${model.name}`, () => {
    test("ends with the function it was set for, also where more content is asked for within", async () => {
      assert.deepEqual(await find(model, "/run", CONTENT), new Set(["found none"]));
    });

    test("is not found on another connection where it was entered by a handler that computes", async () => {
      assert.ok(!(await find(model, "/enter", "")).has("found other"));
    });
  });
}
