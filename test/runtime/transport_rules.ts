/**
 * The rules of `src/transport.ts` for one connection, each as a test, for any transport: memory, TCP, Unix domain sockets
 * and TLS have to keep them alike.
 *
 * @module
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportEvents } from "../../src/transport.ts";
import { type EventHooks, EventRecorder, type RecordedConnection } from "./event_recorder.ts";

/** The other end of a connection. */
export interface TransportPeer {
  send(content: string): void;
  /** Waits for so many bytes and takes them. */
  receive(byteLength: number): Promise<string>;
  /** Waits for FIN or the close and takes everything. */
  receiveAll(): Promise<string>;
  /** Whether the connection was reset by the transport, as far as this end was told. */
  sawReset(): boolean;
  /** Waits until the connection is gone. */
  closed(): Promise<void>;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  /** Sends FIN. */
  end(): void;
  /** Sends RST. */
  reset(): void;
}

/** A transport that listens. */
export interface TransportHarness {
  connect(): Promise<TransportPeer>;
  /** Stops listening and lets every peer go. */
  close(): void | Promise<void>;
}

/** A transport under test. */
export interface TransportUnderTest {
  readonly listen: (events: TransportEvents) => TransportHarness | Promise<TransportHarness>;
  /** More bytes than everything between the two ends holds while the peer does not read. */
  readonly congestingBytes: number;
  /** Bytes that the system takes while the peer does not read, more than the peer's end holds; 0 without a system. */
  readonly systemBytes: number;
  /** Whether a peer can make the transport fail: TLS and Unix domain sockets just close. */
  readonly canReset: boolean;
  /** Whether the transport can make a peer see a failure. */
  readonly canCutOff: boolean;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** Round trips of another connection in which something forbidden would have happened. */
const WAITED_ROUND_TRIPS = 4;

/** Everything a rule is tested with. */
class Situation {
  readonly recorder: EventRecorder;
  readonly congestingBytes: number;
  readonly #harness: TransportHarness;

  constructor(recorder: EventRecorder, harness: TransportHarness, congestingBytes: number) {
    this.recorder = recorder;
    this.congestingBytes = congestingBytes;
    this.#harness = harness;
  }

  /** A connection with both its ends. */
  async open(hooks: EventHooks = {}): Promise<{ connection: RecordedConnection; peer: TransportPeer }> {
    const { connections } = this.recorder;
    const before = connections.length;
    this.recorder.hooks = hooks;
    const peer = await this.#harness.connect();
    await this.recorder.until(() => connections.length > before, "onOpen");
    return { connection: connections[before], peer };
  }

