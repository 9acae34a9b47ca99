/** Topics: who gets what is published, how often it is made, and what becomes of those that do not keep up. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import type { ByteChannel } from "../../src/exchange/byte_channel.ts";
import type { Deflate } from "../../src/runtime.ts";
import { CompressionJobs } from "../../src/websocket/message_compression.ts";
import { FrameSlab } from "../../src/websocket/frame_slab.ts";
import { OpenSockets } from "../../src/websocket/open_sockets.ts";
import { OutgoingFrames } from "../../src/websocket/outgoing_frames.ts";
import { MAX_KEPT_BYTES, SendTurns } from "../../src/websocket/send_turns.ts";
import { SharedMessage } from "../../src/websocket/shared_frames.ts";
import { createMemoryRuntime, type MemoryPeer } from "../support/memory_runtime.ts";
import { type MemoryServer, startMemoryServer } from "../support/memory_server.ts";
import { closePayload, frame, type ServerFrame } from "../support/websocket_frames.ts";
import { framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

/** What asks nothing of a transport. */
const NO_CHANNEL: ByteChannel = {
  takesBorrowed: false,
  write: () => true,
  writeBorrowed: () => true,
  pause() {},
  resume() {},
  end() {},
  ignore() {},
  abort() {},
};

interface Client {
  readonly peer: MemoryPeer;
  readonly socket: ServerWebSocket;
  readonly info: HandlerInfo;
  shown(): string[];
  frames(): ServerFrame[];
}

interface Started extends MemoryServer {
  client(options?: WebSocketOptions, ...fieldLines: string[]): Promise<Client>;
}

async function start(): Promise<Started> {
  let options: WebSocketOptions | undefined;
  let last: { socket: ServerWebSocket; info: HandlerInfo } | null = null;
  const memory = await startMemoryServer((_request, info) => {
    const { response, socket } = info.upgradeWebSocket(options);
    last = { socket, info };
    return response;
  });
  return {
    ...memory,
    async client(given, ...fieldLines) {
      options = given;
      const peer = await memory.send(webSocketRequest("/", ...fieldLines));
      const frames = (): ServerFrame[] => framesOf(peer.received());
      return { peer, ...last!, frames, shown: () => show(frames()) };
    },
  };
}

