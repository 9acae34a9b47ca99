/**
 * What a handler sees and does under every concurrency model, wherever it runs: errors, streams with back-pressure,
 * aborts, the end of an exchange. The bytes of ordinary exchanges are in `bytes_test.ts`.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { HttpResponse, TrivetError } from "../../../mod.ts";
import type { ServeOptions } from "../../../src/api/options.ts";
import { get, head, HOST } from "../../fixtures/differential.ts";
import { checksum, CHUNK_BYTES } from "../../fixtures/models/app.ts";
import { type AppServer, connectFarAway, startApp } from "../../fixtures/models/app_server.ts";
import { Peer, until, type Watch, WatchFolder } from "../../fixtures/models/peer.ts";
import { TESTED_MODELS, type TestedModel } from "../../fixtures/models/tested_models.ts";

const MIB = 1024 * 1024;
/** A number that has not changed for so long will not. Counts of other loops come every 100 ms. */
const STABLE_MS = 150;
/** A busy machine may let so much time pass in which nothing is done. */
const STABLE_LOOKS = 20;
/** What the system's buffers of two sockets may take of a response that is not read, and a generous more. */
const MAX_AHEAD_BYTES = 8 * MIB;
/** Linux makes the buffer of a client larger, the more that reads in a round trip, up to so many times as large. */
const MAX_GROWTH = 4;
const STREAM_BYTES = 24 * MIB;
/** What a server may have read of content that its handler lets wait: bounded buffers, and reads of half a MiB (Bun). */
const MAX_UPLOAD_AHEAD_BYTES = 3 * MIB;
const UPLOAD: Uint8Array = new Uint8Array(6 * MIB).map((_, i) => i % 253);

const folder = new WatchFolder();
after(() => folder.remove());

/** Errors get a response of the user's where the request asks for it. */
const OPTIONS: ServeOptions = {
  healthPath: "/health",
  onError(error, request) {
    if (request === undefined || !request.url.includes("?custom")) return;
    const { name, message } = error.cause as Error;
    const response = new HttpResponse(`${error.code}: ${name}: ${message}`, {
      status: 418,
      headers: { "x-method": request.method, "x-sent": request.headers.get("x-sent") ?? "" },
    });
    return request.url.includes("?custom-later") ? Promise.resolve(response) : response;
  },
};

