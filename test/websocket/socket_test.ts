/** The WebSocket a handler has: the Web's interface, and what its handler may do wrong. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import type { ByteChannel } from "../../src/exchange/byte_channel.ts";
import { FrameSlab } from "../../src/websocket/frame_slab.ts";
import { OutgoingFrames } from "../../src/websocket/outgoing_frames.ts";
import type { SendTurns } from "../../src/websocket/send_turns.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, type MemoryServer, startMemoryServer } from "../support/memory_server.ts";
import { closePayload, concat, frame, type ServerFrame } from "../support/websocket_frames.ts";
import { framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

/** A client that is connected, and the socket its handler has. */
export interface Client {
  readonly peer: MemoryPeer;
  readonly socket: ServerWebSocket;
  /** Sends frames, and lets everything settle. */
  send(...frames: readonly Uint8Array[]): Promise<void>;
  /** What the server has sent. */
  shown(): string[];
  frames(): ServerFrame[];
}

interface Started extends MemoryServer {
  client(options?: WebSocketOptions): Promise<Client>;
}

/** Starts a server whose handler leaves its sockets to the test. */
async function start(
  use: (socket: ServerWebSocket, info: HandlerInfo) => void = () => {},
  serveOptions: ServeOptions = {},
): Promise<Started> {
  let options: WebSocketOptions | undefined;
  let last: ServerWebSocket | null = null;
  const memory = await startMemoryServer((_request, info) => {
    const { response, socket } = info.upgradeWebSocket(options);
    last = socket;
    use(socket, info);
    return response;
  }, serveOptions);
  return {
    ...memory,
    async client(given) {
      options = given;
      const peer = await memory.send(webSocketRequest());
      const frames = (): ServerFrame[] => framesOf(peer.received());
      return {
        peer,
        socket: last!,
        frames,
        shown: () => show(frames()),
        async send(...sent) {
          for (const one of sent) peer.send(one);
          await memory.clock.settle();
        },
      };
    },
  };
}

const text = (payload: string): Uint8Array => frame({ opcode: 1, payload });
const close = (code?: number, reason = ""): Uint8Array =>
  frame({ opcode: 8, payload: code === undefined ? "" : closePayload(code, reason) });

