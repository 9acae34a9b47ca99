/** Every row of frames through a server in memory, whole and byte by byte: what is answered, and how it ends. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FRAMES, MAX_MESSAGE_BYTES } from "../fixtures/websocket_frames.ts";
import { startMemoryServer } from "../support/memory_server.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { answersTo, bytewise, echo, endsIt, framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const GOODBYE = frame({ opcode: 8, payload: closePayload(4321) });

for (const [heading, fixtures] of Object.entries(FRAMES)) {
  describe(`${heading}, answered`, () => {
    for (const { name, rfc, input, found } of fixtures) {
      test(`${name} (RFC ${rfc})`, async () => {
        const closes: string[] = [];
        const { connect, clock, server, reported } = await startMemoryServer((request, info) => {
          const { response, socket } = info.upgradeWebSocket({ maxMessageSize: MAX_MESSAGE_BYTES });
          socket.binaryType = "arraybuffer";
          socket.onmessage = (event) => socket.send(event.data);
          socket.onclose = ({ code, wasClean }) => closes.push(`${new URL(request.url).pathname} ${code} ${wasClean}`);
          return response;
        });
        for (const [path, pieces] of [["/whole", [input]], ["/pieces", bytewise(input)]] as const) {
          const peer = connect();
          peer.send(webSocketRequest(path));
          for (const piece of pieces) peer.send(piece);
          await clock.settle();
          const expected = answersTo(found);
          assert.deepEqual(show(framesOf(peer.received())), expected, path);
          let close = found.find((what) => what.startsWith("close "))?.split(" ")[1] ?? "1006";
          if (!endsIt(found)) {
            peer.send(GOODBYE);
            await clock.settle();
            assert.deepEqual(show(framesOf(peer.received())), [...expected, "close 4321"], path);
            close = "4321";
          }
          assert.equal(peer.serverSide, "ended", "the server ends the connection first");
          peer.end();
          await clock.settle();
          assert.equal(peer.serverSide, "closed");
          assert.deepEqual(closes.splice(0), [`${path} ${close} ${close !== "1006"}`]);
        }
        assert.deepEqual(reported, []);
        const failed = found.some((what) => what.startsWith("fail "));
        assert.deepEqual(server.stats().errors, failed ? { "websocket-violation": 2 } : {});
        // That of clients which have sent FIN looks once more.
        await clock.advance(1_500);
        assert.equal(clock.pendingCount, 0, "no timer is left");
      });
    }
  });
}

test("a message that comes right behind the request is not lost", async () => {
  const { connect, clock } = await startMemoryServer(echo());
  const peer = connect();
  peer.send(new TextEncoder().encode(webSocketRequest()).slice());
  peer.send(frame({ opcode: 1, payload: "early" }));
  await clock.settle();
  assert.deepEqual(show(framesOf(peer.received())), ["text early"]);
});