/** One thing that happens, on a connection of its own. */
interface Scenario {
  readonly name: string;
  /** Set where it is not for every model. */
  readonly isFor?: (model: TestedModel) => boolean;
  run(there: { app: AppServer; peer: Peer; watch: Watch; model: TestedModel }): Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "the handler gets a Request, and the addresses of the connection",
    async run({ app, peer }) {
      const { content } = await peer.ask("/sees");
      assert.deepEqual(JSON.parse(content), {
        isRequest: true,
        remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: peer.client.localPort },
        localAddr: { transport: "tcp", hostname: "127.0.0.1", port: app.port },
      });
    },
  },
  {
    name: "what a handler throws reaches onError here, with name, message, code and cause",
    async run({ app, peer }) {
      assert.equal((await peer.ask("/throw")).status, 500);
      const error = app.errors.at(-1);
      assert.ok(error instanceof TrivetError);
      assert.equal(error.code, "handler-failed");
      const cause = error.cause as RangeError & { code: string };
      assert.ok(cause instanceof RangeError);
      assert.deepEqual([cause.name, cause.message, cause.code], ["RangeError", "The handler's own words.", "E_OWN"]);
      assert.ok(cause.cause instanceof TypeError);
      assert.match(cause.stack ?? "", /app\.[jt]s/);
      assert.equal(app.errorPaths.at(-1), "/throw");
      assert.equal((await peer.ask("/hello")).content, "hello");
    },
  },
  {
    name: "a thrown value that is no error reaches onError too",
    async run({ app, peer }) {
      assert.equal((await peer.ask("/throw-text")).status, 500);
      assert.equal(app.errors.at(-1)?.cause, "just text");
    },
  },
  ...["", "?at-once", "?in-trailers"].map((where): Scenario => ({
    name: `a thrown value that can't be looked at costs its request alone (${where})`,
    async run({ app, peer }) {
      assert.equal((await peer.ask(`/throw-revoked${where}`, "TE: trailers")).status, 500);
      assert.match(app.errors.at(-1)?.code ?? "", /^(?:handler-failed|response-invalid)$/);
      assert.equal((await peer.ask("/hello")).content, "hello");
    },
  })),
  ...["custom", "custom-later"].map((query): Scenario => ({
    name: `the response that onError gives is what the peer gets (${query})`,
    async run({ peer }) {
      const response = await peer.ask(`/throw?${query}`, "X-Sent: something");
      assert.equal(response.status, 418);
      assert.equal(response.content, "handler-failed: RangeError: The handler's own words.");
      assert.match(response.head, /^x-method: GET\nx-sent: something$/m);
      assert.equal((await peer.ask("/hello")).content, "hello");
    },
  })),
  {
    name: "content that fails half-way is cut off and reported, and everybody else is served on",
    async run({ app, peer, model }) {
      const reportedBefore = app.errors.length;
      peer.get("/stream-fails");
      await peer.client.receiveUntil((received) => received.endsWith("\r\n2\r\nhi\r\n"));
      // A FIN or a reset, as the runtime has it.
      await peer.client.receiveAll().catch(() => {});
      assert.ok(peer.client.received().endsWith("\r\n2\r\nhi\r\n"));
      await until(() => app.errors.length > reportedBefore, () => "Nothing was reported.");
      const error = app.errors[reportedBefore];
      assert.equal(error.code, "response-content-failed");
      assert.deepEqual([(error.cause as Error).name, (error.cause as Error).message], [
        "RangeError",
        "The stream's own words.",
      ]);
      const next = await connectFarAway(model, app);
      assert.equal((await next.ask("/hello")).content, "hello");
      next.destroy();
      assert.equal(app.errors.length, reportedBefore + 1);
    },
  },
  {
    name: "info.completed resolves when the response has left",
    async run({ peer, watch }) {
      assert.equal((await peer.ask("/completed", ...watch.fieldLines)).content, "hello");
      await watch.sees("completed");
    },
  },
  {
    name: "a client that goes away aborts request.signal, and info.completed rejects",
    async run({ peer, watch }) {
      peer.get("/until-aborted", ...watch.fieldLines);
      await watch.sees("called");
      // A FIN alone would be a client that goes on reading.
      peer.client.reset();
      await watch.sees("aborted: TrivetError peer-disconnected");
      await watch.sees("not completed: peer-disconnected");
    },
  },
  {
    name: "a client that goes away in the middle of a stream has it cancelled",
    async run({ peer, watch }) {
      peer.get(`/stream?bytes=${STREAM_BYTES}`, ...watch.fieldLines);
      await peer.client.receiveUntil(CHUNK_BYTES);
      peer.client.reset();
      await watch.sees("cancelled: peer-disconnected");
      await watch.sees("not completed: peer-disconnected");
    },
  },
  ...[0, 1].map((bytes): Scenario => ({
    name: `a stream that always has a next piece, of ${bytes} bytes, lets the event loop turn`,
    run: async ({ peer }) => assert.match((await peer.ask(`/pieces?bytes=${bytes}`)).content, / true$/),
  })),
  {
    name: "what writes to an upgraded connection without waiting lets the event loop turn",
    async run({ peer }) {
      peer.get("/raw-pieces", "Connection: Upgrade", "Upgrade: raw");
      peer.client.end();
      assert.match(await peer.client.receiveAll(), / true$/);
    },
  },
  {
    name: "a client that goes away has a stream of Node destroyed that gives nothing more",
    async run({ peer, watch }) {
      await watch.open();
      peer.get("/node-stream", ...watch.fieldLines);
      await peer.client.receiveUntil((received) => received.endsWith("hi\r\n"));
      peer.client.reset();
      await watch.sees("destroyed");
    },
  },
  ...["", "?fails"].map((query): Scenario => ({
    name: `a stream of Node that comes when the client has gone is destroyed, and may fail (${query})`,
    async run({ app, peer, watch, model }) {
      peer.get(`/node-stream${query}`, ...watch.fieldLines);
      await watch.sees("called");
      peer.client.reset();
      await watch.open();
      await watch.sees("destroyed");
      const next = await connectFarAway(model, app);
      assert.equal((await next.ask("/hello")).content, "hello");
      next.destroy();
    },
  })),
  {
    name: "a response that can't be sent has its stream cancelled",
    async run({ peer, watch }) {
      assert.equal((await peer.ask("/refused", ...watch.fieldLines)).status, 500);
      await watch.sees("cancelled");
    },
  },
  {
    name: "a client that goes away in the middle of content fails its reading",
    async run({ peer, watch }) {
      peer.client.send(head("POST /upload-cut HTTP/1.1", HOST, "Content-Length: 1000", ...watch.fieldLines) + "half");
      await watch.sees("called");
      peer.client.reset();
      await watch.sees("not read: peer-disconnected");
    },
  },
  {
    name: "a response that the client reads slowly is not made ahead of it, and comes whole",
    async run({ peer, watch }) {
      peer.get(`/stream?bytes=${STREAM_BYTES}`, "Connection: close", ...watch.fieldLines);
      await peer.client.receiveUntil(1);
      peer.client.pause();
      const pulls = await stable(() => watch.lines().length);
      // A busy machine lets the client read much before it is stopped.
      const readBytes = peer.client.bytes().byteLength - peer.takenBytes;
      const aheadBytes = pulls * CHUNK_BYTES - readBytes;
      const maxBytes = MAX_AHEAD_BYTES + MAX_GROWTH * readBytes;
      assert.ok(aheadBytes <= maxBytes, `${pulls} chunks were made, and ${readBytes} bytes read`);
      assert.ok(pulls * CHUNK_BYTES < STREAM_BYTES, "the client has stopped reading in time");
      peer.client.resume();
      await peer.client.receiveAll(20_000);
      const content = dechunk(peer.client.bytes().subarray(peer.takenBytes));
      assert.equal(content.byteLength, STREAM_BYTES);
      const chunks = STREAM_BYTES / CHUNK_BYTES;
      for (let i = 0; i < chunks; i++) assert.equal(content[i * CHUNK_BYTES + i % CHUNK_BYTES], (chunks - i) % 251);
      await watch.sees("completed");
    },
  },
  {
    name: "content that the handler reads slowly is not read ahead of it, and comes whole",
    async run({ app, peer, watch }) {
      const before = app.server.stats().bytesReceived;
      peer.client.send(head("POST /upload HTTP/1.1", HOST, `Content-Length: ${UPLOAD.length}`, ...watch.fieldLines));
      peer.client.send(UPLOAD);
      await watch.sees("read");
      const ahead = await stable(() => app.server.stats().bytesReceived) - before;
      assert.ok(ahead <= MAX_UPLOAD_AHEAD_BYTES, `${ahead} bytes were read`);
      await watch.open();
      assert.equal((await peer.response(20_000)).content, `${UPLOAD.length} bytes, sum ${checksum(UPLOAD)}`);
    },
  },
  {
    name: "an upgraded connection carries a megabyte both ways and ends in order",
    async run({ peer, watch }) {
      peer.get("/raw-echo", "Connection: Upgrade", "Upgrade: raw", ...watch.fieldLines);
      assert.equal((await peer.response()).status, 101);
      const content = UPLOAD.slice(0, MIB);
      const before = peer.client.receivedBytes;
      peer.client.send(content);
      peer.client.end();
      await peer.client.receiveAll(10_000);
      assert.equal(peer.client.receivedBytes - before, MIB);
      assert.deepEqual(peer.client.bytes().subarray(before), content);
      await watch.sees("closed");
    },
  },
  {
    name: "an upgraded connection that breaks is told to the handler",
    async run({ peer, watch }) {
      peer.get("/raw-echo", "Connection: Upgrade", "Upgrade: raw", ...watch.fieldLines);
      assert.equal((await peer.response()).status, 101);
      peer.client.reset();
      await watch.sees("broken");
    },
  },
  {
    name: "the health path is answered without the handler, for GET and HEAD alone",
    async run({ peer }) {
      const { status, content } = await peer.ask("/health");
      assert.deepEqual([status, content], [200, "ok\n"]);
      peer.client.send(head("POST /health HTTP/1.1", HOST, "Content-Length: 0"));
      assert.equal((await peer.response()).status, 404);
      peer.client.send(head("HEAD /health HTTP/1.1", HOST, "Connection: close"));
      const answer = await peer.rest();
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Length: 3\r\n[^]*\r\n\r\n$/);
    },
  },
  {
    name: "a request in flight on one connection does not hold up another",
    isFor: ({ connectionsAtOnce }) => connectionsAtOnce > 1,
    async run({ app, peer, watch }) {
      peer.get("/wait", ...watch.fieldLines);
      await watch.sees("called");
      const other = await Peer.connect(app.port);
      assert.equal((await other.ask("/hello")).content, "hello");
      other.destroy();
      await watch.open();
      assert.equal((await peer.response()).content, "waited");
    },
  },
  {
    name: "a handler that computes on its thread holds up neither the health path nor another thread",
    isFor: ({ hasThreads }) => hasThreads,
    async run({ app, peer, watch }) {
      peer.get("/compute?ms=1000", ...watch.fieldLines);
      await watch.sees("called");
      const other = await Peer.connect(app.port);
      assert.equal((await other.ask("/health")).content, "ok\n");
      assert.equal((await other.ask("/hello")).content, "hello");
      assert.ok(!peer.client.received().includes("computed"));
      other.destroy();
      assert.equal((await peer.response()).content, "computed");
    },
  },
];