describe("the Web's interface", () => {
  test("has the states of the Web, and its events in order", async () => {
    const log: string[] = [];
    const { client, clock } = await start((socket) => {
      const note = (what: string): void => void log.push(`${what} ${socket.readyState}`);
      note("upgraded");
      socket.onopen = () => note("onopen");
      socket.addEventListener("open", () => note("open"));
      socket.onmessage = ({ data }) => note(`message ${data}`);
      socket.onclose = ({ code, reason, wasClean }) => note(`close ${code} ${reason} ${wasClean}`);
    });
    const { send, peer } = await client();
    await send(text("a"), text("b"));
    await send(close(1000, "bye"));
    log.push("closing");
    peer.end();
    await clock.settle();
    assert.deepEqual(log, [
      "upgraded 0",
      "onopen 1",
      "open 1",
      "message a 1",
      "message b 1",
      "closing",
      "close 1000 bye true 3",
    ]);
  });

  test("has the type of the Web's WebSocket, for functions that are written for that", async () => {
    const { client } = await start();
    const { socket, send, shown } = await client();
    const echoTo = (web: WebSocket): void => {
      web.onmessage = (event: MessageEvent<string>) => web.send(event.data);
    };
    echoTo(socket);
    await send(text("typed"));
    assert.deepEqual(shown(), ["text typed"]);
  });

  test("gives bytes as a Blob or as an ArrayBuffer", async () => {
    const { client, clock } = await start();
    const { socket, send } = await client();
    const got: unknown[] = [];
    socket.onmessage = ({ data }) => got.push(data);
    assert.equal(socket.binaryType, "blob");
    await send(frame({ opcode: 2, payload: "blob" }));
    socket.binaryType = "arraybuffer";
    await send(frame({ opcode: 2, payload: "whole" }));
    await send(frame({ opcode: 2, payload: "in two", fin: false }), frame({ opcode: 0, payload: " pieces" }));
    socket.binaryType = "nodebuffer" as "blob";
    assert.equal(socket.binaryType, "arraybuffer");
    await clock.settle();
    assert.ok(got[0] instanceof Blob);
    assert.equal(await got[0].text(), "blob");
    assert.ok(got[1] instanceof ArrayBuffer && got[2] instanceof ArrayBuffer);
    assert.deepEqual(got.slice(1).map((buffer) => new TextDecoder().decode(buffer as ArrayBuffer)), [
      "whole",
      "in two pieces",
    ]);
  });

  test("takes text and bytes of every kind, and copies them", async () => {
    const { client, clock } = await start();
    const { socket, shown } = await client();
    const bytes = Uint8Array.of(1, 2, 3, 4);
    socket.send("text");
    socket.send(bytes);
    socket.send(bytes.subarray(1, 3));
    socket.send(bytes.buffer);
    socket.send(new DataView(bytes.buffer, 2));
    socket.send(new Uint16Array([0x0102]));
    socket.send(new Blob(["blob"]));
    socket.send("behind the blob");
    socket.send("\ud800 alone");
    socket.send(17 as unknown as string);
    bytes.fill(0xff);
    await clock.settle();
    await clock.settle();
    assert.deepEqual(shown(), [
      "text text",
      "binary 01020304",
      "binary 0203",
      "binary 01020304",
      "binary 0304",
      "binary 0201",
      "binary 626c6f62",
      "text behind the blob",
      "text \ufffd alone",
      "text 17",
    ]);
  });

  for (const length of [0, 1, 41, 42, 63, 64, 125, 126, 5_000, 21_845, 65_535, 65_536, 100_000]) {
    for (const char of ["a", "ä", "€", "𝄞"]) {
      test(`sends ${length} times ${char}`, async () => {
        const { client, clock } = await start();
        const { socket, shown } = await client();
        socket.send(char.repeat(length));
        socket.send("next");
        await clock.settle();
        assert.deepEqual(shown(), [`text ${char.repeat(length)}`, "text next"]);
      });
    }
  }

  test("counts what was sent and not taken", async () => {
    const { client, clock } = await start();
    const { socket, peer } = await client();
    socket.send("hellö");
    assert.equal(socket.bufferedAmount, 6);
    await clock.settle();
    assert.equal(socket.bufferedAmount, 0);
    peer.stopReading();
    socket.send(new Uint8Array(300_000));
    await clock.settle();
    assert.ok(socket.bufferedAmount > 100_000 && socket.bufferedAmount <= 300_000, String(socket.bufferedAmount));
    peer.read();
    await clock.settle();
    await clock.settle();
    assert.equal(socket.bufferedAmount, 0);
  });

  const SENT: Readonly<Record<string, (socket: ServerWebSocket, server: MemoryServer["server"]) => void>> = {
    "a long message, and one behind it": (socket) => {
      socket.send("x".repeat(60_000));
      socket.send(new Uint8Array(10_000));
    },
    "many messages": (socket) => {
      for (let i = 0; i < 70; i++) socket.send(new Uint8Array(1_000));
    },
    "a Blob": (socket) => socket.send(new Blob([new Uint8Array(70_000)])),
    "what was published": (socket, server) => {
      socket.subscribe("topic");
      for (let i = 0; i < 7; i++) server.publish("topic", "x".repeat(10_000));
    },
  };
  for (const [what, act] of Object.entries(SENT)) {
    test(`counts ${what}, of which a client takes nothing`, async () => {
      const { client, clock, server } = await start();
      const { socket, peer } = await client();
      peer.stopReading(0);
      socket.send(new Uint8Array(50_000));
      assert.equal(socket.bufferedAmount, 50_000);
      act(socket, server);
      assert.equal(socket.bufferedAmount, 120_000);
      await clock.settle();
      assert.equal(socket.bufferedAmount, 120_000);
      peer.read();
      for (let turn = 0; turn < 10; turn++) await clock.settle();
      assert.equal(socket.bufferedAmount, 0);
    });
  }

  test("refuses to send before it is open, and drops what is sent behind its close", async () => {
    const { client, clock, reported } = await start((socket) => {
      assert.throws(() => socket.send("early"), { name: "InvalidStateError" });
    });
    const { socket, shown } = await client();
    socket.send("before");
    socket.close();
    await clock.settle();
    assert.deepEqual(shown(), ["text before", "close 1005"]);
    assert.deepEqual(reported, []);
  });

  for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1.5, NaN]) {
    test(`does not close with the code ${code}`, async () => {
      const { client } = await start();
      const { socket } = await client();
      assert.throws(() => socket.close(code), { name: "InvalidAccessError" });
      assert.equal(socket.readyState, 1);
    });
  }

  test("closes with a code and a reason, which has at most 123 bytes", async () => {
    const { client, clock } = await start();
    const { socket, frames, send, peer } = await client();
    assert.throws(() => socket.close(4000, "ä".repeat(62)), { name: "SyntaxError" });
    socket.close(4000, "ä".repeat(61) + "x");
    assert.equal(socket.readyState, 2);
    await clock.settle();
    assert.deepEqual(frames()[0].payload, closePayload(4000, "ä".repeat(61) + "x"));
    assert.equal(peer.serverSide, "open", "the client's Close is awaited");
    await send(text("dropped"), close(4000));
    assert.equal(peer.serverSide, "ended");
  });

  test("closes once it is open when it was closed before", async () => {
    const log: string[] = [];
    const { client, clock } = await start((socket) => {
      socket.close(4001, "not you");
      assert.equal(socket.readyState, 2);
      socket.onopen = () => log.push("open");
      socket.onclose = ({ code }) => log.push(`close ${code}`);
    });
    const { shown, send, peer } = await client();
    assert.deepEqual(shown(), ["close 4001"]);
    await send(close(4001));
    peer.end();
    await clock.settle();
    assert.deepEqual(log, ["close 4001"]);
  });

  test("calls listeners once, with their options, in order, and with the socket as target", async () => {
    const { client } = await start();
    const { socket, send } = await client();
    const log: string[] = [];
    const controller = new AbortController();
    const twice = (): void => void log.push("twice");
    socket.addEventListener("message", twice);
    socket.addEventListener("message", twice);
    socket.addEventListener("message", () => log.push("once"), { once: true });
    socket.addEventListener("message", () => log.push("until aborted"), { signal: controller.signal });
    socket.addEventListener("message", {
      handleEvent(event: Event) {
        log.push(`object ${event.target === socket} ${event.currentTarget === socket} ${event.type}`);
      },
    });
    socket.addEventListener("message", (event) => event.stopImmediatePropagation());
    socket.addEventListener("message", () => log.push("never"));
    socket.onmessage = function (this: unknown) {
      log.push(`handler ${this === socket}`);
    };
    await send(text("1"));
    assert.deepEqual(log.splice(0), [
      "handler true",
      "twice",
      "once",
      "until aborted",
      "object true true message",
    ]);
    controller.abort();
    socket.removeEventListener("message", twice);
    socket.onmessage = null;
    await send(text("2"));
    assert.deepEqual(log, ["object true true message"]);
    assert.ok(socket instanceof EventTarget);
  });

  test("answers a Ping, and sends its own", async () => {
    const { client, clock } = await start();
    const { socket, send, shown } = await client();
    await send(frame({ opcode: 9, payload: "a" }));
    socket.ping();
    socket.ping("b");
    socket.ping(Uint8Array.of(0x63));
    assert.throws(() => socket.ping("p".repeat(126)), RangeError);
    await clock.settle();
    assert.deepEqual(shown(), ["pong a", "ping ", "ping b", "ping c"]);
  });

  test("tells how it was closed to whatever waits for that, before and behind", async () => {
    const { client, clock } = await start();
    const { socket, send, peer } = await client();
    const before = socket.closed;
    await send(close(4002, "why"));
    peer.end();
    await clock.settle();
    const expected = { code: 4002, reason: "why", wasClean: true };
    assert.deepEqual(await before, expected);
    assert.deepEqual(await socket.closed, expected);
  });
});