describe("what is published", () => {
  test("gets to those that have subscribed to its topic, once and in order", async () => {
    const { client, clock, server } = await start();
    const [a, b, c] = [await client(), await client(), await client()];
    a.socket.subscribe("news");
    a.socket.subscribe("news");
    b.socket.subscribe("news");
    b.socket.subscribe("sport");
    c.socket.subscribe("other");
    server.publish("news", "one");
    server.publish("sport", Uint8Array.of(1, 2));
    c.info.publish("news", "two");
    b.socket.send("between");
    server.publish("news", "three");
    server.publish("nothing", "nobody");
    await clock.settle();
    assert.deepEqual(a.shown(), ["text one", "text two", "text three"]);
    assert.deepEqual(b.shown(), ["text one", "binary 0102", "text two", "text between", "text three"]);
    assert.deepEqual(c.shown(), []);
  });

  test("by a socket gets to all others, whether that has subscribed or not", async () => {
    const { client, clock } = await start();
    const [a, b, c] = [await client(), await client(), await client()];
    a.socket.subscribe("room");
    b.socket.subscribe("room");
    a.socket.publish("room", "from a");
    c.socket.publish("room", "from c");
    await clock.settle();
    assert.deepEqual([a.shown(), b.shown(), c.shown()], [["text from c"], ["text from a", "text from c"], []]);
  });

  test("does not get to a socket that has unsubscribed, closes or is closed", async () => {
    const { client, clock, server } = await start();
    const clients = [await client(), await client(), await client(), await client(), await client()];
    for (const { socket } of clients) socket.subscribe("news");
    const [stays, unsubscribes, closes, isClosed, vanishes] = clients;
    unsubscribes.socket.unsubscribe("news");
    unsubscribes.socket.unsubscribe("never subscribed");
    closes.socket.close(4000);
    isClosed.peer.send(frame({ opcode: 8, payload: closePayload(1000) }));
    vanishes.peer.reset();
    await clock.settle();
    server.publish("news", "late");
    closes.socket.subscribe("news");
    await clock.settle();
    const shown = clients.slice(0, 4).map((one) => one.shown());
    assert.deepEqual(shown, [["text late"], [], ["close 4000"], ["close 1000"]]);
    stays.socket.close();
  });

  test("gets to a socket from its open event on, although it has subscribed before", async () => {
    const { connect, clock, server } = await startMemoryServer((_request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      socket.subscribe("news");
      info.publish("news", "too early");
      socket.onopen = () => info.publish("news", "open");
      return response;
    });
    const peer = connect();
    peer.send(webSocketRequest());
    await clock.settle();
    server.publish("news", "later");
    await clock.settle();
    assert.deepEqual(show(framesOf(peer.received())), ["text open", "text later"]);
  });

  test("leaves a socket that gives its response up without a subscription", async () => {
    const { connect, clock, server, reported } = await startMemoryServer((_request, info) => {
      info.upgradeWebSocket().socket.subscribe("news");
      return new Response("no");
    });
    const peer = connect();
    peer.send(webSocketRequest());
    await clock.settle();
    server.publish("news", "later");
    await clock.settle();
    assert.match(peer.received(), /no$/);
    assert.deepEqual(reported, []);
  });

  test("are bytes of the caller, which may change them at once", async () => {
    const { client, clock, server } = await start();
    const compressed = "Sec-WebSocket-Extensions: permessage-deflate";
    const [plain, small] = [await client(), await client({ compress: { threshold: 0 } }, compressed)];
    plain.socket.subscribe("news");
    small.socket.subscribe("news");
    const long = new Uint8Array(40_000).fill(1);
    const short = Uint8Array.of(1, 2, 3);
    server.publish("news", long);
    server.publish("news", short.buffer);
    server.publish("news", new DataView(short.buffer, 1, 1));
    long.fill(9);
    short.fill(9);
    for (let i = 0; i < 50 && small.frames().length < 3; i++) {
      await clock.settle();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const inflate = (payload: Uint8Array): Uint8Array => {
      const { deflate } = createMemoryRuntime();
      return deflate.decompress(new Uint8Array([...payload, 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]), 15, 100_000)!;
    };
    const expected = [new Uint8Array(40_000).fill(1), Uint8Array.of(1, 2, 3), Uint8Array.of(2)];
    assert.deepEqual(plain.frames().map(({ payload }) => new Uint8Array(payload)), expected);
    assert.deepEqual(small.frames().map(({ payload }) => new Uint8Array(inflate(payload))), expected);
  });

  for (
    const [what, act] of Object.entries<(client: Client, server: MemoryServer["server"]) => void>({
      "a topic that is no string": ({ socket }) => socket.subscribe(7 as unknown as string),
      "a publication under one": (_client, server) => server.publish(undefined as unknown as string, "a"),
      "a publication of a socket under one": ({ socket }) => socket.publish(7 as unknown as string, "a"),
      "a Blob": ({ socket }) => socket.publish("news", new Blob(["a"]) as unknown as string),
      "a Blob of the server": (_client, server) => server.publish("news", new Blob(["a"]) as unknown as string),
    })
  ) {
    test(`refuses ${what}`, async () => {
      const { client, server } = await start();
      const one = await client();
      assert.throws(() => act(one, server), TypeError);
    });
  }
});

describe("the frames of what is published", () => {
  const DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";

  /** What each kind of socket is sent. */
  test("are compressed for sockets whose messages stand alone, and plain for those whose messages do not", async () => {
    const { client, clock, server } = await start();
    const compress = { threshold: 100 };
    const clients = [
      await client(),
      await client({ compress }, DEFLATE),
      await client({ compress: { ...compress, contextTakeover: true } }, DEFLATE),
      await client({ compress }),
    ];
    for (const { socket } of clients) socket.subscribe("news");
    const long = "again and ".repeat(100);
    server.publish("news", "short");
    server.publish("news", long);
    await clock.settle();
    const bits = clients.map((one) => one.frames().map(({ rsv, opcode }) => `${rsv} ${opcode}`));
    assert.deepEqual(bits, [["0 1", "0 1"], ["0 1", "4 1"], ["0 1", "0 1"], ["0 1", "0 1"]]);
    assert.equal(new TextDecoder().decode(clients[2].frames()[1].payload), long);
    assert.ok(clients[1].frames()[1].payload.byteLength < 100);
  });

  test("keep the order of what a socket sends, however long something takes to compress", async () => {
    const { client, clock, server } = await start();
    const one = await client({ compress: { threshold: 1_000 } }, DEFLATE);
    one.socket.subscribe("news");
    const numbers = Array.from({ length: 30 }, (_, i) => i);
    for (const i of numbers) {
      // Beyond 16 KiB it is compressed in a stream, below at once.
      server.publish("news", String(i).padStart(i % 3 === 0 ? 40_000 : 2_000, "x"));
      one.socket.send(`own ${i}`);
    }
    one.socket.close(4000);
    for (let i = 0; i < 300 && one.frames().length < 61; i++) {
      await clock.settle();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const { deflate } = createMemoryRuntime();
    const shown = one.frames().map(({ rsv, opcode, payload }) => {
      const bytes = rsv === 4
        ? deflate.decompress(new Uint8Array([...payload, 0, 0, 255, 255, 1, 0, 0, 255, 255]), 15, 50_000)!
        : payload;
      return opcode === 8 ? "close" : new TextDecoder().decode(bytes).replace(/^x+/, "");
    });
    assert.deepEqual(shown, [...numbers.flatMap((i) => [String(i), `own ${i}`]), "close"]);
  });

  test("are made once for each window and level, and once without compression", () => {
    const { deflate, encodeUtf8 } = createMemoryRuntime();
    const calls: string[] = [];
    const counting: Deflate = {
      ...deflate,
      compress: (bytes, windowBits, level) => {
        calls.push(`${windowBits} ${level}`);
        return deflate.compress(bytes, windowBits, level);
      },
    };
    const slab = new FrameSlab(encodeUtf8);
    const message = new SharedMessage("again and again", { slab, deflate: counting, jobs: new CompressionJobs() });
    const frames = [15, 15, 9, 15, 9].map((bits) => message.compressed(bits, 6, 0));
    assert.deepEqual(calls, ["15 6", "9 6"]);
    assert.equal(new Set(frames).size, 2);
    assert.equal(message.compressed(15, 1, 0) === frames[0], false);
    assert.equal(message.compressed(15, 6, 1_000), message.plain);
    assert.equal(message.plain, message.plain);
  });
});

describe("a subscriber that does not keep up", () => {
  test("is cut off when more than maxBufferedAmount waits for it, and no other notices", async () => {
    const { client, clock, server } = await start();
    const [slow, fast] = [await client({ maxBufferedAmount: 1_000_000 }), await client()];
    const closes: number[] = [];
    slow.socket.onclose = ({ code }) => closes.push(code);
    for (const { socket } of [slow, fast]) socket.subscribe("news");
    slow.peer.stopReading();
    for (let i = 0; i < 300; i++) {
      server.publish("news", `${i} `.padEnd(10_000, "x"));
      await clock.settle();
    }
    assert.equal(slow.socket.readyState, 3);
    assert.deepEqual(closes, [1006]);
    assert.equal(server.stats().errors["websocket-backlog"], 1);
    assert.equal(fast.frames().length, 300);
    assert.equal(fast.socket.readyState, 1);
  });

  test("keeps the frames of long messages once for all that have to wait for them", () => {
    const { encodeUtf8, clock } = createMemoryRuntime();
    const slab = new FrameSlab(encodeUtf8);
    const turns = new SendTurns(clock.defer, new OpenSockets(clock));
    const bounds = { compression: null, maxBufferedBytes: Infinity };
    const payloads = [20_000, 70_000].map((length) => new Uint8Array(length));
    const messages = [...payloads, "x".repeat(20_000), "\u00fc".repeat(20_000)]
      .map((message) => new SharedMessage(message, { slab, deflate: null!, jobs: new CompressionJobs() }));
    const kept = Array.from({ length: 3 }, () => {
      const written = new Set<ArrayBuffer>();
      const frames = new OutgoingFrames(slab, turns, null, bounds, () => {}, () => {});
      const write = ({ buffer }: Uint8Array<ArrayBuffer>) => (written.add(buffer), true);
      frames.open({ ...NO_CHANNEL, write });
      frames.isCongested = true;
      for (const message of messages) frames.addShared(message);
      frames.drained();
      return [...written];
    });
    assert.equal(kept[0].length, messages.length);
    for (const buffers of kept) assert.ok(buffers.every((buffer, i) => buffer === kept[0][i]));
  });

  test("may have its neighbours closed by the handler that hears of it", async () => {
    const { client, clock, server } = await start();
    const clients: Client[] = [];
    for (let i = 0; i < 6; i++) clients.push(await client({ maxBufferedAmount: 100_000 }));
    for (const { socket, peer } of clients) {
      socket.subscribe("news");
      socket.onclose = () => {
        for (const other of clients) other.socket.close();
      };
      peer.stopReading();
    }
    for (let i = 0; i < 100; i++) server.publish("news", "x".repeat(10_000));
    await clock.settle();
    assert.deepEqual(clients.map(({ socket }) => socket.readyState >= 2), Array(6).fill(true));
  });

  test("is closed when its handler hears of it, which may send what it likes then", async () => {
    const { client, clock, server, reported } = await start();
    const { socket, peer } = await client({ maxBufferedAmount: 50_000 });
    const states: string[] = [];
    const answer = (event: Event): void => {
      states.push(`${event.type} ${socket.readyState}`);
      socket.send("x".repeat(100_000));
      socket.close();
    };
    socket.onerror = answer;
    socket.onclose = answer;
    socket.subscribe("news");
    peer.stopReading();
    for (let i = 0; i < 30; i++) server.publish("news", "x".repeat(10_000));
    await clock.settle();
    assert.deepEqual(states, ["error 3", "close 3"]);
    assert.deepEqual(reported.map(({ code }) => code), ["too-late"]);
  });

  test("gets what waits for it when it reads again, in order, as small messages of several topics", async () => {
    const { client, clock, server } = await start();
    const slow = await client();
    slow.socket.subscribe("a");
    slow.socket.subscribe("b");
    slow.peer.stopReading();
    server.publish("a", "x".repeat(200_000));
    await clock.settle();
    const expected: string[] = [];
    for (let i = 0; i < 3_000; i++) {
      server.publish(i % 2 === 0 ? "a" : "b", `message ${i}`);
      // Between two that it gets stands one that it does not.
      server.publish("c", `other ${i}`);
      expected.push(`text message ${i}`);
      if (i % 500 === 0) await clock.settle();
    }
    slow.peer.read();
    for (let i = 0; i < 100 && slow.frames().length < 3_001; i++) await clock.settle();
    assert.deepEqual(slow.shown().slice(1), expected);
  });

  test("is one of a thousand, whose memory is bounded, and others are not held up", async () => {
    const { client, clock, server } = await start();
    const stuck: Client[] = [];
    for (let i = 0; i < 1_000; i++) stuck.push(await client());
    const reads = await client();
    for (const { socket, peer } of [...stuck, reads]) {
      socket.subscribe("news");
      if (peer !== reads.peer) peer.stopReading();
    }
    const message = "x".repeat(100_000);
    let most = 0;
    for (let i = 0; i < 10; i++) {
      server.publish("news", message);
      await clock.settle();
      most = Math.max(most, stuck.reduce((sum, { socket }) => sum + socket.bufferedAmount, 0));
      assert.equal(reads.frames().length, i + 1);
    }
    assert.ok(most <= MAX_KEPT_BYTES, `${most} bytes`);
    const lost = stuck.filter(({ socket }) => socket.readyState === 3).length;
    assert.ok(lost > 500 && lost < 1_000, `${lost} were lost`);
    assert.equal(server.stats().errors["websocket-backlog"], lost);
  });

  test("is lost, the one with the most first, when too much waits for all of a thread together", async () => {
    const { clock } = createMemoryRuntime();
    const open = new OpenSockets(clock);
    const turns = new SendTurns(clock.defer, open);
    const lost: string[] = [];
    const add = (name: string, keptBytes: number): void => {
      const socket = {
        placeAmongOpen: 0,
        keptBytes,
        tick: () => {},
        goAway: () => {},
        loseForAll: () => {
          lost.push(name);
          turns.keptBytesChanged(-keptBytes);
          open.remove(socket);
        },
      };
      open.add(socket, 1_000);
      turns.keptBytesChanged(keptBytes);
    };
    const half = MAX_KEPT_BYTES / 2;
    add("little", 1_000);
    add("most", half);
    add("less", half - 1_000);
    turns.relieve();
    assert.deepEqual(lost, [], "as much as may wait");
    add("one more", 2_000);
    turns.relieve();
    assert.deepEqual(lost, ["most"]);
    add("again", half - 10_000);
    add("and again", half + 1);
    turns.relieve();
    assert.deepEqual(lost, ["most", "and again"]);
    add("echoed", half - 10_000);
    add("echoed too", half + 1);
    assert.deepEqual(lost, ["most", "and again"], "not while it is being sent to");
    await clock.settle();
    assert.deepEqual(lost, ["most", "and again", "echoed too", "less"], "whatever has sent what waits");
  });
});
