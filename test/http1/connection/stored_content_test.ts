/**
 * Content that lies in a file or a Blob: it is read into memory that is used again, by one read at a time, no further
 * than the client takes it, and let go of however its response ends.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../../runtime/detect.ts";
import { HttpResponse } from "../../../mod.ts";
import type { StoredBytes } from "../../../src/runtime.ts";
import { streamStored } from "../../../src/web/part_sources.ts";
import { createMemoryRuntime } from "../../support/memory_runtime.ts";
import {
  createGate,
  createMemoryServer,
  get,
  type MemoryServer,
  startMemoryServer,
  statuses,
} from "../../support/memory_server.ts";

const runtime = detectRuntime();
const KIB = 1024;
const PART_BYTES = 256 * KIB;
const SMALL_PART_BYTES = 64 * KIB;
/** So many responses may be under way, each of which has a large part. */
const MAX_PARTS = 32;

/** Bytes that tell where they are from. */
function patternAt(at: number): number {
  return (at * 31 + (at >> 8)) & 0xff;
}

interface Stored extends StoredBytes {
  /** How large the buffers were. */
  readonly asked: number[];
  /** Where they lie. */
  readonly buffers: ArrayBufferLike[];
  isClosed: boolean;
  /** Waited for by each read. */
  gate: Promise<unknown>;
}

/** Stored bytes that note what is done to them. */
function store(byteLength: number, read?: StoredBytes["read"]): Stored {
  const stored: Stored = {
    byteLength,
    asked: [],
    buffers: [],
    isClosed: false,
    gate: Promise.resolve(),
    async read(buffer, position) {
      stored.asked.push(buffer.byteLength);
      stored.buffers.push(buffer.buffer);
      await stored.gate;
      if (read !== undefined) return await read(buffer, position);
      buffer.forEach((_, at) => buffer[at] = patternAt(position + at));
      return buffer.byteLength;
    },
    close: () => Promise.resolve(void (stored.isClosed = true)),
  };
  return stored;
}

function respond(stored: StoredBytes, start = 0, end = stored.byteLength): Response {
  return new HttpResponse(streamStored(stored, start, end), { headers: { "content-length": String(end - start) } });
}

/** A server that answers with each of these in turn. */
async function startWith(...all: readonly StoredBytes[]): Promise<MemoryServer> {
  const left = [...all];
  return await startMemoryServer(() => respond(left.shift()!), { writeTimeout: 0 });
}

/** Whether what was received is the content from `start` on. */
function assertPattern(content: string, start: number, byteLength: number): void {
  assert.equal(content.length, byteLength);
  for (let at = 0; at < byteLength; at++) {
    if (content.charCodeAt(at) !== patternAt(start + at)) assert.fail(`another byte at ${at}`);
  }
}

const contentOf = (received: string): string => received.slice(received.indexOf("\r\n\r\n") + 4);

