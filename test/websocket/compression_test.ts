/** permessage-deflate (RFC 7692): what is agreed on, and messages that are compressed with it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import type { WebSocketOptions } from "../../src/api/websocket.ts";
import { COMPRESSED, deflated, HELLO, MAX_COMPRESSED_BYTES } from "../fixtures/websocket_compressed.ts";
import { type MemoryServer, startMemoryServer } from "../support/memory_server.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { closePayload, concat, frame, type ServerFrame } from "../support/websocket_frames.ts";
import { bytewise, echo, framesOf, inflateNext, show, webSocketRequest } from "../support/websocket_wire.ts";

const TAIL = Uint8Array.of(0, 0, 0xff, 0xff);
const SYNC = { finishFlush: zlib.constants.Z_SYNC_FLUSH };

function inflated({ payload }: ServerFrame): Uint8Array {
  return new Uint8Array(zlib.inflateRawSync(concat(payload, TAIL), SYNC));
}

async function connect(
  offer: string,
  options: WebSocketOptions,
): Promise<{ readonly memory: MemoryServer; readonly peer: MemoryPeer; readonly agreed: string | undefined }> {
  const memory = await startMemoryServer(echo(options));
  const peer = await memory.send(
    webSocketRequest("/", ...(offer === "" ? [] : [`Sec-WebSocket-Extensions: ${offer}`])),
  );
  return { memory, peer, agreed: peer.received().match(/sec-websocket-extensions: (.*)\r\n/i)?.[1] };
}

/** Streams of zlib work on threads of the runtime: time does not have to pass, but turns of the event loop do. */
async function frames(memory: MemoryServer, peer: MemoryPeer, count: number): Promise<ServerFrame[]> {
  for (let turns = 0; turns < 2_000; turns++) {
    await memory.clock.settle();
    const received = framesOf(peer.received());
    if (received.length >= count) return received;
    if (turns > 20) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`Only ${framesOf(peer.received()).length} of ${count} frames came.`);
}

const NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const TAKES_OVER: WebSocketOptions = { compress: { contextTakeover: true } };

describe("what is agreed on", () => {
  const rows:
    readonly (readonly [name: string, offer: string, options: WebSocketOptions, agreed: string | undefined])[] = [
      ["nothing is offered", "", { compress: true }, undefined],
      ["compression is off", "permessage-deflate", {}, undefined],
      ["compression is off, in words", "permessage-deflate", { compress: false }, undefined],
      ["another extension", "permessage-snappy", { compress: true }, undefined],
      ["the plain offer", "permessage-deflate", { compress: true }, NO_TAKEOVER],
      ["the name in another case", "Permessage-Deflate", { compress: true }, NO_TAKEOVER],
      ["the plain offer, with takeover", "permessage-deflate", TAKES_OVER, "permessage-deflate"],
      [
        "server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover",
        TAKES_OVER,
        "permessage-deflate; server_no_context_takeover",
      ],
      [
        "client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        TAKES_OVER,
        "permessage-deflate; client_no_context_takeover",
      ],
      ["both", NO_TAKEOVER, TAKES_OVER, NO_TAKEOVER],
      [
        "server_no_context_takeover with a value",
        "permessage-deflate; server_no_context_takeover=1",
        TAKES_OVER,
        undefined,
      ],
      [
        "client_no_context_takeover with a value",
        "permessage-deflate; client_no_context_takeover=1",
        TAKES_OVER,
        undefined,
      ],
      ["an unknown parameter", "permessage-deflate; level=9", TAKES_OVER, undefined],
      [
        "a repeated parameter",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        TAKES_OVER,
        undefined,
      ],
      ...Array.from({ length: 6 }, (_, i) => 10 + i).map((bits) =>
        [
          `server_max_window_bits=${bits}`,
          `permessage-deflate; server_max_window_bits=${bits}`,
          TAKES_OVER,
          `permessage-deflate; server_max_window_bits=${bits}`,
        ] as const
      ),
      [
        "server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=9",
        TAKES_OVER,
        "permessage-deflate; server_max_window_bits=9",
      ],
      [
        "server_max_window_bits=8, which zlib cannot",
        "permessage-deflate; server_max_window_bits=8",
        TAKES_OVER,
        undefined,
      ],
      ...["", "7", "16", "08", "010", "1O", "-9", "9.0", "15a"].map((bits) =>
        [
          `server_max_window_bits with "${bits}"`,
          `permessage-deflate; server_max_window_bits${bits === "" ? "" : `=${bits}`}`,
          TAKES_OVER,
          undefined,
        ] as const
      ),
      [
        "server_max_window_bits quoted",
        'permessage-deflate; server_max_window_bits="12"',
        TAKES_OVER,
        "permessage-deflate; server_max_window_bits=12",
      ],
      [
        "server_max_window_bits above what the server uses",
        "permessage-deflate; server_max_window_bits=12",
        { compress: { contextTakeover: true, serverMaxWindowBits: 10 } },
        "permessage-deflate; server_max_window_bits=10",
      ],
      [
        "what the server uses, though nothing was said",
        "permessage-deflate",
        { compress: { contextTakeover: true, serverMaxWindowBits: 10 } },
        "permessage-deflate; server_max_window_bits=10",
      ],
      [
        "client_max_window_bits without a value",
        "permessage-deflate; client_max_window_bits",
        TAKES_OVER,
        "permessage-deflate",
      ],
      [
        "client_max_window_bits without a value, where less is wanted",
        "permessage-deflate; client_max_window_bits",
        { compress: { contextTakeover: true, clientMaxWindowBits: 11 } },
        "permessage-deflate; client_max_window_bits=11",
      ],
      [
        "client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=10",
        { compress: { contextTakeover: true, clientMaxWindowBits: 11 } },
        "permessage-deflate; client_max_window_bits=10",
      ],
      [
        "client_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=8",
        TAKES_OVER,
        "permessage-deflate; client_max_window_bits=8",
      ],
      [
        "no client_max_window_bits, where less is wanted",
        "permessage-deflate",
        { compress: { clientMaxWindowBits: 11 } },
        undefined,
      ],
      ...["7", "16", "09", "x"].map((bits) =>
        [
          `client_max_window_bits=${bits}`,
          `permessage-deflate; client_max_window_bits=${bits}`,
          TAKES_OVER,
          undefined,
        ] as const
      ),
      [
        "the first offer that can be accepted",
        "permessage-deflate; server_max_window_bits=8, x; y=1, permessage-deflate; server_max_window_bits=10, permessage-deflate",
        TAKES_OVER,
        "permessage-deflate; server_max_window_bits=10",
      ],
    ];
  for (const [name, offer, options, agreed] of rows) {
    test(`${name} (RFC 7692 7.1)`, async () => {
      const { memory, peer, agreed: got } = await connect(offer, options);
      assert.equal(got, agreed);
      peer.send(frame({ opcode: 1, payload: "plain" }));
      assert.deepEqual(show(await frames(memory, peer, 1)), ["text plain"], "short messages are sent as they are");
    });
  }
});

