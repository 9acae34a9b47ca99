/** Refusals over real sockets: every client that is refused reads a 503 that says when to come again. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, HttpResponse, serve, type ServeOptions } from "../../mod.ts";
import { get } from "../fixtures/differential.ts";
import { connectRaw } from "../support/raw_client.ts";

const WHERE = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {} } as const;
const hello: Handler = () => new HttpResponse("hello");
const never: Handler = () => new Promise(() => {});

const ROWS: readonly (readonly [name: string, Handler, ServeOptions, clients: number, taken: number])[] = [
  ["maxConnections", hello, { maxConnections: 200 }, 333, 200],
  ["maxConnectionsPerIp", hello, { maxConnectionsPerIp: 20 }, 333, 20],
  ["the line of the blocking model", never, { model: "blocking", maxQueue: 10 }, 600, 11],
  ["the line of the worker pool", never, { model: "worker-pool", workers: 2, maxQueue: 10 }, 600, 12],
];

describe("many clients at once, of which few are taken", () => {
  for (const [name, handler, options, count, taken] of ROWS) {
    test(`are told so, every one of them: ${name}`, async () => {
      const server = await serve({ ...WHERE, ...options }, handler).ready();
      const clients = await Promise.all(Array.from({ length: count }, () => connectRaw({ port: server.port })));
      for (const client of clients) client.send(get("/"));
      const answers: string[] = [];
      for (const client of clients.slice(taken)) {
        answers.push(await client.receiveAll().catch((error) => `failed: ${error}`));
      }
      const polite = answers.filter((answer) =>
        /^HTTP\/1\.1 503 [^]*\r\nretry-after: 5\r\n[^]*\r\n\r\n[^]*\n$/.test(answer)
      );
      assert.deepEqual([polite.length, server.stats().connections.refused], [count - taken, count - taken]);
      for (const client of clients) client.destroy();
      await server.stop();
    });
  }

  test("that send nothing are told so after a second", async () => {
    const server = await serve({ ...WHERE, maxConnections: 1 }, hello).ready();
    const clients = [await connectRaw({ port: server.port })];
    for (let i = 0; i < 20; i++) clients.push(await connectRaw({ port: server.port }));
    for (const client of clients.slice(1)) assert.match(await client.receiveAll(), /^HTTP\/1\.1 503 /);
    for (const client of clients) client.destroy();
    await server.stop();
  });
});