describe("stored content", () => {
  for (const byteLength of [0, 1, 8 * KIB, 64 * KIB, 64 * KIB + 1, PART_BYTES, PART_BYTES + 1, 1_000_000]) {
    test(`comes whole, in as few reads as its parts are: ${byteLength} bytes`, async () => {
      const stored = store(byteLength);
      const { send } = await startWith(stored);
      const peer = await send(get());
      assertPattern(contentOf(peer.received()), 0, byteLength);
      assert.equal(stored.asked.length, Math.ceil(byteLength / PART_BYTES));
      assert.ok(stored.isClosed);
    });
  }

  test("comes whole where a read gives less than it was asked for", async () => {
    const stored = store(500_000, (buffer, position) => {
      const readBytes = Math.min(buffer.byteLength, 1 + position % 70_000);
      for (let at = 0; at < readBytes; at++) buffer[at] = patternAt(position + at);
      return Promise.resolve(readBytes);
    });
    const { send } = await startWith(stored);
    assertPattern(contentOf((await send(get())).received()), 0, 500_000);
    assert.ok(stored.isClosed);
  });

  test("may be a part of what is there", async () => {
    const stored = store(500_000);
    const { send } = await startMemoryServer(() => respond(stored, 100_000, 400_001));
    assertPattern(contentOf((await send(get())).received()), 100_000, 300_001);
  });

  test("comes in order on a connection with other responses, whichever is read first", async () => {
    const slow = store(300_000);
    const gate = createGate();
    slow.gate = gate.opened;
    const { send, clock } = await startWith(slow, store(200_000), store(100));
    const peer = await send(get() + get() + get());
    assert.equal(peer.received(), "");
    gate.open();
    await clock.settle();
    const parts = peer.received().split("HTTP/1.1 200 OK\r\n").slice(1).map(contentOf);
    [300_000, 200_000, 100].forEach((byteLength, at) => assertPattern(parts[at], 0, byteLength));
  });

  test("is chunked with trailers, and each part is a chunk", async () => {
    const stored = store(300_000);
    const { send } = await startMemoryServer((_, info) => {
      info.sendTrailers(() => ({ "x-end": "1" }));
      return new HttpResponse(streamStored(stored));
    });
    const received = (await send(get("/", "TE: trailers", "Connection: TE"))).received();
    const [, first, second, end] = /\r\n\r\n40000\r\n(.{262144})\r\n93e0\r\n(.{37856})\r\n0\r\n(.*)$/s.exec(received)!;
    assertPattern(first + second, 0, 300_000);
    assert.equal(end, "x-end: 1\r\n\r\n");
  });

  test("is read by a handler as any other stream", async () => {
    const stored = store(200_000);
    const { send } = await startMemoryServer(async () => {
      const reader = streamStored(stored).getReader();
      const first = await reader.read();
      reader.releaseLock();
      const rest = streamStored(stored, first.value!.byteLength);
      return new HttpResponse(rest);
    });
    const peer = await send(get());
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.deepEqual(stored.asked, [SMALL_PART_BYTES, 200_000 - SMALL_PART_BYTES]);
  });

  test("of which a handler has read the start goes on behind that", async () => {
    const stored = store(200_000);
    const { send } = await startMemoryServer(async () => {
      const stream = streamStored(stored);
      const reader = stream.getReader();
      await reader.read();
      reader.releaseLock();
      const headers = new Headers({ "content-length": String(200_000 - SMALL_PART_BYTES) });
      // A Response would refuse it.
      return { status: 200, statusText: "", headers, body: stream } as Response;
    });
    const content = contentOf((await send(get())).received());
    assertPattern(content, SMALL_PART_BYTES, 200_000 - SMALL_PART_BYTES);
    assert.ok(stored.isClosed);
  });
});

describe("stored content is let go of", () => {
  test("unread, for HEAD", async () => {
    const stored = store(200_000);
    const { send } = await startWith(stored);
    const peer = await send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.match(peer.received(), /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*content-length: 200000\r\n/i);
    assert.deepEqual([stored.asked, stored.isClosed], [[], true]);
  });

  test("when it can't be read at all, which is a 500", async () => {
    const stored = store(200_000, () => Promise.reject(new Error("The disk is gone.")));
    const { send, reported } = await startWith(stored);
    const peer = await send(get());
    assert.deepEqual([statuses(peer.received()), stored.isClosed], [[500], true]);
    assert.deepEqual(reported.map(({ code, cause }) => [code, (cause as Error).message]), [
      ["response-content-failed", "The disk is gone."],
    ]);
  });

  test("when it has become shorter in the middle, and the connection is closed", async () => {
    const stored = store(600_000, (buffer, position) => Promise.resolve(position === 0 ? buffer.byteLength : 0));
    const { send, reported } = await startWith(stored);
    const peer = await send(get());
    assert.deepEqual([peer.serverSide, stored.isClosed], ["closed", true]);
    assert.deepEqual(reported.map(({ cause }) => (cause as Error).message), [
      "The file has become shorter while it was sent.",
    ]);
  });

  test("when it is longer than its Content-Length, which is a 500", async () => {
    const stored = store(300_000);
    const { send, reported } = await startMemoryServer(() => {
      return new HttpResponse(streamStored(stored), { headers: { "content-length": "1000" } });
    });
    const peer = await send(get());
    assert.deepEqual([statuses(peer.received()), reported.map(({ code }) => code), stored.isClosed], [[500], [
      "response-content-length-mismatch",
    ], true]);
  });

  test("when its client leaves while it is read", async () => {
    const stored = store(600_000);
    const gate = createGate();
    stored.gate = gate.opened;
    const { send, clock, server } = await startWith(stored);
    const peer = await send(get());
    peer.reset();
    await clock.settle();
    assert.deepEqual([stored.isClosed, server.stats().connections.open], [true, 0]);
    gate.open();
    await clock.settle();
    assert.equal(stored.asked.length, 1);
  });

  test("when its first read takes longer than a handler may", async () => {
    const stored = store(600_000);
    const gate = createGate();
    stored.gate = gate.opened;
    const { send, clock, reported } = await startMemoryServer(() => respond(stored), { handlerTimeout: 400 });
    const peer = await send(get());
    await clock.advance(1_000);
    assert.deepEqual([statuses(peer.received()), stored.isClosed], [[503], true]);
    assert.deepEqual(reported.map(({ code }) => code), ["handler-timeout"]);
    gate.open();
    await clock.settle();
    assert.equal(stored.asked.length, 1);
  });

  test("when its client leaves while it takes nothing", async () => {
    const stored = store(5_000_000);
    const { clock, server, connect } = await startWith(stored);
    const peer = connect();
    peer.stopReading(10);
    peer.send(get());
    await clock.settle();
    assert.ok(stored.asked.length <= 2, "it is read no further than the client takes it");
    peer.reset();
    await clock.settle();
    assert.deepEqual([stored.isClosed, server.stats().connections.open], [true, 0]);
  });
});