describe("messages that are compressed", () => {
  for (const contextTakeover of [false, true]) {
    const options: WebSocketOptions = {
      maxMessageSize: MAX_COMPRESSED_BYTES,
      compress: { contextTakeover, threshold: 1_000_000 },
    };
    for (const { name, rfc, input: bytes, found } of COMPRESSED) {
      test(`${name}, ${contextTakeover ? "with" : "without"} takeover (RFC ${rfc})`, async () => {
        for (const isBytewise of [false, true]) {
          const { memory, peer } = await connect("permessage-deflate", options);
          for (const piece of isBytewise ? bytewise(bytes) : [bytes]) peer.send(piece);
          assert.deepEqual(show(await frames(memory, peer, found.length)), found, isBytewise ? "bytewise" : "whole");
          const isOver = found.at(-1)!.startsWith("close");
          assert.equal(peer.serverSide, isOver ? "ended" : "open");
          assert.deepEqual(memory.reported, []);
        }
      });
    }
  }

  for (const contextTakeover of [false, true]) {
    test(`longer than what a stream gives at once are whole, ${contextTakeover ? "with" : "without"} takeover`, async () => {
      const { memory, peer } = await connect("permessage-deflate", { compress: { contextTakeover, threshold: 1e6 } });
      const payload = Uint8Array.from({ length: 300_000 }, (_, i) => Math.imul(i * i, 2_654_435_761) >>> 24);
      peer.send(frame({ opcode: 2, rsv: 4, payload: deflated(payload) }));
      const [echoed] = await frames(memory, peer, 1);
      assert.deepEqual(echoed.payload, payload);
    });
  }

  test("may refer to those before, with takeover (RFC 7692 7.2.3.2)", async () => {
    const { memory, peer } = await connect("permessage-deflate", TAKES_OVER);
    peer.send(frame({ opcode: 1, rsv: 4, payload: HELLO }));
    peer.send(frame({ opcode: 1, rsv: 4, payload: Uint8Array.of(0xf2, 0x00, 0x11, 0x00, 0x00) }));
    assert.deepEqual(show(await frames(memory, peer, 2)), ["text Hello", "text Hello"]);
  });

  test("may not refer to those before, without takeover (RFC 7692 7.1.1.2)", async () => {
    const { memory, peer } = await connect("permessage-deflate", { compress: true });
    peer.send(frame({ opcode: 1, rsv: 4, payload: HELLO }));
    peer.send(frame({ opcode: 1, rsv: 4, payload: Uint8Array.of(0xf2, 0x00, 0x11, 0x00, 0x00) }));
    assert.deepEqual(show(await frames(memory, peer, 2)), ["text Hello", "close 1007"]);
  });
});