  /** Lets so much happen that what must not happen would have. */
  async waitInVain(): Promise<void> {
    const { connection, peer } = await this.open({ onData: (other, text) => void other.write(text) });
    for (let trip = 1; trip <= WAITED_ROUND_TRIPS; trip++) {
      peer.send(".");
      await peer.receive(1);
    }
    connection.abort();
    await connection.until("close");
  }
}

/** Text in which each eight bytes tell where they belong. */
function numbered(byteLength: number): string {
  for (let i = numbers.length / 8; numbers.length < byteLength; i++) numbers += `${String(i).padStart(7, "0")};`;
  return numbers.slice(0, byteLength);
}

/** As many numbers as have been asked for: making megabytes of them takes longer than sending them. */
let numbers = "";

/** Compares without writing megabytes into a report. */
function assertSame(actual: string, expected: string): void {
  if (actual === expected) return;
  let at = 0;
  while (actual[at] === expected[at]) at++;
  const shown = JSON.stringify([actual.slice(at, at + 24), expected.slice(at, at + 24)]);
  assert.fail(`${actual.length} bytes, not the ${expected.length} expected; they differ from byte ${at} on: ${shown}`);
}

/** Writes all of a text at once, in pieces. Returns what the last write returned. */
function writeAll(connection: RecordedConnection, text: string, pieceBytes = 64 * KIB): boolean {
  let isFree = true;
  for (let at = 0; at < text.length; at += pieceBytes) isFree = connection.write(text.slice(at, at + pieceBytes));
  return isFree;
}

/** Writes all of a text at once, jointly: pieces of several sizes, then one more alone, over and over. */
function writeJointly(connection: RecordedConnection, text: string): boolean {
  let isFree = true;
  let at = 0;
  const cut = (byteLength: number): string => text.slice(at, at += byteLength);
  while (at < text.length) {
    isFree = connection.writeAll([cut(9), cut(64 * KIB), cut(2), cut(1000), cut(100_000), cut(5)]);
    if (at < text.length) isFree = connection.write(cut(3));
  }
  return isFree;
}

/** Tests a transport against the rules of the contract; to be called within a `describe`. */
export function testTransport(transport: TransportUnderTest): void {
  const { listen, congestingBytes, systemBytes, canReset, canCutOff } = transport;
  const rule = (title: string, run: (situation: Situation) => Promise<void>): void =>
    void test(title, async () => {
      const recorder = new EventRecorder();
      const harness = await listen(recorder);
      try {
        await run(new Situation(recorder, harness, congestingBytes));
      } finally {
        for (const connection of recorder.connections) connection.abort();
        await harness.close();
      }
      await recorder.until(() => recorder.connections.every(({ isClosed }) => isClosed), "onClose of each connection");
      assert.deepEqual(recorder.violations, []);
    });
  testReading(rule);
  testWriting(rule);
  testHalfClose(rule);
  testAbort(rule);
  testCutOff(rule, canCutOff);
  if (canReset) testReset(rule);
  if (systemBytes > 0) testSystemBytes(rule, systemBytes);
}

type Rule = (title: string, run: (situation: Situation) => Promise<void>) => void;

function testReading(rule: Rule): void {
  rule("bytes arrive in order and whole", async (situation) => {
    const { connection, peer } = await situation.open();
    const sent = numbered(2 * MIB);
    for (let at = 0; at < sent.length; at += 100_000) peer.send(sent.slice(at, at + 100_000));
    await connection.untilReceived(sent.length);
    assertSame(connection.received, sent);
  });

  rule("every byte value arrives as it was sent", async (situation) => {
    const { connection, peer } = await situation.open();
    const sent = String.fromCharCode(...Array(256).keys());
    peer.send(sent);
    await connection.untilReceived(256);
    assert.equal(connection.received, sent);
  });

  rule("after pause comes at most one onData, and the rest after resume", async (situation) => {
    const sent = numbered(1 * MIB);
    const { connection, peer } = await situation.open({ onData: (paused) => paused.pause() });
    peer.send(sent);
    while (connection.received.length < sent.length) {
      const before = connection.count("data");
      connection.resume();
      await situation.recorder.until(() => connection.count("data") > before, "onData after resume");
    }
    await situation.waitInVain();
    assertSame(connection.received, sent);
  });

  rule("a connection that is paused when it opens reads at most once until resume", async (situation) => {
    const { connection, peer } = await situation.open({ onOpen: (opened) => opened.pause() });
    peer.send("first");
    await situation.waitInVain();
    peer.send("second");
    peer.end();
    await situation.waitInVain();
    connection.resume();
    await connection.until("end");
    assert.equal(connection.received, "firstsecond");
  });

  rule("onEnd waits while paused, and comes after resume", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.end();
    await situation.waitInVain();
    connection.resume();
    await connection.until("end");
  });

  rule("onEnd waits when the last onData pauses", async (situation) => {
    const { connection, peer } = await situation.open({ onData: (paused) => paused.pause() });
    peer.send("last");
    peer.end();
    await connection.untilReceived(4);
    await situation.waitInVain();
    connection.resume();
    await connection.until("end");
    assert.equal(connection.received, "last");
  });

  rule("onEnd waits on when resume and pause come in one turn", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.end();
    await situation.waitInVain();
    connection.resume();
    connection.pause();
    await situation.waitInVain();
    assert.equal(connection.count("end"), 0);
    connection.resume();
    await connection.until("end");
  });

  rule("pause and resume in one turn change nothing", async (situation) => {
    const toggle = (connection: RecordedConnection): void => {
      connection.pause();
      connection.resume();
      connection.pause();
      connection.resume();
    };
    const { connection, peer } = await situation.open({ onOpen: toggle, onData: toggle });
    const sent = numbered(256 * KIB);
    peer.send(sent);
    peer.end();
    await connection.until("end");
    assertSame(connection.received, sent);
    assert.equal(connection.count("end"), 1);
  });
}