describe("a client that goes without a Close", () => {
  for (const [name, leave] of [["FIN", "end"], ["a reset", "reset"]] as const) {
    test(`by ${name}: 1006, and the connection is closed`, async () => {
      const log: string[] = [];
      const { client, clock, reported, server } = await start((socket) => {
        socket.onerror = () => log.push("error");
        socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
      });
      const { peer, send } = await client();
      await send(text("a"));
      peer[leave]();
      await clock.settle();
      assert.deepEqual(log, ["close 1006 false"]);
      assert.equal(peer.serverSide, "closed");
      assert.deepEqual(reported, []);
      assert.equal(server.stats().connections.open, 0);
    });
  }
});

describe("what a handler does wrong", () => {
  test("an event handler that throws, or whose promise rejects, is reported and harms nothing", async () => {
    const { client, reported } = await start((socket) => {
      socket.onopen = () => {
        throw new Error("in onopen");
      };
      socket.onmessage = async ({ data }) => {
        await Promise.resolve();
        throw new Error(`in onmessage ${data}`);
      };
      socket.addEventListener("message", () => {
        throw new Error("in a listener");
      });
      socket.addEventListener("message", ({ data }) => socket.send(data));
    });
    const [first, second] = [await client(), await client()];
    await first.send(text("a"));
    await second.send(text("b"));
    assert.deepEqual(first.shown(), ["text a"]);
    assert.deepEqual(second.shown(), ["text b"]);
    assert.deepEqual(reported.map(({ code, cause }) => `${code}: ${(cause as Error).message}`).sort(), [
      "handler-failed: in a listener",
      "handler-failed: in a listener",
      "handler-failed: in onmessage a",
      "handler-failed: in onmessage b",
      "handler-failed: in onopen",
      "handler-failed: in onopen",
    ]);
  });

  test("one that sends to what it has closed is told so once", async () => {
    const { client, clock, reported } = await start();
    const { socket, shown } = await client();
    socket.close(1000);
    for (let i = 0; i < 3; i++) socket.send("late");
    await clock.settle();
    assert.deepEqual(shown(), ["close 1000"]);
    assert.deepEqual(reported.map(({ code }) => code), ["too-late"]);
  });

  const unreadables: Record<string, () => Promise<ArrayBuffer>> = {
    "can't be read": () => Promise.reject(new Error("gone")),
    "throws when it is read": () => {
      throw new Error("gone");
    },
  };
  for (const [what, arrayBuffer] of Object.entries(unreadables)) {
    const unreadable = Object.assign(new Blob(["x"]), { arrayBuffer });
    const goes: Record<string, (client: Client) => unknown> = {
      "loses that connection, in order and at once": () => {},
      "loses it although it has closed it behind that": ({ socket }) => socket.close(4000),
      "loses it although its client has closed it": ({ send }) => send(close(1000)),
      "loses it although its client has broken the protocol": ({ send }) => send(frame({ opcode: 3 })),
    };
    for (const [how, go] of Object.entries(goes)) {
      test(`one that sends what ${what} ${how}`, async () => {
        const events: string[] = [];
        const { client, clock, reported, server } = await start((socket) => {
          socket.onerror = ({ error }) => events.push(error.code);
          socket.onclose = ({ code }) => events.push(`close ${code}`);
        });
        const one = await client();
        one.socket.send("before");
        one.socket.send(unreadable);
        one.socket.send("behind");
        const went = go(one);
        await clock.settle();
        await went;
        assert.deepEqual(one.shown(), ["text before", "close 1011"]);
        assert.deepEqual(reported.map(({ code, cause }) => `${code} ${cause}`), ["handler-failed Error: gone"]);
        await one.send(close(1011));
        assert.equal(one.peer.serverSide, "ended", "nothing else is waited for");
        one.peer.end();
        await clock.settle();
        assert.equal(events.filter((event) => event === "handler-failed").length, 1);
        assert.equal(events.filter((event) => event.startsWith("close")).length, 1);
        assert.equal(server.stats().connections.open, 0);
      });
    }
  }

  test("one that sends behind the close event is told so, one that does not know yet is not", async () => {
    const { client, clock, reported } = await start();
    const { socket, peer, send } = await client();
    await send(close(1000));
    socket.send("crossing");
    assert.deepEqual(reported, []);
    peer.end();
    await clock.settle();
    socket.send("late");
    assert.deepEqual(reported.map(({ code }) => code), ["too-late"]);
  });

  test("one that sends more than a client takes loses that client, and no other", async () => {
    const log: string[] = [];
    const { client, clock, server } = await start((socket) => {
      socket.onerror = ({ message }) => log.push(message);
      socket.onclose = ({ code }) => log.push(`close ${code}`);
    });
    const [slow, other] = [await client({ maxBufferedAmount: 500_000 }), await client()];
    slow.peer.stopReading();
    for (let i = 0; i < 10; i++) slow.socket.send(new Uint8Array(100_000));
    await clock.settle();
    assert.deepEqual(log, ["More than 500000 bytes wait for the client.", "close 1006"]);
    assert.equal(slow.peer.serverSide, "closed");
    assert.equal(server.stats().errors["websocket-backlog"], 1);
    other.socket.send("still here");
    await clock.settle();
    assert.deepEqual(other.shown(), ["text still here"]);
  });

  const EMPTY: Readonly<Record<string, (socket: ServerWebSocket) => void>> = {
    "empty messages": (socket) => socket.send(""),
    "empty messages behind a Blob": (socket) => socket.send(new Blob([])),
    "Pings": (socket) => socket.ping(),
  };
  for (const [what, act] of Object.entries(EMPTY)) {
    test(`one that sends ever more ${what} loses the client that does not read`, async () => {
      const { client, clock, server } = await start();
      const { socket, peer } = await client({ maxBufferedAmount: 400_000 });
      peer.stopReading();
      socket.send(new Uint8Array(300_000));
      await clock.settle();
      for (let turn = 0; turn < 300; turn++) {
        for (let i = 0; i < 1_000; i++) act(socket);
        await clock.settle();
      }
      assert.equal(peer.serverSide, "closed");
      assert.equal(server.stats().errors["websocket-backlog"], 1);
    });
  }

  test("one that sends more within a turn than may wait loses no client that keeps up", async () => {
    const { client, clock, server } = await start();
    const { socket, frames } = await client({ maxBufferedAmount: 10_000 });
    socket.subscribe("news");
    for (let i = 0; i < 20; i++) {
      socket.send("x".repeat(3_000));
      server.publish("news", new Uint8Array(3_000));
    }
    await clock.settle();
    assert.equal(frames().length, 40);
    for (let pings = 0; pings < 20_000; pings++) socket.ping();
    await clock.settle();
    assert.equal(frames().length, 20_040);
    assert.equal(socket.readyState, 1);
  });

  test("one message may be longer than what may wait", async () => {
    const { client, clock } = await start();
    const { socket, frames } = await client({ maxBufferedAmount: 1_000 });
    socket.send(new Uint8Array(100_000));
    await clock.settle();
    assert.equal(frames()[0].payload.byteLength, 100_000);
  });
});