for (const model of TESTED_MODELS) {
  describe(`exchanges, ${model.name}`, () => {
    let started: Promise<AppServer> | undefined;
    after(async () => void await (await started)?.server.stop());
    for (const scenario of SCENARIOS) {
      if (scenario.isFor?.(model) === false) continue;
      test(scenario.name, async () => {
        started ??= startApp(model, OPTIONS);
        const app = await started;
        const [peer, watch] = [await connectFarAway(model, app), await folder.watch()];
        try {
          await scenario.run({ app, peer, watch, model });
        } finally {
          await watch.open();
          peer.destroy();
        }
      });
    }

    test("afterwards nothing is in flight, no thread was lost, and the server stops in order", async () => {
      const { server } = await started!;
      await until(
        () => server.stats().activeExchanges === 0 && server.stats().connections.open === 0,
        () => JSON.stringify(server.stats()),
      );
      const { threads, workers, queue } = server.stats();
      assert.deepEqual([threads.lost, workers.busy, queue.waiting], [0, 0, 0]);
      assert.equal((await server.shutdown()).aborted, 0);
    });
  });
}

/** A client that sends half a head. */
const HALF_A_HEAD = get("/hello").slice(0, -2);

describe("slow clients", () => {
  for (const model of TESTED_MODELS) {
    const { name, hasLoops } = model;
    const isBounded = ["blocking", "worker-pool"].includes(model.options.model!);
    const served = isBounded ? "wait until a deadline ends the slow ones" : "are served meanwhile";
    const slowCount = model.options.model === "blocking" ? 1 : isBounded ? 2 : 8;

    /** Serves slow clients, which are all that is open, and does something with them. */
    const beside = async (
      headersTimeout: number,
      act: (app: AppServer, slow: readonly Peer[]) => Promise<void>,
    ): Promise<void> => {
      const workers = isBounded && model.options.model !== "blocking" ? { workers: 2 } : {};
      const app = await startApp(model, { headersTimeout, ...workers });
      try {
        const slow = await Promise.all(Array.from({ length: slowCount }, () => Peer.connect(app.port)));
        for (const { client } of slow) client.send(HALF_A_HEAD);
        await until(() => app.server.stats().connections.open === slowCount, () => JSON.stringify(app.server.stats()));
        await act(app, slow);
        for (const { client } of slow) client.destroy();
      } finally {
        await app.server.stop();
      }
    };

    test(`${name}: the others ${served}`, () =>
      // The others are served when it has passed, or long before.
      beside(isBounded ? 300 : 60_000, async ({ server, port }, slow) => {
        const peer = await Peer.connect(port);
        assert.equal((await peer.ask("/hello")).content, "hello");
        if (isBounded) assert.ok(server.stats().errors["head-timeout"]! > 0, "It was served beside the slow ones.");
        else assert.ok(slow.every(({ client }) => client.receivedBytes === 0), "It was served behind the slow ones.");
        peer.destroy();
      }));

    test(`${name}: a deadline ends the slow ones, and they are counted`, () =>
      beside(300, async ({ server }, slow) => {
        for (const { client } of slow) assert.match(await client.receiveAll(), /^HTTP\/1\.1 408 Request Timeout\r\n/);
        if (hasLoops) await until(() => server.stats().errors["head-timeout"] === slowCount, () => "Not counted.");
        assert.equal(server.stats().errors["head-timeout"], slowCount);
      }));
  }
});