function testWriting(rule: Rule): void {
  rule("many small writes in one turn arrive in order", async (situation) => {
    const { connection, peer } = await situation.open();
    const sent = numbered(40_000);
    writeAll(connection, sent, 8);
    assertSame(await peer.receive(sent.length), sent);
  });

  rule("what is written jointly arrives in order", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.writeAll(["one ", "two ", "three"]);
    assert.equal(await peer.receive(13), "one two three");
    const sent = numbered(1 * MIB);
    writeJointly(connection, sent);
    assertSame(await peer.receive(sent.length), sent);
  });

  rule("one onDrain follows a joint write that returned false", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    const sent = numbered(situation.congestingBytes);
    assert.equal(writeJointly(connection, sent), false, "the peer reads nothing");
    await situation.waitInVain();
    assert.equal(connection.count("drain"), 0);
    peer.resume();
    assertSame(await peer.receive(sent.length), sent);
    await connection.until("drain");
    await situation.waitInVain();
    assert.equal(connection.count("drain"), 1);
    assert.equal(connection.writeAll(["ag", "ain"]), true);
    assert.equal(await peer.receive(5), "again");
  });

  rule("bytes that were borrowed can be changed behind the write", async (situation) => {
    const { connection, peer } = await situation.open();
    const sent = numbered(8 * MIB);
    peer.pause();
    const sizes = [100_000, 60_000, 9_000, 300];
    for (let at = 0, i = 0; at < sent.length; at += sizes[i++ % 4]) {
      connection.writeBorrowed(sent.slice(at, at + sizes[i % 4]));
    }
    peer.resume();
    assertSame(await peer.receive(sent.length), sent);
    await connection.until("drain");
    for (const size of [60_000, 9_000, 300]) {
      for (let at = 0; at < 10 * size; at += size) {
        connection.writeBorrowed(sent.slice(at, at + size));
        assertSame(await peer.receive(size), sent.slice(at, at + size));
      }
    }
    connection.end();
    assert.equal(connection.writeBorrowed("more"), false);
  });

  rule("a peer that reads slowly gets everything in order", async (situation) => {
    const { connection, peer } = await situation.open();
    const sent = numbered(8 * MIB);
    peer.pause();
    writeAll(connection, sent, 100_000);
    let received = "";
    while (received.length < sent.length) {
      peer.resume();
      received += await peer.receive(Math.min(1 * MIB, sent.length - received.length));
      peer.pause();
    }
    assertSame(received, sent);
  });

  rule("one onDrain follows when all has left that waited after write returned false", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    let sentBytes = 0;
    const piece = numbered(256 * KIB);
    while (connection.write(piece) || sentBytes < situation.congestingBytes) sentBytes += piece.length;
    sentBytes += piece.length;
    assert.equal(connection.write("more"), false, "the peer reads nothing");
    await situation.waitInVain();
    assert.equal(connection.count("drain"), 0);
    peer.resume();
    await peer.receive(sentBytes + 4);
    await connection.until("drain");
    await situation.waitInVain();
    assert.equal(connection.count("drain"), 1);
    assert.equal(connection.write("again"), true);
    assert.equal(await peer.receive(5), "again");
  });

  rule("writing goes on from onDrain for as long as one likes", async (situation) => {
    const sent = numbered(6 * MIB);
    let sentBytes = 0;
    const writeSome = (connection: RecordedConnection): void => {
      while (sentBytes < sent.length) {
        const piece = sent.slice(sentBytes, sentBytes + 40_000);
        sentBytes += piece.length;
        if (!connection.write(piece)) return;
      }
      connection.end();
    };
    const { peer } = await situation.open({ onOpen: writeSome, onDrain: writeSome });
    assertSame(await peer.receiveAll(), sent);
  });

  rule("a write within each event arrives", async (situation) => {
    const { peer } = await situation.open({
      onOpen: (connection) => connection.write("open,"),
      onData: (connection) => connection.write("data,"),
      onEnd: (connection) => {
        connection.write("end");
        connection.end();
      },
    });
    assert.equal(await peer.receive(5), "open,");
    peer.send("?");
    assert.equal(await peer.receive(5), "data,");
    peer.end();
    assert.equal(await peer.receiveAll(), "end");
  });

  rule("a part of the bytes can be written", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.write("not,these,not", 4, 10);
    connection.write("nor-these,but-these", 10);
    connection.end();
    assert.equal(await peer.receiveAll(), "these,but-these");
  });

  rule("a part is written whole although the peer reads nothing yet", async (situation) => {
    const { connection, peer } = await situation.open();
    const before = numbered(8 * MIB);
    const bytes = new TextEncoder().encode(`not${before}not`);
    connection.write(bytes, 3, bytes.byteLength - 3);
    connection.write(bytes, 3, 3 + MIB);
    connection.end();
    assertSame(await peer.receiveAll(), before + before.slice(0, MIB));
  });

  rule("the owner of a view may change the rest of its buffer", async (situation) => {
    const { connection, peer } = await situation.open();
    const buffer = new Uint8Array(3 * MIB).fill(0x61);
    connection.write(buffer.subarray(0, 1 * MIB));
    buffer.fill(0x62, 1 * MIB, 2 * MIB);
    connection.write(buffer.subarray(1 * MIB, 2 * MIB));
    buffer.fill(0x63, 2 * MIB);
    assertSame(await peer.receive(2 * MIB), "a".repeat(MIB) + "b".repeat(MIB));
  });
}