describe("bytes that have lost their memory", () => {
  const LOST: Readonly<Record<string, () => ArrayBuffer | ArrayBufferView>> = {
    "a buffer": () => lose(new Uint8Array(9)).buffer,
    "a view": () => lose(new Uint8Array(9)),
    "a view of other numbers": () => lose(new Uint16Array(9)),
    "a DataView": () => lose(new DataView(new ArrayBuffer(9))),
    "a view of memory of WebAssembly that has grown": () => {
      const memory = new WebAssembly.Memory({ initial: 1 });
      const bytes = new Uint8Array(memory.buffer, 0, 9);
      memory.grow(1);
      return bytes;
    },
  };
  const lose = <T extends ArrayBufferView>(view: T): T => {
    structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
    return view;
  };
  const SENDERS: Readonly<Record<string, (socket: ServerWebSocket, bytes: ArrayBuffer) => unknown>> = {
    "sent": (socket, bytes) => socket.send(bytes),
    "published": (socket, bytes) => socket.publish("topic", bytes),
    "a Ping": (socket, bytes) => socket.ping(bytes),
    "written": (socket, bytes) => socket.writable.getWriter().write(bytes),
  };

  for (const [name, make] of Object.entries(LOST)) {
    for (const compress of [false, { threshold: 0 }]) {
      test(`are refused with a TypeError, and what follows is whole: ${name}, ${compress ? "" : "not "}compressed`, async () => {
        const { client, clock } = await start((socket) => socket.subscribe("topic"));
        const other = await client({ compress });
        for (const send of Object.values(SENDERS)) {
          const { socket, shown } = await client({ compress });
          const bytes = make() as ArrayBuffer;
          await assert.rejects(async () => await send(socket, bytes), TypeError);
          socket.send("next");
          await clock.settle();
          assert.deepEqual(shown(), ["text next"]);
        }
        assert.deepEqual(other.shown(), []);
      });
    }
  }

  test("while they wait for the client, or are to be compressed, are sent as they were", async () => {
    for (const bytes of [9, 300_000].map((length) => new Uint8Array(length).fill(7))) {
      const { client, clock } = await start((socket) => socket.subscribe("topic"));
      const [{ socket, peer, frames }, other] = [await client(), await client()];
      peer.stopReading();
      other.peer.stopReading();
      socket.send(new Uint8Array(300_000));
      const sent = bytes.slice();
      const published = bytes.slice();
      socket.send(sent);
      socket.send(new Blob([new Uint8Array(1)]));
      const behind = bytes.slice();
      socket.send(behind);
      socket.publish("topic", published);
      for (const one of [sent, published, behind]) lose(one);
      await clock.settle();
      peer.read();
      other.peer.read();
      for (let i = 0; i < 50; i++) await clock.settle();
      const [, first, , second] = frames();
      assert.deepEqual([first.payload, second.payload], [bytes, bytes]);
      assert.deepEqual(other.frames()[0].payload, bytes);
    }
  });
});