describe("the memory into which stored content is read", () => {
  test("is used again by the next response, and by no other as long as one has it", async () => {
    const first = [store(400_000), store(400_000)];
    const second = [store(400_000), store(400_000)];
    const { send, clock } = await startWith(...first, ...second);
    const gate = createGate();
    for (const stored of first) stored.gate = gate.opened;
    const waiting = [await send(get()), await send(get())];
    gate.open();
    await clock.settle();
    for (const peer of waiting) assertPattern(contentOf(peer.received()), 0, 400_000);
    assert.notEqual(first[0].buffers[0], first[1].buffers[0]);
    for (const stored of second) {
      assertPattern(contentOf((await send(get())).received()), 0, 400_000);
      assert.ok(stored.buffers.every((buffer) => first.some(({ buffers }) => buffers.includes(buffer))));
    }
  });

  test("is large for so many responses at once, and small for others, and none is lost however they end", async () => {
    const ENDS: readonly ((peer: { reset(): void; read(): void }) => void)[] = [
      (peer) => peer.reset(),
      (peer) => peer.read(),
    ];
    for (const isReading of [true, false]) {
      for (const end of ENDS) {
        const read: StoredBytes["read"] = (buffer) => Promise.resolve(buffer.byteLength);
        const all = Array.from({ length: MAX_PARTS + 5 }, () => store(600_000, read));
        const gate = createGate();
        if (isReading) all.forEach((stored) => stored.gate = gate.opened);
        const { connect, clock, server } = await startWith(...all);
        const peers = all.map(() => connect());
        for (const peer of peers) {
          peer.stopReading(10);
          peer.send(get());
        }
        await clock.settle();
        const asked = all.map((stored) => stored.asked[0]);
        assert.equal(asked.filter((byteLength) => byteLength === PART_BYTES).length, MAX_PARTS);
        assert.equal(asked.filter((byteLength) => byteLength === SMALL_PART_BYTES).length, 5);
        if (!isReading) gate.open();
        for (const peer of peers) end(peer);
        gate.open();
        await clock.settle();
        assert.ok(all.every(({ isClosed }) => isClosed));
        await server.stop();
      }
    }
  });
});