function testHalfClose(rule: Rule): void {
  rule("a response still reaches a peer that has sent FIN", async (situation) => {
    const response = numbered(1 * MIB);
    const { connection, peer } = await situation.open();
    peer.send("request");
    peer.end();
    await connection.until("end");
    await situation.waitInVain();
    connection.write(response);
    connection.end();
    assertSame(await peer.receiveAll(), response);
    await connection.until("close");
    assert.deepEqual(connection.log.slice(-2).concat(String(connection.cause)), ["end", "close", "undefined"]);
  });

  rule("after end reading goes on until the peer's FIN, which closes", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.write("bye");
    connection.end();
    assert.equal(await peer.receiveAll(), "bye");
    peer.send("still ");
    await connection.untilReceived(6);
    peer.send("here");
    peer.end();
    await connection.until("close");
    await peer.closed();
    assert.equal(connection.received, "still here");
    assert.deepEqual(connection.log.slice(-2), ["end", "close"]);
    assert.equal(connection.cause, undefined);
  });

  rule("end within onOpen and within onEnd closes in order", async (situation) => {
    const first = await situation.open({ onOpen: (connection) => connection.end() });
    assert.equal(await first.peer.receiveAll(), "");
    first.peer.end();
    await first.connection.until("close");
    const second = await situation.open({ onEnd: (connection) => connection.end() });
    second.peer.end();
    await second.connection.until("close");
    assert.deepEqual([first.connection.log, second.connection.log], [["end", "close"], ["end", "close"]]);
    assert.deepEqual([first.connection.cause, second.connection.cause], [undefined, undefined]);
  });

  rule("end while the peer does not keep up sends everything before FIN", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    const sent = numbered(situation.congestingBytes);
    assert.equal(writeAll(connection, sent, 1 * MIB), false);
    connection.end();
    await situation.waitInVain();
    peer.resume();
    assertSame(await peer.receiveAll(), sent);
    peer.end();
    await connection.until("close");
    assert.equal(connection.cause, undefined);
  });

  rule("after end write returns false and sends nothing, and end again changes nothing", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.write("all");
    connection.end();
    assert.equal(connection.write("more"), false);
    assert.equal(connection.writeAll(["much ", "more"]), false);
    connection.end();
    assert.equal(await peer.receiveAll(), "all");
    assert.equal(connection.write("more"), false);
    connection.end();
    peer.end();
    await connection.until("close");
    assert.equal(connection.write("more"), false);
    connection.end();
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["end", "close"]);
  });

  rule("the peer's FIN while paused and the end of this side are told after resume, and close", async (situation) => {
    const { connection, peer } = await situation.open({ onOpen: (opened) => opened.pause() });
    peer.end();
    await situation.waitInVain();
    connection.end();
    assert.equal(await peer.receiveAll(), "");
    await situation.waitInVain();
    assert.deepEqual(connection.log, []);
    connection.resume();
    await connection.until("close");
    assert.deepEqual([connection.log, connection.cause], [["end", "close"], undefined]);
  });
}

