/** Which connections are taken, and that nothing is left of those that are gone. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import { CoarseClock } from "../../src/exchange/coarse_clock.ts";
import type { Scheduler } from "../../src/models/scheduler.ts";
import { Admission, type AdmissionLimits } from "../../src/server/admission.ts";
import { type HeldConnection, OpenConnections } from "../../src/server/open_connections.ts";
import { startMemoryServer, text } from "../support/memory_server.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

/** An admission to connections that do nothing. */
function create(limits: AdmissionLimits, admit: (connection: HeldConnection) => void = () => {}) {
  const clock = new CoarseClock(new VirtualClock(), [1_000], (elapsedMs) => open.tick(elapsedMs));
  const open = new OpenConnections(clock);
  const released: HeldConnection[] = [];
  const scheduler: Scheduler = {
    admit: (connection) => admit(connection as HeldConnection),
    run: () => {},
    mayPersist: () => true,
    release: (connection) => void released.push(connection as HeldConnection),
  };
  const admission = new Admission(limits, open, scheduler);
  const connect = (hostname: string): HeldConnection & { close(): void } => {
    const connection = {
      placeAmongOpen: 0,
      activity: "idle" as const,
      placeInLine: 0,
      wasRefused: false,
      remoteAddress: { transport: "tcp", hostname, port: 1 } as const,
      refuse(): void {
        this.wasRefused = true;
        admission.refused(this);
        admission.served(this);
      },
      close(): void {
        if (!this.wasRefused) admission.served(this);
        admission.closed(this);
        open.remove(this);
      },
      abort(): void {
        this.close();
      },
      answerRefusal: () => {},
      serve: () => {},
      giveUp: () => false,
      isBusy: false,
      drain: () => {},
      tick: () => {},
      onData: () => {},
      onDrain: () => {},
      onEnd: () => {},
      onClose: () => {},
    };
    open.add(connection);
    admission.admit(connection);
    return connection;
  };
  return { admission, open, connect, released };
}

describe("the addresses that are counted", () => {
  test("are forgotten with their last connection, served or refused", () => {
    const { admission, open, connect } = create({ maxConnections: 0, maxConnectionsPerIp: 1, descriptorLimit: null });
    const connections = ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"].map(connect);
    assert.deepEqual(connections.map(({ wasRefused }) => wasRefused), [false, true, false, false]);
    assert.equal(admission.addressCount, 3);
    for (const connection of connections) connection.close();
    assert.deepEqual([admission.addressCount, open.count, open.servedCount], [0, 0, 0]);
  });

  test("are none when there is no limit by address", () => {
    const { admission, connect } = create({ maxConnections: 5, maxConnectionsPerIp: 0, descriptorLimit: null });
    connect("10.0.0.1");
    assert.equal(admission.addressCount, 0);
  });

  test("do not count a connection that is refused by the model, now or later", () => {
    const full = new TrivetError("queue-full", "No.");
    const { connect } = create(
      { maxConnections: 0, maxConnectionsPerIp: 1, descriptorLimit: null },
      (connection) => connection.refuse(full),
    );
    assert.equal(connect("10.0.0.1").wasRefused, true);
    const waiting = create({ maxConnections: 0, maxConnectionsPerIp: 1, descriptorLimit: null });
    const parked = waiting.connect("10.0.0.1");
    assert.equal(waiting.connect("10.0.0.1").wasRefused, true);
    parked.refuse(full);
    assert.equal(waiting.connect("10.0.0.1").wasRefused, false);
  });
});

describe("a tick of the clock", () => {
  test("is heard by every connection, although some close at it", async () => {
    const options = { headersTimeout: 1_000 };
    const { connect, clock, server } = await startMemoryServer(() => text("hello"), options);
    const peers = Array.from({ length: 7 }, () => connect());
    await clock.settle();
    for (const peer of peers) peer.end();
    peers.splice(0, 1);
    const late = Array.from({ length: 7 }, () => connect());
    await clock.advance(1_250);
    assert.deepEqual(late.map((peer) => peer.serverSide), Array(7).fill("ended"), "all at the same tick");
    await server.stop();
  });

  test("is told once to each of those that were open when it began", () => {
    const clock = new CoarseClock(new VirtualClock(), [], () => {});
    const open = new OpenConnections(clock);
    const told: number[] = [];
    for (let i = 0; i < 5; i++) {
      const connection = {
        placeAmongOpen: 0,
        tick(): void {
          told.push(i);
          if (i % 2 === 0) open.remove(connection);
        },
      } as unknown as HeldConnection;
      open.add(connection);
    }
    open.tick(500);
    assert.deepEqual(told, [0, 1, 2, 3, 4]);
    assert.equal(open.count, 2);
    open.tick(500);
    assert.deepEqual(told.slice(5).sort(), [1, 3]);
  });
});