describe("deadlines", () => {
  test("a client that is not heard gets a Ping, and is cut off when it does not answer", async () => {
    const log: string[] = [];
    const { client, clock, server } = await start((socket) => {
      socket.onerror = ({ error }) => log.push(error.code);
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    });
    const { peer, shown } = await client();
    await clock.advance(29_000);
    assert.deepEqual(shown(), []);
    await clock.advance(2_000);
    assert.deepEqual(shown(), ["ping "]);
    await clock.advance(19_000);
    assert.equal(peer.serverSide, "open");
    await clock.advance(2_000);
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(log, ["websocket-timeout", "close 1006 false"]);
    assert.equal(server.stats().errors["websocket-timeout"], 1);
  });

  for (const [name, answer] of [["a Pong", frame({ opcode: 10 })], ["anything else", text("here")]] as const) {
    test(`a client that answers with ${name} stays`, async () => {
      const { client, clock } = await start();
      const { peer, send, shown } = await client({ pingInterval: 1_000, pongTimeout: 500 });
      for (let round = 1; round <= 5; round++) {
        await clock.advance(1_200);
        assert.equal(shown().length, round);
        await send(answer);
      }
      assert.equal(peer.serverSide, "open");
    });
  }

  test("a client that takes a long message slowly is there, although its Pong is far behind", async () => {
    const { client, clock } = await start((socket) => void socket.addEventListener("close", () => {}));
    const { socket, peer } = await client({ pingInterval: 1_000, pongTimeout: 2_000 });
    peer.stopReading();
    socket.send(new Uint8Array(1_000_000));
    for (let second = 0; second < 12; second++) {
      peer.read(80_000);
      await clock.advance(1_000);
    }
    assert.equal(peer.serverSide, "open");
    await clock.advance(4_000);
    assert.equal(peer.serverSide, "closed", "one that takes nothing any more is cut off");
  });

  test("a connection without messages is closed with 1001, although its client answers", async () => {
    const { client, clock } = await start();
    const { peer, send, shown } = await client({ pingInterval: 1_000, pongTimeout: 1_000, idleTimeout: 5_000 });
    for (let round = 0; round < 6; round++) {
      await send(frame({ opcode: 10 }));
      await clock.advance(800);
    }
    assert.equal(shown().filter((what) => what.startsWith("close")).length, 0);
    await clock.advance(1_000);
    assert.equal(shown().at(-1), "close 1001");
    await send(close(1001));
    assert.equal(peer.serverSide, "ended");
  });

  for (const [name, use] of [["comes", "send"], ["goes", "socket"]] as const) {
    test(`a message that ${name} restarts the time without messages`, async () => {
      const { client, clock } = await start();
      const one = await client({ pingInterval: 0, idleTimeout: 2_000 });
      for (let round = 0; round < 6; round++) {
        if (use === "send") await one.send(text("x"));
        else one.socket.send("x");
        await clock.advance(1_500);
      }
      assert.equal(one.peer.serverSide, "open");
      assert.equal(one.socket.readyState, 1);
    });
  }

  test("a client that does not answer a Close is cut off", async () => {
    const log: string[] = [];
    const { client, clock } = await start((socket) => {
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    });
    const { socket, peer, send } = await client();
    socket.close(1000);
    await send(text("I go on"), frame({ opcode: 9 }));
    await clock.advance(9_000);
    assert.equal(peer.serverSide, "open");
    await clock.advance(2_000);
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(log, ["close 1006 false"]);
  });

  test("a client that does not end a connection that was closed is cut off", async () => {
    const log: string[] = [];
    const { client, clock, server } = await start((socket) => {
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    });
    const { peer, send } = await client();
    await send(close(1000));
    assert.equal(peer.serverSide, "ended");
    await clock.advance(17_000);
    assert.equal(peer.serverSide, "closed");
    assert.deepEqual(log, ["close 1000 true"]);
    assert.equal(server.stats().connections.open, 0);
  });

  test("a client that answers a Close gets no more time to take what stands before it", async () => {
    const { client, clock } = await start();
    const { socket, peer, send } = await client({ closeTimeout: 8_000 });
    peer.stopReading();
    socket.send(new Uint8Array(1_000_000));
    socket.close(1000);
    await clock.advance(7_000);
    await send(close(1000));
    assert.equal(peer.serverSide, "open");
    await clock.advance(2_000);
    assert.equal(peer.serverSide, "closed");
  });

  test("a client that has closed, and does not take what stands before the answer, is cut off", async () => {
    const { client, clock } = await start();
    const { socket, peer, send } = await client({ closeTimeout: 8_000 });
    peer.stopReading();
    socket.send(new Uint8Array(1_000_000));
    await send(close(1000));
    await clock.advance(7_000);
    assert.equal(peer.serverSide, "open");
    await clock.advance(2_000);
    assert.equal(peer.serverSide, "closed");
  });

  test("a client that does not answer a Close in place of what can't be sent is cut off", async () => {
    const { client, clock } = await start();
    const { socket, peer, shown } = await client({ closeTimeout: 8_000 });
    const unreadable = new Blob(["x"]);
    unreadable.arrayBuffer = () => Promise.reject(new Error("It is gone."));
    socket.send(unreadable);
    await clock.advance(7_000);
    assert.deepEqual([peer.serverSide, shown()], ["open", ["close 1011"]]);
    await clock.advance(2_000);
    assert.equal(peer.serverSide, "closed");
  });

  test("a client that has not answered a Ping has all its time to answer a Close", async () => {
    const log: string[] = [];
    const { client, clock, server } = await start((socket) => {
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    });
    const { socket, peer, send, shown } = await client({
      pingInterval: 1_000,
      pongTimeout: 1_000,
      closeTimeout: 8_000,
    });
    await clock.advance(1_500);
    socket.close(1000);
    await clock.advance(7_000);
    assert.deepEqual([peer.serverSide, shown()], ["open", ["ping ", "close 1000"]]);
    await send(close(1000));
    peer.end();
    await clock.settle();
    assert.deepEqual([log, server.stats().errors], [["close 1000 true"], {}]);
  });

  /** Ticks are an eighth of the shortest time, and a time begins with the next one. */
  const TIMES: readonly {
    readonly what: string;
    readonly options: WebSocketOptions;
    readonly atMs: number;
    readonly act?: (socket: ServerWebSocket) => void;
    readonly isSo: (client: Client) => boolean;
  }[] = [
    {
      what: "a Ping is sent",
      options: { pingInterval: 1_000 },
      atMs: 1_125,
      isSo: ({ shown }) => shown().at(-1) === "ping ",
    },
    {
      what: "a client that does not answer it is cut off",
      options: { pingInterval: 1_000, pongTimeout: 1_000 },
      atMs: 1_125 + 1_125,
      isSo: ({ peer }) => peer.serverSide === "closed",
    },
    {
      what: "a connection without messages is closed",
      options: { idleTimeout: 1_000 },
      atMs: 1_125,
      isSo: ({ shown }) => shown().at(-1) === "close 1001",
    },
    {
      what: "a client that does not answer a Close is cut off",
      options: { closeTimeout: 1_000 },
      atMs: 1_125,
      act: (socket) => socket.close(1000),
      isSo: ({ peer }) => peer.serverSide === "closed",
    },
  ];
  for (const { what, options, atMs, act, isSo } of TIMES) {
    test(`${what} with the first tick behind its time`, async () => {
      const { client, clock } = await start();
      const one = await client(options);
      act?.(one.socket);
      await clock.advance(atMs - 1);
      assert.equal(isSo(one), false);
      await clock.advance(1);
      assert.equal(isSo(one), true);
    });
  }

  const HELD_UP: Readonly<Record<string, (socket: ServerWebSocket) => void>> = {
    "that is closed has all its time to answer": (socket) => socket.close(1000),
    "that is sent something is not idle": (socket) => socket.send("used"),
  };
  for (const [what, act] of Object.entries(HELD_UP)) {
    test(`a client ${what}, behind a turn that has taken longer than that`, async () => {
      const { client, clock } = await start();
      const { socket, peer, shown } = await client({ closeTimeout: 8_000, idleTimeout: 8_000 });
      // Within the turn, before the clock of the sockets can tick.
      act(socket);
      await clock.holdUp(20_000);
      await clock.advance(7_000);
      assert.deepEqual([peer.serverSide, shown().length], ["open", 1]);
      await clock.advance(2_000);
      assert.ok(peer.serverSide === "closed" || shown()[1] === "close 1001");
    });
  }

  test("a client whose Pong could not be read, because a turn took so long, is not cut off for that", async () => {
    const { client, clock } = await start();
    const { peer, shown, send } = await client({ pingInterval: 8_000, pongTimeout: 8_000 });
    await clock.advance(9_000);
    assert.deepEqual(shown(), ["ping "]);
    await clock.holdUp(20_000);
    assert.equal(peer.serverSide, "open");
    await send(frame({ opcode: 10 }));
    await clock.advance(7_000);
    assert.equal(peer.serverSide, "open");
  });

  test("a timeout of 0 is none", async () => {
    const { client, clock } = await start();
    const { peer, shown } = await client({ pingInterval: 0, pongTimeout: 0, idleTimeout: 0, closeTimeout: 0 });
    await clock.advance(2 * 3_600_000);
    assert.equal(peer.serverSide, "open");
    assert.deepEqual(shown(), []);
  });

  test("no timer is left behind the last socket", async () => {
    const { client, clock, server } = await start();
    const clients = [await client(), await client({ pingInterval: 100 }), await client()];
    for (const { peer } of clients) peer.reset();
    await clock.settle();
    await server.shutdown();
    assert.equal(clock.pendingCount, 0);
  });
});