function testAbort(rule: Rule): void {
  for (const event of ["onOpen", "onData", "onEnd", "onDrain"] as const) {
    rule(`after abort within ${event} comes nothing but onClose`, async (situation) => {
      const abort = (connection: RecordedConnection): void => {
        connection.abort();
        connection.abort();
        assert.equal(connection.isClosed, false, "onClose comes later");
      };
      const { connection, peer } = await situation.open({ [event]: abort });
      if (event === "onDrain") {
        peer.pause();
        writeAll(connection, numbered(situation.congestingBytes), 1 * MIB);
        peer.resume();
        await connection.until("drain");
      }
      peer.send(numbered(256 * KIB));
      peer.end();
      await connection.until("close");
      await peer.closed();
      await situation.waitInVain();
      assert.equal(connection.cause, undefined);
    });
  }

  rule("abort between events is told later and once, without a cause", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.abort();
    connection.abort();
    assert.equal(connection.isClosed, false);
    await connection.until("close");
    connection.abort();
    await peer.receiveAll();
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
    assert.equal(connection.cause, undefined);
  });

  rule("after abort write returns false, and every call changes nothing", async (situation) => {
    const { connection, peer } = await situation.open();
    const callEverything = (): void => {
      assert.equal(connection.write("more"), false);
      assert.equal(connection.writeAll(["much ", "more"]), false);
      connection.pause();
      connection.resume();
      connection.watchPeer();
      connection.end();
      connection.abort();
    };
    connection.abort();
    callEverything();
    await connection.until("close");
    callEverything();
    assert.equal(await peer.receiveAll(), "");
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
  });

  rule("abort discards what the peer did not take, and no onDrain follows", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    const sent = numbered(situation.congestingBytes);
    assert.equal(writeAll(connection, sent, 1 * MIB), false);
    await situation.waitInVain();
    connection.abort();
    await connection.until("close");
    peer.resume();
    assert.ok((await peer.receiveAll()).length < sent.length);
    assert.deepEqual(connection.log, ["close"]);
  });

  rule("abort right after end and a write closes", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.write("maybe");
    connection.end();
    connection.abort();
    await connection.until("close");
    await peer.receiveAll();
    assert.deepEqual(connection.log, ["close"]);
  });

  rule("abort right after resume closes, and the FIN that waited is not told", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.end();
    await situation.waitInVain();
    connection.resume();
    connection.abort();
    await connection.until("close");
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
  });

  rule("abort while paused closes", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.send("waits");
    await situation.waitInVain();
    connection.abort();
    await connection.until("close");
    await peer.receiveAll();
  });
}