/** Waits until a number has not changed for a while. */
async function stable(count: () => number): Promise<number> {
  let last = count();
  let sinceMs = performance.now();
  let looks = 0;
  await until(
    () => {
      const present = count();
      if (present !== last) [sinceMs, looks] = [performance.now(), 0];
      last = present;
      return ++looks > STABLE_LOOKS && performance.now() - sinceMs > STABLE_MS;
    },
    () => `It is ${last} and still changes.`,
    10_000,
  );
  return last;
}

/** The content of a chunked response, as bytes. */
function dechunk(received: Uint8Array): Uint8Array {
  const text = new TextDecoder("latin1");
  let at = 0;
  const lineFrom = (start: number): string => text.decode(received.subarray(start, received.indexOf(10, start) + 1));
  while (lineFrom(at) !== "\r\n") at += lineFrom(at).length;
  at += 2;
  const pieces: Uint8Array[] = [];
  for (;;) {
    const line = lineFrom(at);
    const chunkBytes = Number.parseInt(line, 16);
    if (chunkBytes === 0) break;
    assert.ok(chunkBytes > 0, `No chunk begins at ${at}: ${JSON.stringify(line.slice(0, 20))}.`);
    pieces.push(received.subarray(at + line.length, at + line.length + chunkBytes));
    at += line.length + chunkBytes + 2;
  }
  const content = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.byteLength, 0));
  let end = 0;
  for (const piece of pieces) {
    content.set(piece, end);
    end += piece.byteLength;
  }
  return content;
}