describe("a server that stops", () => {
  test("says 1001 to every socket, waits for their Close, and cuts off the others at its deadline", async () => {
    const log: string[] = [];
    const { client, clock, server } = await start((socket) => {
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
    });
    const [polite, deaf] = [await client(), await client()];
    await polite.send(text("a"));
    const stopped = server.shutdown({ timeout: 5_000 });
    await clock.settle();
    for (const { shown } of [polite, deaf]) assert.deepEqual(shown(), ["close 1001"]);
    assert.equal(polite.socket.readyState, 2);
    polite.socket.send("not any more");
    await polite.send(close(1001));
    assert.equal(polite.peer.serverSide, "ended");
    polite.peer.end();
    await clock.settle();
    assert.deepEqual(log, ["close 1001 true"]);
    await clock.advance(6_000);
    assert.deepEqual(log, ["close 1001 true", "close 1006 false"]);
    const { drained, aborted } = await stopped;
    assert.deepEqual({ drained, aborted }, { drained: 1, aborted: 1 });
  });

  test("says so to one that opens while it stops", async () => {
    const gate = createGate();
    const memory = await startMemoryServer(async (_request, info) => {
      await gate.opened;
      return info.upgradeWebSocket().response;
    });
    const peer = await memory.send(webSocketRequest());
    const stopped = memory.server.shutdown({ timeout: 5_000 });
    await memory.clock.settle();
    gate.open();
    await memory.clock.settle();
    assert.deepEqual(show(framesOf(peer.received())), ["close 1001"]);
    peer.send(close(1001));
    peer.end();
    await memory.clock.settle();
    assert.equal((await stopped).aborted, 0);
  });
});

