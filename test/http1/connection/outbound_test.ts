/**
 * What an upgraded connection hands over, and long content with its head, leave behind what was gathered before, and as one
 * write where they can.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoarseClock } from "../../../src/exchange/coarse_clock.ts";
import { Outbound, OutboundSlab } from "../../../src/http1/connection/outbound.ts";
import type { TransportConnection } from "../../../src/transport.ts";
import { createMemoryRuntime } from "../../support/memory_runtime.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const KIB = 1024;
const createSlab = (): OutboundSlab => new OutboundSlab(createMemoryRuntime());

/** An outbound, and the writes that its transport was given; it keeps up until told otherwise. */
function createOutbound(slab = createSlab()) {
  const writes: string[] = [];
  const sent: string[] = [];
  const sentBytes: Uint8Array[] = [];
  const storages = new Set<ArrayBufferLike>();
  const joint: number[] = [];
  const peer = { keepsUp: true };
  const note = (kind: string) => (bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean => {
    const text = new TextDecoder().decode(bytes.subarray(start, end));
    writes.push(`${kind} ${text.length > 9 ? text.length : text}`);
    sent.push(text);
    sentBytes.push(bytes.slice(start, end));
    storages.add(bytes.buffer);
    return peer.keepsUp;
  };
  const transport: Partial<TransportConnection> = {
    write: note("write"),
    writeAll: (pieces) => {
      joint.push(pieces.length);
      return pieces.map((piece) => note("write")(piece)).at(-1)!;
    },
    writeBorrowed: note("borrowed"),
  };
  const turnClock = new VirtualClock();
  const counters = { bytesSent: 0 };
  const outbound = new Outbound(transport as TransportConnection, {
    slab,
    clock: new CoarseClock(turnClock, [], () => {}),
    counters,
    turnClock,
    settings: { writeTimeoutMs: 0 },
  });
  /** All that was written, of which a write may end within a char. */
  const received = (): string => new TextDecoder().decode(Buffer.concat(sentBytes));
  return { outbound, writes, sent, received, peer, counters, storages, joint };
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("bytes that are passed", () => {
  test("are handed over as they are, as far as is said", () => {
    const { outbound, writes, counters } = createOutbound();
    assert.equal(outbound.pass(bytesOf("[own]"), 1, 4, false), true);
    assert.equal(outbound.pass(bytesOf("[lent]"), 1, 5, true), true);
    assert.deepEqual([writes, counters.bytesSent], [["write own", "borrowed lent"], 7]);
  });

  test("leave behind what was gathered", () => {
    for (const areBorrowed of [false, true]) {
      const { outbound, writes } = createOutbound();
      outbound.appendAscii("a head ");
      assert.equal(outbound.pass(bytesOf("x"), 0, 1, areBorrowed), true);
      assert.deepEqual(writes, ["write a head x"]);
    }
  });

  test("wait for a peer that does not keep up, and their memory can be used again where it was lent", () => {
    const { outbound, writes, peer } = createOutbound();
    peer.keepsUp = false;
    assert.equal(outbound.pass(bytesOf("first"), 0, 5, false), false);
    const lent = bytesOf("lent");
    assert.equal(outbound.pass(lent, 0, 4, true), false);
    lent.fill(0);
    assert.deepEqual(writes, ["write first"]);
    outbound.drained();
    assert.equal(outbound.flush(), false);
    assert.deepEqual(writes, ["write first", "write lent"]);
  });

  test("are no write of their own that is larger than others", () => {
    for (const areBorrowed of [false, true]) {
      const { outbound, writes } = createOutbound();
      outbound.pass(new Uint8Array(72 * KIB), 0, 72 * KIB, areBorrowed);
      outbound.pass(new Uint8Array(72 * KIB + 1), 0, 72 * KIB + 1, areBorrowed);
      const kind = areBorrowed ? "borrowed" : "write";
      assert.deepEqual(writes, [`${kind} ${72 * KIB}`, `write ${64 * KIB}`, `write ${8 * KIB + 1}`]);
    }
  });
});

describe("long content", () => {
  const ones = "1".repeat(4 * KIB);
  const twos = "2".repeat(3 * KIB);

  function add(outbound: Outbound, content: string | Uint8Array): void {
    assert.equal(outbound.takeLong(content), content.length);
    outbound.appendWithLong("head");
  }

  for (const [kind, make] of [["text", (text: string) => text], ["bytes", bytesOf]] as const) {
    test(`leaves with its head in one write of storage that is used again: ${kind}`, () => {
      const { outbound, writes, sent, counters } = createOutbound();
      for (const text of [ones, twos]) {
        add(outbound, make(text));
        assert.equal(outbound.gatheredBytes, text.length + 4);
        assert.equal(outbound.flush(), true);
      }
      assert.deepEqual(sent, [`head${ones}`, `head${twos}`]);
      outbound.appendAscii("short");
      outbound.flush();
      assert.deepEqual(writes, ["borrowed 4100", "borrowed 3076", "write short"]);
      assert.equal(counters.bytesSent, 7 * KIB + 13);
    });
  }

  test("that is bytes is its giver's again, and waits in its own memory behind what was gathered", () => {
    const { outbound, sent } = createOutbound();
    const bytes = bytesOf(ones);
    add(outbound, bytes);
    bytes.fill(0);
    assert.equal(outbound.takeLong(bytesOf(twos)), -1);
    outbound.flush();
    assert.deepEqual(sent, [`head${ones}`]);
  });

  test("that is text is as many bytes as its chars take in UTF-8, whatever they are", () => {
    const chars = { "a": 1, "\xe9": 2, "\u20ac": 3, "\u{1f600}": 4, "\ud800": 3 };
    for (const [char, byteLength] of Object.entries(chars)) {
      const { outbound, sent } = createOutbound();
      const text = char + "-".repeat(2 * KIB);
      assert.equal(outbound.takeLong(text), 2 * KIB + byteLength);
      outbound.appendWithLong("");
      outbound.flush();
      assert.deepEqual(sent, [text.toWellFormed()]);
    }
  });

  test("waits unchanged while other connections have some too", () => {
    const slab = createSlab();
    const congested = createOutbound(slab);
    congested.peer.keepsUp = false;
    congested.outbound.pass(bytesOf("-"), 0, 1, false);
    const waiting = createOutbound(slab);
    const other = createOutbound(slab);
    add(congested.outbound, ones);
    add(waiting.outbound, ones);
    add(other.outbound, bytesOf(twos));
    other.outbound.flush();
    waiting.outbound.flush();
    congested.outbound.drained();
    congested.outbound.flush();
    assert.deepEqual([congested.sent, waiting.sent, other.sent], [["-", `head${ones}`], [`head${ones}`], [
      `head${twos}`,
    ]]);
    assert.deepEqual([waiting.writes, other.writes], [["write 4100"], ["borrowed 3076"]]);
  });

  test("leaves in order with what stands before and behind it", () => {
    const { outbound, sent } = createOutbound();
    add(outbound, ones);
    outbound.appendAscii("between");
    add(outbound, twos);
    add(outbound, ones);
    outbound.appendAscii("behind");
    outbound.flush();
    assert.equal(sent.join(""), `head${ones}betweenhead${twos}head${ones}behind`);
  });

  test("is no write of its own that is larger than others", () => {
    const { outbound, writes, sent } = createOutbound();
    const text = "\u20ac".repeat(30 * KIB);
    assert.equal(outbound.takeLong(text), 90 * KIB);
    outbound.appendWithLong("head");
    outbound.flush();
    assert.equal(sent.join(""), `head${text}`);
    assert.deepEqual(writes.map((write) => write.split(" ")[0]), ["write", "write"]);
  });

  test("has a head of any bytes and any length", () => {
    for (const head of ["\xe9!", "h".repeat(8 * KIB), "h".repeat(40 * KIB)]) {
      const { outbound, sent } = createOutbound();
      outbound.takeLong(ones);
      outbound.appendWithLong(head);
      outbound.flush();
      assert.equal(sent.join(""), head.replace("\xe9", "\ufffd") + ones);
    }
  });

  test("stands behind a head of bytes, to which its length is added, unless that is too long", () => {
    const { outbound, sent } = createOutbound();
    assert.equal(outbound.appendShaped(bytesOf("length: "), ones), 4 * KIB);
    assert.equal(outbound.appendShaped(new Uint8Array(16 * KIB), ones), -1);
    assert.equal(outbound.appendShaped(new Uint8Array(16 * KIB), "1".repeat(100 * KIB)), -1);
    outbound.flush();
    add(outbound, twos);
    outbound.flush();
    assert.deepEqual(sent, [`length: 4096\r\n\r\n${ones}`, `head${twos}`]);
  });

  test("is left to its caller where it is shorter, or longer than a write", () => {
    const { outbound } = createOutbound();
    assert.equal(outbound.takeLong("1".repeat(2 * KIB - 1)), -1);
    assert.equal(outbound.takeLong("1".repeat(64 * KIB + 1)), -1);
    assert.equal(outbound.takeLong(new Uint8Array(64 * KIB + 1)), -1);
    assert.equal(outbound.takeLong(new Uint8Array(64 * KIB)), 64 * KIB);
  });
});

describe("content that is longer than a write", () => {
  const text = "\u20ac\u{1f600}a".repeat(40 * KIB);
  const byteLength = 8 * 40 * KIB;

  function add(outbound: Outbound, content = text, contentBytes = byteLength): void {
    outbound.appendLatin1("head");
    outbound.appendText(content, contentBytes);
  }

  test("is made into parts as the transport takes them", () => {
    const { outbound, writes, received, peer, counters, storages } = createOutbound();
    peer.keepsUp = false;
    add(outbound);
    assert.equal(outbound.gatheredBytes, byteLength + 4);
    let leftBytes = byteLength + 4;
    for (let rounds = 0; leftBytes > 0; rounds++) {
      assert.equal(outbound.flush(), false);
      assert.ok(leftBytes - outbound.gatheredBytes <= 72 * KIB && outbound.gatheredBytes < leftBytes);
      leftBytes = outbound.gatheredBytes;
      outbound.drained();
      assert.ok(rounds < 10);
    }
    assert.equal(outbound.flush(), true);
    assert.equal(received(), `head${text}`);
    assert.equal(counters.bytesSent, byteLength + 4);
    assert.equal(writes.slice(1).every((write) => write.startsWith("borrowed")), true);
    assert.equal(storages.size, 1);
  });

  test("leaves in order with what comes behind it", () => {
    const { outbound, received, peer } = createOutbound();
    outbound.appendAscii("before");
    add(outbound);
    add(outbound);
    peer.keepsUp = false;
    outbound.flush();
    const leftBytes = outbound.gatheredBytes;
    outbound.appendAscii("behind");
    assert.equal(outbound.gatheredBytes, leftBytes + 6);
    add(outbound);
    outbound.appendBytes(bytesOf("b".repeat(10 * KIB)));
    peer.keepsUp = true;
    outbound.drained();
    assert.equal(outbound.flush(), true);
    assert.equal(received(), `beforehead${text}head${text}behindhead${text}${"b".repeat(10 * KIB)}`);
    assert.equal(outbound.gatheredBytes, 0);
  });

  test("does not look whole when its length was told wrong", () => {
    for (const [surplusBytes, behind] of [[-1, ""], [1, ""], [-1, "behind"], [1, "behind"]] as const) {
      const { outbound } = createOutbound();
      add(outbound, text, byteLength + surplusBytes);
      outbound.appendAscii(behind);
      assert.equal(outbound.flush(), false);
      assert.equal(outbound.hasLostBytes, true);
    }
  });

  test("is forgotten with its connection", () => {
    const { outbound, sent, peer } = createOutbound();
    peer.keepsUp = false;
    add(outbound);
    outbound.flush();
    const { length } = sent;
    outbound.discard();
    outbound.drained();
    assert.equal(outbound.flush(), true);
    assert.deepEqual([sent.length, outbound.gatheredBytes], [length, 0]);
  });

  test("has no char of two surrogates cut apart, and surrogates alone are U+FFFD", () => {
    for (const shift of ["", "a", "aa"]) {
      for (const unit of ["\u{1f600}", "\ud800", "\udc00", "\udc00\ud800"]) {
        const { outbound, received } = createOutbound();
        const mixed = shift + unit.repeat(100 * KIB / unit.length);
        add(outbound, mixed, new TextEncoder().encode(mixed).byteLength);
        assert.equal(outbound.flush(), true);
        assert.equal(received(), `head${mixed.toWellFormed()}`);
      }
    }
  });
});

describe("bytes that are lent", () => {
  const LENGTHS = [1, 8 * KIB, 9 * KIB, 64 * KIB, 150 * KIB];
  for (const byteLength of LENGTHS) {
    test(`are their giver's again when the transport has had all of them: ${byteLength}`, () => {
      const { outbound, received, peer } = createOutbound();
      const text = "1".repeat(byteLength);
      const bytes = bytesOf(text);
      let left = 0;
      outbound.appendAscii("head");
      outbound.appendBytes(bytes, () => {
        left++;
        bytes.fill(0);
      });
      outbound.appendAscii("behind");
      peer.keepsUp = false;
      for (let rounds = 0; outbound.gatheredBytes > 0; rounds++) {
        assert.equal(left === 1, byteLength <= 8 * KIB || outbound.gatheredBytes <= "behind".length);
        outbound.flush();
        outbound.drained();
        assert.ok(rounds < 10);
      }
      assert.equal(left, 1);
      assert.equal(received(), `head${text}behind`);
    });
  }

  test("are its giver's again when they are discarded", () => {
    const { outbound, peer } = createOutbound();
    peer.keepsUp = false;
    const left: number[] = [];
    for (const kib of [9, 150, 151]) outbound.appendBytes(new Uint8Array(kib * KIB), () => left.push(kib));
    outbound.flush();
    outbound.drained();
    outbound.flush();
    assert.deepEqual(left, [9]);
    outbound.discard();
    assert.deepEqual(left, [9, 150, 151]);
  });
});

test("bytes that wait leave together, as many as are one write and its framing", () => {
  const { outbound, joint, writes, peer } = createOutbound();
  for (const size of [40, 32, 40, 33, 9]) outbound.appendBytes(new Uint8Array(size * KIB));
  peer.keepsUp = false;
  for (const leftBytes of [82 * KIB, 42 * KIB, 0]) {
    outbound.flush();
    assert.equal(outbound.gatheredBytes, leftBytes);
    outbound.drained();
  }
  assert.deepEqual([joint, writes.length], [[2, 2], 5]);
});

test("bytes that are transferred while they wait are lost, and nothing behind them leaves", () => {
  for (const lost of [0, 1]) {
    const { outbound, sent, peer } = createOutbound();
    peer.keepsUp = false;
    outbound.pass(bytesOf("first"), 0, 5, false);
    const pieces = [new Uint8Array(9 * KIB), new Uint8Array(9 * KIB)];
    for (const piece of pieces) outbound.appendBytes(piece);
    structuredClone(pieces[lost].buffer, { transfer: [pieces[lost].buffer] });
    peer.keepsUp = true;
    outbound.drained();
    assert.deepEqual([outbound.flush(), outbound.hasLostBytes, sent], [false, true, ["first"]]);
  }
});
