/** A connection that leaves HTTP: who writes when, and what waits for what (RFC 9110 section 7.8). */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, test } from "node:test";
import type { Handler, UpgradedConnection } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import type { MemoryPeer } from "../../support/memory_runtime.ts";
import { createGate, get, startMemoryServer, statuses } from "../../support/memory_server.ts";

const UPGRADE = get("/raw", "Connection: upgrade", "Upgrade: raw");
/** Two of these are more than the peer takes without reading; with the 101 behind it, one is not too much to gather. */
const BIG_BYTES = 45_000;

function serveRaw(use: (raw: UpgradedConnection) => void): Handler {
  return (request, info) => {
    if (!request.url.endsWith("/raw")) return new HttpResponse(new Uint8Array(BIG_BYTES).fill(0x2e));
    const { response, connection } = info.upgrade("raw");
    connection.then(use);
    return response;
  };
}

/** Asks for an upgrade behind requests whose responses the client does not take. */
async function upgradeBehindResponses(peer: MemoryPeer, clock: { settle(): Promise<void> }): Promise<void> {
  peer.stopReading();
  peer.send(get("/"));
  await clock.settle();
  peer.send(get("/") + UPGRADE);
  await clock.settle();
}

describe("a call of upgrade()", () => {
  test("as of a server of Bun, with the request, is told what to call", async () => {
    const { send, reported } = await startMemoryServer((request, info) => {
      info.upgrade(request as never);
      return new HttpResponse(null);
    });
    const peer = await send(get("/", "Connection: upgrade", "Upgrade: websocket"));
    assert.deepEqual(statuses(peer.received()), [500]);
    assert.match(String(reported[0].cause), /expected the name of a protocol\. .* call info\.upgradeWebSocket\(\)/);
  });
});

describe("an upgrade that does not come about", () => {
  test("rejects its connection, and is no unhandled rejection where its handler has dropped that", async () => {
    const rejected: unknown[] = [];
    const note = (reason: unknown): void => void rejected.push(reason);
    process.on("unhandledRejection", note);
    const { send } = await startMemoryServer((_request, info) => {
      void info.upgrade("raw");
      return new HttpResponse("no");
    });
    const peer = await send(UPGRADE);
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("unhandledRejection", note);
    assert.deepEqual([statuses(peer.received()), rejected], [[200], []]);
  });
});

describe("an upgraded connection", () => {
  test("passes bytes both ways, those right behind the request included", async () => {
    const { send } = await startMemoryServer(serveRaw(({ readable, writable }) => void readable.pipeTo(writable)));
    const peer = await send(`${UPGRADE}early`, "late");
    assert.match(peer.received(), /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*\r\n\r\nearlylate$/);
  });

  test("is read on where its client was not, because so much stood behind the request already", async () => {
    const gate = createGate();
    const serve = serveRaw(({ readable, writable }) => void readable.pipeTo(writable));
    const { send, clock } = await startMemoryServer(async (request, info) => {
      await gate.opened;
      return await serve(request, info);
    });
    const early = "e".repeat(64 * 1024);
    const peer = await send(UPGRADE + early);
    assert.equal(peer.isPausedByServer, true);
    gate.open();
    await clock.settle();
    peer.send("late");
    await clock.settle();
    assert.ok(peer.received().endsWith(`\r\n\r\n${early}late`));
  });

  test("writes behind every response before it, however slowly the peer takes them", async () => {
    const { connect, clock } = await startMemoryServer(serveRaw(({ writable }) => {
      void writable.getWriter().write(new TextEncoder().encode("raw bytes"));
    }));
    const peer = connect();
    await upgradeBehindResponses(peer, clock);
    peer.read();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [200, 200, 101]);
    assert.match(peer.received(), /101 Switching Protocols\r\n[^]*\r\n\r\nraw bytes$/);
  });

  test("sends FIN behind every response before it, however slowly the peer takes them", async () => {
    const gate = createGate();
    const serve = serveRaw(({ writable }) => void writable.close());
    const { connect, clock } = await startMemoryServer(async (request, info) => {
      if (request.url.endsWith("/raw")) await gate.opened;
      return await serve(request, info);
    });
    const peer = connect();
    await upgradeBehindResponses(peer, clock);
    gate.open();
    await clock.settle();
    assert.equal(peer.serverSide, "open");
    peer.read();
    await clock.settle();
    assert.deepEqual(statuses(peer.received()), [200, 200, 101]);
    assert.equal(peer.serverSide, "ended");
  });

  test("copies what is written, so that a Buffer too can be used again", async () => {
    const chunk = Buffer.alloc(200_000, "a");
    const { connect, clock } = await startMemoryServer(serveRaw(({ writable }) => {
      void writable.getWriter().write(chunk);
    }));
    const peer = connect();
    peer.stopReading();
    peer.send(UPGRADE);
    await clock.settle();
    chunk.fill("b");
    peer.read();
    await clock.settle();
    const raw = peer.received().split("\r\n\r\n")[1];
    assert.deepEqual([raw.length, raw.includes("b")], [200_000, false]);
  });

  test("is cut off when the peer does not take what is written", async () => {
    let outcome: unknown = "pending";
    const { connect, clock, server } = await startMemoryServer(
      serveRaw(({ writable }) => {
        writable.getWriter().write(new Uint8Array(500_000)).then(
          () => outcome = "written",
          (error) => outcome = error.code,
        );
      }),
      { writeTimeout: 5_000 },
    );
    const peer = connect();
    peer.stopReading();
    peer.send(UPGRADE);
    await clock.advance(8_000);
    assert.equal(peer.serverSide, "closed");
    assert.equal(server.stats().errors["write-timeout"], 1);
    assert.equal(outcome, "peer-disconnected");
  });

  test("is closed at once when its handler aborts it, although the peer does not take what was written", async () => {
    let writer!: WritableStreamDefaultWriter<Uint8Array>;
    const outcomes: string[] = [];
    const { connect, clock } = await startMemoryServer(serveRaw(({ writable }) => {
      writer = writable.getWriter();
      for (let i = 0; i < 2; i++) writer.write(new Uint8Array(500_000)).catch(({ code }) => outcomes.push(code));
    }));
    const peer = connect();
    peer.stopReading();
    peer.send(UPGRADE);
    await clock.settle();
    await writer.abort(Object.assign(new Error("enough"), { code: "enough" }));
    await clock.settle();
    assert.deepEqual([peer.serverSide, outcomes], ["closed", ["peer-disconnected", "enough"]]);
  });

  test("that is neither read nor written any more waits for the peer's FIN, not for long", async () => {
    const { connect, clock, server } = await startMemoryServer(serveRaw(async ({ readable, writable }) => {
      await writable.getWriter().close();
      await readable.cancel();
    }));
    const [patient, silent] = [connect(), connect()];
    for (const peer of [patient, silent]) peer.send(UPGRADE);
    await clock.settle();
    assert.equal(patient.serverSide, "ended");
    patient.send("more");
    patient.end();
    await clock.settle();
    assert.equal(patient.serverSide, "closed");
    await clock.advance(4_000);
    assert.equal(silent.serverSide, "ended");
    await clock.advance(3_000);
    assert.equal(silent.serverSide, "closed");
    assert.equal(server.stats().connections.open, 0);
  });
});