describe("messages as streams", () => {
  test("a client whose messages are not read is not read either", async () => {
    const { client, clock } = await start();
    const { socket, peer, send } = await client();
    const reader = socket.readable.getReader();
    for (let i = 0; i < 100; i++) await send(text(`${i} ${"x".repeat(10_000)}`));
    assert.ok(peer.isPausedByServer);
    for (let i = 0; i < 100; i++) {
      assert.equal(String((await reader.read()).value).split(" ")[0], String(i));
      await clock.settle();
    }
    assert.ok(!peer.isPausedByServer);
  });

  test("of long messages that are not read hardly more than one is kept", async () => {
    const { client } = await start();
    const { socket, peer, send } = await client();
    void socket.readable;
    let sent = 0;
    for (; !peer.isPausedByServer && sent < 100; sent++) await send(text("x".repeat(50_000)));
    assert.equal(sent, 2);
  });

  test("a client's Close is heard behind messages that a slow reader has not let in", async () => {
    const { client, clock } = await start();
    const { socket, peer, send, shown } = await client();
    const reader = socket.readable.getReader();
    for (let i = 0; i < 40; i++) await send(text(`${i} ${"x".repeat(10_000)}`));
    assert.ok(peer.isPausedByServer);
    socket.close(4000, "enough");
    await clock.settle();
    await send(close(4000));
    assert.deepEqual(shown(), ["close 4000"]);
    peer.end();
    await clock.settle();
    assert.deepEqual(await socket.closed, { code: 4000, reason: "", wasClean: true });
    assert.equal(String((await reader.read()).value).split(" ")[0], "0", "what it had let in is still read");
  });

  test("a loop gets every message in order, and ends with the connection", async () => {
    const got: unknown[] = [];
    const done = createGate();
    const { client, clock } = await start((socket) => {
      (async () => {
        for await (const message of socket) got.push(message);
        done.open();
      })();
    });
    const { send, peer } = await client();
    await send(text("a"), frame({ opcode: 2, payload: "b" }), close(1000));
    peer.end();
    await clock.settle();
    await done.opened;
    assert.deepEqual(got, ["a", Uint8Array.of(0x62)]);
  });

  test("a loop gets what came before the client was lost, and ends", async () => {
    const got: unknown[] = [];
    const gate = createGate();
    const { client, clock } = await start((socket) => {
      (async () => {
        for await (const message of socket) {
          got.push(message);
          await gate.opened;
        }
        got.push(`closed ${(await socket.closed).code}`);
      })();
    });
    const { send, peer } = await client();
    await send(text("a"), text("b"), text("c"));
    peer.reset();
    await clock.settle();
    gate.open();
    await clock.settle();
    await clock.settle();
    assert.deepEqual(got, ["a", "b", "c", "closed 1006"]);
  });

  test("the stream fails when the client is lost", async () => {
    const { client, clock } = await start();
    const { socket, peer } = await client();
    const read = socket.readable.getReader().read().then(() => "read", (error) => error.code);
    peer.reset();
    await clock.settle();
    assert.equal(await read, "peer-disconnected");
  });

  test("leaving the loop closes the connection with 1000", async () => {
    const { client } = await start((socket) => {
      (async () => {
        for await (const _message of socket) break;
      })();
    });
    const { send, shown } = await client();
    await send(text("a"));
    assert.deepEqual(shown(), ["close 1000"]);
  });

  test("so does leaving it before its first message", async () => {
    const { client, clock } = await start();
    const { socket, shown } = await client();
    const messages = socket[Symbol.asyncIterator]();
    assert.deepEqual(await messages.return!(), { done: true, value: undefined });
    assert.deepEqual(await messages.next(), { done: true, value: undefined });
    await clock.settle();
    assert.deepEqual(shown(), ["close 1000"]);
  });

  test("a write that waited for the client is done when it was taken, also where a close follows it", async () => {
    const { client, clock } = await start();
    const { socket, peer, frames } = await client();
    peer.stopReading();
    const written = socket.writable.getWriter().write(new Uint8Array(300_000)).then(() => "done", () => "failed");
    await clock.settle();
    socket.close(1000);
    await clock.settle();
    peer.read();
    await clock.settle();
    await clock.settle();
    assert.deepEqual(frames().map(({ opcode }) => opcode), [2, 8]);
    peer.reset();
    assert.equal(await written, "done");
  });

  test("a write waits for a client that does not keep up", async () => {
    const { client, clock } = await start();
    const { socket, peer, frames } = await client();
    const writer = socket.writable.getWriter();
    await writer.write("first");
    peer.stopReading();
    let isWritten = false;
    writer.write(new Uint8Array(300_000)).then(() => isWritten = true);
    await clock.settle();
    assert.equal(isWritten, false);
    peer.read();
    await clock.settle();
    await clock.settle();
    assert.equal(isWritten, true);
    assert.equal(frames()[1].payload.byteLength, 300_000);
    writer.close();
    await clock.settle();
    assert.equal(frames()[2].opcode, 8);
  });

  test("what is written before it is open is sent when it is", async () => {
    const { client, clock } = await start((socket) => {
      socket.writable.getWriter().write("early");
    });
    const { shown } = await client();
    await clock.settle();
    assert.deepEqual(shown(), ["text early"]);
  });

  test("a write to a connection that is lost fails", async () => {
    const { client, clock } = await start();
    const { socket, peer } = await client();
    const writer = socket.writable.getWriter();
    writer.closed.catch(() => {});
    peer.stopReading();
    const write = writer.write(new Uint8Array(300_000)).then(() => "written", (error) => error.code);
    await clock.settle();
    peer.reset();
    await clock.settle();
    assert.equal(await write, "peer-disconnected");
  });

  test("a write for which too much waits already fails, and so does the stream", async () => {
    const { client, clock } = await start();
    const { socket, peer } = await client({ maxBufferedAmount: 500_000 });
    peer.stopReading();
    socket.send(new Uint8Array(600_000));
    const writer = socket.writable.getWriter();
    const told: string[] = [];
    writer.closed.catch(({ code }) => told.push(`closed: ${code}`));
    writer.write("one more").catch(({ code }) => told.push(`write: ${code}`));
    await clock.settle();
    assert.deepEqual(told.sort(), ["closed: websocket-backlog", "write: websocket-backlog"]);
  });

  test("one stream piped into the other is an echo with back-pressure", async () => {
    const { client, clock } = await start((socket) => void socket.readable.pipeTo(socket.writable).catch(() => {}));
    const { peer, frames } = await client();
    peer.stopReading();
    for (let i = 0; i < 200; i++) {
      peer.send(frame({ opcode: 2, payload: new Uint8Array(10_000) }));
      await clock.settle();
    }
    assert.ok(peer.isPausedByServer, "what can't be echoed is not read");
    peer.read();
    for (let i = 0; i < 300 && frames().length < 200; i++) await clock.settle();
    assert.equal(frames().length, 200);
  });
});