describe("messages that are not whole", () => {
  const short = HELLO;
  const long = deflated(Uint8Array.from({ length: 40_000 }, (_, i) => Math.imul(i * i, 2_654_435_761) >>> 24));
  const CUTS: readonly (readonly [name: string, payload: Uint8Array])[] = [
    ...Array.from(
      { length: short.byteLength - 1 },
      (_, at) => [`${at + 1} of ${short.byteLength} bytes`, short.subarray(0, at + 1)] as const,
    ),
    ["a block that is not compressed and lacks content", Uint8Array.of(0, 20, 0, 0xeb, 0xff, 1, 2, 3)],
    ...[17_000, long.byteLength - 1].map((bytes) =>
      [`${bytes} of ${long.byteLength} bytes`, long.subarray(0, bytes)] as const
    ),
  ];
  for (const [name, payload] of CUTS) {
    test(`${name}: are not DEFLATE, without takeover (RFC 7692 7.2.2)`, async () => {
      const { memory, peer } = await connect("permessage-deflate", { compress: true });
      peer.send(frame({ opcode: 2, rsv: 4, payload }));
      assert.deepEqual(show(await frames(memory, peer, 1)), ["close 1007"]);
    });
  }

  for (const contextTakeover of [false, true]) {
    test(`without any payload: are empty each time, ${contextTakeover ? "with" : "without"} takeover`, async () => {
      const { memory, peer } = await connect("permessage-deflate", { compress: { contextTakeover } });
      const empty = frame({ opcode: 2, rsv: 4 });
      for (const one of [empty, empty, frame({ opcode: 1, rsv: 4, payload: HELLO }), empty]) peer.send(one);
      assert.deepEqual(show(await frames(memory, peer, 4)), ["binary ", "binary ", "text Hello", "binary "]);
    });
  }
});

describe("what the server compresses", () => {
  const SIZES = [0, 1, 999, 1_000, 1_001, 16_383, 16_384, 16_385, 100_000, 300_000];
  for (
    const [name, offer, compress] of [
      ["without takeover", "permessage-deflate", { threshold: 1_000 }],
      ["with takeover", "permessage-deflate", { threshold: 1_000, contextTakeover: true }],
      ["with a small window", "permessage-deflate; server_max_window_bits=9", {
        threshold: 1_000,
        contextTakeover: true,
      }],
      ["at level 1", "permessage-deflate", { threshold: 1_000, level: 1 }],
    ] as const
  ) {
    test(`${name}: messages of all sizes come in order and as they were`, async () => {
      const { memory, peer } = await connect(offer, { compress });
      const messages = SIZES.map((size) => "The quick brown fox. ".repeat(size / 20 + 1).slice(0, size));
      for (const message of messages) peer.send(frame({ opcode: 1, payload: message }));
      const received = await frames(memory, peer, SIZES.length);
      const inflater = zlib.createInflateRaw();
      const got: string[] = [];
      for (const one of received) {
        assert.equal(one.opcode, 1);
        assert.equal(one.rsv, one.payload.byteLength > 0 && messages[got.length].length >= 1_000 ? 4 : 0);
        if (one.rsv === 0) got.push(new TextDecoder().decode(one.payload));
        else if ("contextTakeover" in compress) {
          got.push(new TextDecoder().decode(await inflateNext(inflater, one.payload)));
        } else got.push(new TextDecoder().decode(inflated(one)));
      }
      inflater.close();
      assert.deepEqual(got.map((text) => text.length), SIZES);
      assert.ok(got.every((text, i) => text === messages[i]));
      assert.ok(received.at(-1)!.payload.byteLength < 30_000);
    });
  }

  test("is written when it was compressed and taken", async () => {
    const log: string[] = [];
    const { runtime, clock, send } = await startMemoryServer((_request, info) => {
      const { response, socket } = info.upgradeWebSocket({ compress: { contextTakeover: true } });
      const writer = socket.writable.getWriter();
      for (const bytes of [500_000, 2_000]) writer.write(new Uint8Array(bytes)).then(() => log.push(`${bytes}`));
      return response;
    });
    const peer = await send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
    await frames({ clock, runtime } as MemoryServer, peer, 2);
    await clock.settle();
    assert.deepEqual(log, ["500000", "2000"]);
  });

  test("is closed behind the last message, however long that takes to compress", async () => {
    const { runtime, clock, send } = await startMemoryServer((_request, info) => {
      const { response, socket } = info.upgradeWebSocket({ compress: { contextTakeover: true } });
      socket.onopen = () => {
        socket.send(new Uint8Array(500_000));
        socket.send("short");
        socket.close(4000, "done");
      };
      return response;
    });
    const peer = await send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
    const received = await frames({ clock, runtime } as MemoryServer, peer, 3);
    assert.deepEqual(received.map(({ opcode }) => opcode), [2, 1, 8]);
    assert.deepEqual(received[2].payload, closePayload(4000, "done"));
  });
});