function testCutOff(rule: Rule, canCutOff: boolean): void {
  const sight = canCutOff ? "a failure" : "an end, for want of a reset";
  rule(`after cutOff the peer sees what it got before, and ${sight}`, async (situation) => {
    const { connection, peer } = await situation.open();
    connection.write("half of it");
    assert.equal(await peer.receive(10), "half of it");
    connection.cutOff();
    assert.equal(connection.isClosed, false, "onClose comes later");
    await connection.until("close");
    assert.equal(await peer.receiveAll(), "");
    assert.equal(peer.sawReset(), canCutOff);
    await situation.waitInVain();
    assert.deepEqual([connection.log, connection.cause], [["close"], undefined]);
  });

  rule(`cutOff of a connection whose peer has sent FIN, is ${sight}`, async (situation) => {
    const { connection, peer } = await situation.open();
    peer.end();
    await connection.until("end");
    connection.cutOff();
    await connection.until("close");
    assert.equal(await peer.receiveAll(), "");
    assert.equal(peer.sawReset(), canCutOff);
  });

  rule("cutOff discards what the peer did not take, and no onDrain follows", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    const sent = numbered(situation.congestingBytes);
    assert.equal(writeAll(connection, sent, 1 * MIB), false);
    await situation.waitInVain();
    connection.cutOff();
    await connection.until("close");
    peer.resume();
    const received = await peer.receiveAll();
    assert.ok(received.length < sent.length);
    assertSame(received, sent.slice(0, received.length));
    assert.deepEqual(connection.log, ["close"]);
  });

  rule("cutOff within an event, twice, and calls after it change nothing more", async (situation) => {
    const callEverything = (connection: RecordedConnection): void => {
      connection.cutOff();
      connection.cutOff();
      assert.equal(connection.write("more"), false);
      assert.equal(connection.writeAll(["much ", "more"]), false);
      connection.pause();
      connection.resume();
      connection.end();
      connection.abort();
      connection.cutOff();
    };
    const { connection, peer } = await situation.open({ onData: callEverything });
    peer.send(numbered(256 * KIB));
    peer.end();
    await connection.until("close");
    callEverything(connection);
    await peer.closed();
    await situation.waitInVain();
    assert.deepEqual([connection.log, connection.cause], [["data", "close"], undefined]);
  });

  rule("cutOff after abort changes nothing", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.abort();
    connection.cutOff();
    await connection.until("close");
    await peer.receiveAll();
    await situation.waitInVain();
    assert.deepEqual([connection.log, connection.cause], [["close"], undefined]);
  });
}

function testReset(rule: Rule): void {
  rule("a reset is told once, with its cause", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.send("hello");
    await connection.untilReceived(5);
    peer.reset();
    await connection.until("close");
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["data", "close"]);
    assert.ok(connection.cause instanceof Error);
  });

  rule("a reset while much waits to be sent is told once, with its cause", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    writeAll(connection, numbered(situation.congestingBytes), 1 * MIB);
    await situation.waitInVain();
    peer.reset();
    await connection.until("close");
    assert.equal(connection.write("more"), false);
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
    assert.ok(connection.cause instanceof Error);
  });

  rule("a reset after end is told once, with its cause", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.end();
    await peer.receiveAll();
    peer.reset();
    await connection.until("close");
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
    assert.ok(connection.cause instanceof Error);
  });

  rule("a reset while paused is told at the latest after resume", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.reset();
    await situation.waitInVain();
    connection.resume();
    await connection.until("close");
    await situation.waitInVain();
    assert.deepEqual(connection.log, ["close"]);
    assert.ok(connection.cause instanceof Error);
  });

  rule("writing to a peer that has reset closes once, with its cause", async (situation) => {
    const { connection, peer } = await situation.open();
    connection.pause();
    peer.reset();
    connection.write(new Uint8Array(MIB));
    await situation.waitInVain();
    connection.write(new Uint8Array(MIB));
    connection.resume();
    await connection.until("close");
    await situation.waitInVain();
    assert.equal(connection.count("close"), 1);
    assert.ok(connection.cause instanceof Error);
  });

  rule("abort after the peer's reset tells no cause twice", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.reset();
    connection.write("x");
    await peer.closed();
    connection.abort();
    await connection.until("close");
    await situation.waitInVain();
    assert.equal(connection.count("close"), 1);
  });
}

/** Of transports whose system holds bytes when the connection is closed. */
function testSystemBytes(rule: Rule, systemBytes: number): void {
  rule("what has left before an end reaches the peer behind an abort", async (situation) => {
    const { connection, peer } = await situation.open();
    peer.pause();
    const sent = numbered(systemBytes);
    writeAll(connection, sent);
    await situation.waitInVain();
    connection.end();
    await situation.waitInVain();
    connection.abort();
    await connection.until("close");
    peer.resume();
    assertSame(await peer.receiveAll(), sent);
  });
}
