/** Every row of frames and of compressed messages over TCP, whole and byte by byte, on the runtime the tests run on. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Handler, serve, type Server } from "../../mod.ts";
import { COMPRESSED, MAX_COMPRESSED_BYTES } from "../fixtures/websocket_compressed.ts";
import { FRAMES, MAX_MESSAGE_BYTES } from "../fixtures/websocket_frames.ts";
import { connectRaw } from "../support/raw_client.ts";
import { closePayload, concat, frame, utf8 } from "../support/websocket_frames.ts";
import { answersTo, bytewise, echo, endsIt, framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const GOODBYE = frame({ opcode: 8, payload: closePayload(4321) });

let server: Server;
let port = 0;

before(async () => {
  const plain = echo({ maxMessageSize: MAX_MESSAGE_BYTES });
  const compress = { threshold: 1_000_000 };
  const compressed = echo({ maxMessageSize: MAX_COMPRESSED_BYTES, compress });
  const takesOver = echo({ maxMessageSize: MAX_COMPRESSED_BYTES, compress: { ...compress, contextTakeover: true } });
  server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request, info) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/looks") return tellOfBytes(request, info);
    if (pathname === "/long") return echo({})(request, info);
    return (pathname === "/" ? plain : pathname === "/compressed" ? compressed : takesOver)(request, info);
  });
  await server.ready();
  port = server.port;
});

after(async () => {
  await server.shutdown({ timeout: 1_000 });
});

/** Sends back what kind of object a message is, and how many bytes its buffer has. */
const tellOfBytes: Handler = (_request, info) => {
  const { response, socket } = info.upgradeWebSocket();
  (async () => {
    for await (const message of socket) {
      const { constructor, buffer } = message as Uint8Array;
      socket.send(`${constructor.name} ${buffer.byteLength}`);
    }
  })();
  return response;
};

test("messages of bytes are plain bytes with memory of their own, whatever the runtime reads into", async () => {
  const client = await connectRaw({ port });
  const message = frame({ opcode: 2, payload: "bytes" });
  client.send(webSocketRequest("/looks"));
  await client.receiveUntil((received) => received.includes("\r\n\r\n"));
  client.send(concat(message, message));
  await client.receiveUntil((received) => received.split("Uint8Array 5").length === 3);
  client.destroy();
});

test("long messages come back whole, whatever the width of their characters and however their heads grow", async () => {
  const lengths = [8_191, 8_192, 21_845, 21_846, 65_529, 65_535, 65_536, 65_537, 72_000];
  const texts = lengths.flatMap((length) => ["x", "\u00fc", "\u20ac"].map((character) => character.repeat(length)));
  for (const text of texts) {
    const binary = concat(utf8(text), Uint8Array.of(0));
    const input = concat(frame({ opcode: 1, payload: text }), frame({ opcode: 2, payload: binary }), GOODBYE);
    const client = await connectRaw({ port });
    client.send(webSocketRequest("/long"));
    client.send(input);
    const [first, second, last] = framesOf(await client.receiveAll());
    client.destroy();
    const name = `${text.length} times ${text[0]}`;
    assert.ok(new TextDecoder().decode(first.payload) === text, name);
    assert.deepEqual([second.opcode, second.payload], [2, binary], name);
    assert.equal(last.opcode, 8);
  }
});

/** Sends whole, or each byte for itself as far as the system lets it; `last` comes behind that. */
async function play(path: string, input: Uint8Array, isBytewise: boolean, last: Uint8Array | null): Promise<string[]> {
  const client = await connectRaw({ port });
  const offer = path === "/" ? [] : ["Sec-WebSocket-Extensions: permessage-deflate"];
  client.send(webSocketRequest(path, ...offer));
  await client.receiveUntil((received) => received.includes("\r\n\r\n"));
  for (const piece of isBytewise ? bytewise(input) : [input]) {
    client.send(piece);
    if (isBytewise) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (last !== null) client.send(last);
  const received = await client.receiveAll(10_000);
  client.destroy();
  return show(framesOf(received));
}

async function playBothWays(path: string, input: Uint8Array, expected: readonly string[], ends: boolean) {
  const last = ends ? null : GOODBYE;
  const shown = await Promise.all([false, true].map((isBytewise) => play(path, input, isBytewise, last)));
  for (const one of shown) assert.deepEqual(one, [...expected, ...(ends ? [] : ["close 4321"])]);
}

for (const [heading, fixtures] of Object.entries(FRAMES)) {
  describe(`${heading}, over TCP`, () => {
    for (const { name, rfc, input, found } of fixtures) {
      test(`${name} (RFC ${rfc})`, () => playBothWays("/", input, answersTo(found), endsIt(found)));
    }
  });
}

for (const path of ["/compressed", "/takes-over"]) {
  describe(`messages that are compressed, at ${path}, over TCP`, () => {
    for (const { name, rfc, input, found } of COMPRESSED) {
      test(`${name} (RFC ${rfc})`, () => playBothWays(path, input, found, endsIt(found)));
    }
  });
}