describe("a turn of the event loop", () => {
  /** Starts a server to which each look at the clock, by which turns are measured, takes a millisecond. */
  async function startSlow(use: (socket: ServerWebSocket) => void): Promise<Started> {
    const started = await start(use);
    const { clock } = started.runtime;
    const { nowMs } = clock;
    let looks = 0;
    clock.nowMs = () => nowMs.call(clock) + looks++;
    return started;
  }

  const FLOOD = 1000;
  /** What leads to something with each frame that comes; calls back with each. */
  const FLOODS: Readonly<Record<string, (socket: ServerWebSocket, count: () => void) => void>> = {
    "its events": (socket, count) => {
      socket.onmessage = count;
    },
    "a loop": async (socket, count) => {
      for await (const _message of socket) count();
    },
    "a reader": async (socket, count) => {
      const reader = socket.readable.getReader();
      while (!(await reader.read()).done) count();
    },
  };

  for (const [name, use] of Object.entries(FLOODS)) {
    test(`is shared between a client that floods ${name} and others, and all messages are taken`, async () => {
      let taken = 0;
      const { client, clock } = await startSlow((socket) => use(socket, () => taken++));
      const { peer, shown } = await client();
      // A Pong is sent behind what came before its Ping.
      peer.send(concat(...Array.from({ length: FLOOD }, () => text("x".repeat(200))), frame({ opcode: 9 })));
      await new Promise((resolve) => setImmediate(resolve));
      const first = taken;
      for (let i = 0; i < 500 && taken < FLOOD; i++) await clock.settle();
      assert.ok(first < 400, `${first} of ${FLOOD} in one turn`);
      assert.equal(taken, FLOOD);
      await clock.settle();
      assert.deepEqual(shown(), ["pong "]);
    });
  }

  test("is given to one flooding client after another, so that all are served as much", async () => {
    const taken: number[] = [];
    let whenOneIsDone: readonly number[] = [];
    const { client, clock } = await startSlow((socket) => {
      const number = taken.push(0) - 1;
      socket.onmessage = () => {
        if (++taken[number] === FLOOD && whenOneIsDone.length === 0) whenOneIsDone = taken.slice();
      };
    });
    const peers = [];
    for (let i = 0; i < 5; i++) peers.push((await client()).peer);
    for (const peer of peers) peer.send(concat(...Array.from({ length: FLOOD }, () => text("x"))));
    for (let i = 0; i < 500 && whenOneIsDone.length === 0; i++) await clock.settle();
    assert.ok(Math.min(...whenOneIsDone) > FLOOD * 0.9, `when one has all of its ${FLOOD}: ${whenOneIsDone}`);
  });

  test("is shared between a client that floods with Pings and others, and each is answered", async () => {
    const { client, clock } = await startSlow(() => {});
    const { peer, frames } = await client();
    peer.send(concat(...Array.from({ length: FLOOD }, (_, i) => frame({ opcode: 9, payload: String(i) }))));
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(frames().length < 100, `${frames().length} in one turn`);
    for (let i = 0; i < 500 && frames().length < FLOOD; i++) await clock.settle();
    assert.deepEqual(show(frames()), Array.from({ length: FLOOD }, (_, i) => `pong ${i}`));
  });

  test("sends the Pongs of many Pings in one write", () => {
    const turns = { keptBytesChanged: () => {} } as unknown as SendTurns;
    const bounds = { compression: null, maxBufferedBytes: Infinity };
    const outgoing = new OutgoingFrames(new FrameSlab(() => 0), turns, null, bounds, () => {}, () => {});
    const writes: Uint8Array[] = [];
    outgoing.open({
      write: (bytes: Uint8Array, start: number, end: number) => writes.push(bytes.slice(start, end)) > 0,
    } as unknown as ByteChannel);
    const pong = Uint8Array.of(0x8a, 1, 7);
    for (let i = 0; i < 100; i++) outgoing.addControl(pong);
    outgoing.flush();
    assert.deepEqual(writes, [concat(...Array.from({ length: 100 }, () => pong))]);
  });

  test("is shared between what writes without waiting and others", async () => {
    let written = 0;
    const { client, clock } = await startSlow(async (socket) => {
      const writer = socket.writable.getWriter();
      for (; written < FLOOD; written++) {
        await writer.ready;
        await writer.write("x");
      }
    });
    const { frames } = await client();
    assert.ok(written < 300, `${written} in a few turns`);
    for (let i = 0; i < 500 && written < FLOOD; i++) await clock.settle();
    assert.equal(frames().length, FLOOD);
  });
});

describe("an echo to a client that does not read", () => {
  test("stops reading it, at bounded memory, and goes on when it reads", async () => {
    const { client, clock } = await start((socket) => {
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => socket.send(data);
    });
    const { socket, peer, frames } = await client();
    peer.stopReading();
    for (let i = 0; i < 300; i++) {
      peer.send(frame({ opcode: 2, payload: new Uint8Array(10_000) }));
      await clock.settle();
    }
    assert.ok(peer.isPausedByServer);
    assert.ok(socket.bufferedAmount < 1_200_000, String(socket.bufferedAmount));
    peer.read();
    for (let i = 0; i < 300 && frames().length < 300; i++) await clock.settle();
    assert.equal(frames().length, 300);
  });

  test("reads on when what had to be read first has left, where the client takes all of it at once", async () => {
    const { client, clock } = await start((socket) => {
      socket.binaryType = "blob";
      socket.onmessage = ({ data }) => socket.send(data);
    });
    const { peer, frames } = await client();
    const message = frame({ opcode: 2, payload: new Uint8Array(600_000) });
    peer.send(concat(message, message));
    peer.send(message);
    for (let i = 0; i < 300 && frames().length < 3; i++) await clock.settle();
    assert.equal(frames().length, 3);
  });

  test("stops reading it also where its messages are empty, or nearly", async () => {
    for (const payload of ["", "x"]) {
      const { client, clock } = await start((socket) => {
        socket.onmessage = ({ data }) => socket.send(data);
      });
      const { peer } = await client();
      peer.stopReading();
      const flood = concat(...Array.from({ length: 20_000 }, () => text(payload)));
      let sent = 0;
      for (; !peer.isPausedByServer && sent < 60; sent++) {
        peer.send(flood);
        await clock.settle();
      }
      assert.ok(sent < 40, `of ${sent} times 20,000 messages none waits`);
      peer.reset();
    }
  });

  /** Both ways to close, and what the client gets behind what it has not read. */
  const CLOSES: readonly (readonly [name: string, close: (client: Client) => unknown, last: readonly string[]])[] = [
    ["of the server", ({ socket }) => socket.close(4000), ["pong late", "close 4000"]],
    ["of the client", ({ send }) => send(frame({ opcode: 8, payload: closePayload(4001) })), ["close 4001"]],
  ];
  for (const [name, close, last] of CLOSES) {
    test(`answers no Ping behind the Close ${name}`, async () => {
      const { client, clock } = await start();
      const stuck = await client();
      stuck.peer.stopReading();
      stuck.socket.send(new Uint8Array(300_000));
      await clock.settle();
      await stuck.send(frame({ opcode: 9, payload: "late" }));
      await close(stuck);
      stuck.peer.read();
      for (let i = 0; i < 10; i++) await clock.settle();
      assert.deepEqual(stuck.shown().slice(1), last);
    });
  }

  test("answers the last Ping only", async () => {
    const { client, clock } = await start();
    const { socket, peer, send, shown } = await client();
    peer.stopReading();
    socket.send(new Uint8Array(300_000));
    await clock.settle();
    for (let i = 0; i < 50; i++) await send(frame({ opcode: 9, payload: String(i) }));
    peer.read();
    for (let i = 0; i < 10; i++) await clock.settle();
    assert.deepEqual(shown().slice(1), ["pong 49"]);
  });
});