// Those of Bun do not.
describe("a stream of bytes that fills the memory of its reader", { skip: runtime.name === "bun" }, () => {
  const BYTES = 900_000;
  const CHUNK_BYTES = 60_000;

  /** Pieces in order, as a source gives them that knows no reader's memory. */
  function* pieces(): Generator<Uint8Array<ArrayBuffer>> {
    for (let at = 0; at < BYTES; at += CHUNK_BYTES) {
      yield new Uint8Array(CHUNK_BYTES).map((_, offset) => patternAt(at + offset));
    }
  }

  /** Fills what it is given. */
  function filling(asked: number[], autoAllocateChunkSize?: number): UnderlyingByteSource {
    let at = 0;
    return {
      type: "bytes",
      autoAllocateChunkSize,
      pull(controller) {
        const request = controller.byobRequest;
        if (request === null) {
          controller.enqueue(new Uint8Array(CHUNK_BYTES).map((_, offset) => patternAt(at + offset)));
          at += CHUNK_BYTES;
          return;
        }
        const view = new Uint8Array(request.view!.buffer, request.view!.byteOffset, request.view!.byteLength);
        asked.push(view.byteLength);
        const readBytes = Math.min(view.byteLength, BYTES - at);
        for (let offset = 0; offset < readBytes; offset++) view[offset] = patternAt(at + offset);
        at += readBytes;
        if (readBytes === 0) controller.close();
        request.respond(readBytes);
      },
    };
  }

  /** Gives pieces, whatever its reader has, and closes without a word to a read under way. */
  function unaware(end: (controller: ReadableByteStreamController) => void): UnderlyingByteSource {
    const left = pieces();
    return {
      type: "bytes",
      async pull(controller) {
        await null;
        const { done, value } = left.next();
        if (done) end(controller);
        else controller.enqueue(value);
      },
    };
  }

  function streamFrom(source: UnderlyingByteSource): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream(source) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  /** The content of a chunked response, and whether it has ended. */
  async function receive(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    const responseContents = { ...runtime.responseContents(Response), streamsFill: true };
    const started = createMemoryServer(createMemoryRuntime({ responseContents }), {}, () => new HttpResponse(stream));
    await started.server.ready();
    const peer = await started.send(get());
    let content = "";
    let rest = contentOf(peer.received());
    let byteLength = -1;
    while (rest !== "" && byteLength !== 0) {
      const lineEnd = rest.indexOf("\r\n");
      byteLength = parseInt(rest.slice(0, lineEnd), 16);
      content += rest.slice(lineEnd + 2, lineEnd + 2 + byteLength);
      rest = rest.slice(lineEnd + 4 + byteLength);
    }
    return { ...started, peer, content, hasEnded: byteLength === 0 };
  }

  for (const allocatedBytes of [undefined, 64 * KIB]) {
    test(`is given memory of the server once it has given large pieces: allocates ${allocatedBytes}`, async () => {
      const asked: number[] = [];
      const { content, hasEnded } = await receive(streamFrom(filling(asked, allocatedBytes)));
      assertPattern(content, 0, BYTES);
      assert.ok(hasEnded);
      assert.ok(asked.filter((byteLength) => byteLength === PART_BYTES).length >= 2, String(asked));
    });
  }

  const OTHERS: readonly (readonly [name: string, make: () => ReadableStream<Uint8Array<ArrayBuffer>>])[] = [
    ["gives its own pieces", () => streamFrom(unaware((controller) => controller.close()))],
    ["ends the read under way", () => {
      return streamFrom(unaware((controller) => {
        controller.close();
        controller.byobRequest?.respond(0);
      }));
    }],
    ["is none", () => ReadableStream.from(pieces())],
  ];
  for (const [name, make] of OTHERS) {
    test(`comes whole, and ends, where it ${name}`, async () => {
      const { content, hasEnded } = await receive(make());
      assertPattern(content, 0, BYTES);
      assert.ok(hasEnded);
    });
  }

  test("fails as others do", async () => {
    const failing = streamFrom(unaware((controller) => controller.error(new Error("The disk is gone."))));
    const { content, hasEnded, peer, reported } = await receive(failing);
    assertPattern(content, 0, BYTES);
    assert.deepEqual([hasEnded, peer.serverSide], [false, "closed"]);
    assert.deepEqual(reported.map(({ cause }) => (cause as Error).message), ["The disk is gone."]);
  });

  test("is cancelled when its client leaves, and the memory is the server's again", async () => {
    for (let rounds = 0; rounds < MAX_PARTS + 1; rounds++) {
      const asked: number[] = [];
      const cancelled = createGate<{ code: string }>();
      const source = filling(asked);
      const stream = streamFrom({
        ...source,
        pull: (controller) => asked.length === 2 ? new Promise(() => {}) : source.pull!(controller),
        cancel: (reason) => cancelled.open(reason),
      });
      const { peer, clock } = await receive(stream);
      peer.reset();
      await clock.settle();
      assert.equal((await cancelled.opened).code, "peer-disconnected");
      assert.ok(asked.every((byteLength) => byteLength === PART_BYTES), `${asked} in round ${rounds}`);
    }
  });
});
