/** Every row of frames over TCP, whole and byte by byte, on the runtime the tests run on. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { serve, type Server } from "../../mod.ts";
import { FRAMES, MAX_MESSAGE_BYTES } from "../fixtures/websocket_frames.ts";
import { connectRaw } from "../support/raw_client.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { answersTo, echo, endsIt, framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const MAX_BYTES_ONE_BY_ONE = 300;
const GOODBYE = frame({ opcode: 8, payload: closePayload(4321) });

let server: Server;
let port = 0;

before(async () => {
  server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, echo({ maxMessageSize: MAX_MESSAGE_BYTES }));
  await server.ready();
  port = server.port;
});

after(async () => {
  await server.shutdown({ timeout: 1_000 });
});

/** Sends in pieces of which each leaves for itself, as far as the system lets it. */
async function play(pieces: readonly Uint8Array[], waitsBetween: boolean): Promise<string> {
  const client = await connectRaw({ port });
  client.send(webSocketRequest());
  await client.receiveUntil((received) => received.includes("\r\n\r\n"));
  for (const piece of pieces) {
    client.send(piece);
    if (waitsBetween) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const received = await client.receiveAll();
  client.destroy();
  return received;
}

for (const [heading, fixtures] of Object.entries(FRAMES)) {
  describe(`${heading}, over TCP`, () => {
    for (const { name, rfc, input, found } of fixtures) {
      test(`${name} (RFC ${rfc})`, async () => {
        const last = endsIt(found) ? [] : [GOODBYE];
        const expected = [...answersTo(found), ...(endsIt(found) ? [] : ["close 4321"])];
        const inputs = [[input, ...last]];
        if (input.byteLength <= MAX_BYTES_ONE_BY_ONE) {
          inputs.push([...Array.from(input, (byte) => Uint8Array.of(byte)), ...last]);
        }
        const received = await Promise.all(inputs.map((pieces, i) => play(pieces, i > 0)));
        for (const one of received) assert.deepEqual(show(framesOf(one)), expected);
      });
    }
  });
}
