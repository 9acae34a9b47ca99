/** What an upgraded connection hands over leaves behind what was gathered before, and as one write where it can. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoarseClock } from "../../../src/exchange/coarse_clock.ts";
import { Outbound, OutboundSlab } from "../../../src/http1/connection/outbound.ts";
import type { TransportConnection } from "../../../src/transport.ts";
import { VirtualClock } from "../../support/virtual_clock.ts";

const KIB = 1024;

/** An outbound, and the writes that its transport was given; it keeps up until told otherwise. */
function createOutbound(takesBorrowed = true) {
  const writes: string[] = [];
  const peer = { keepsUp: true };
  const note = (kind: string) => (bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean => {
    const text = new TextDecoder().decode(bytes.subarray(start, end));
    writes.push(`${kind} ${text.length > 9 ? text.length : text}`);
    return peer.keepsUp;
  };
  const transport: Partial<TransportConnection> = {
    write: note("write"),
    writeAll: (pieces) => pieces.map((piece) => note("write")(piece)).at(-1)!,
    ...(takesBorrowed ? { writeBorrowed: note("borrowed") } : {}),
  };
  const turnClock = new VirtualClock();
  const counters = { bytesSent: 0 };
  const outbound = new Outbound(transport as TransportConnection, {
    slab: new OutboundSlab((text, bytes, start) => new TextEncoder().encodeInto(text, bytes.subarray(start)).written),
    clock: new CoarseClock(turnClock, [], () => {}),
    counters,
    turnClock,
    settings: { writeTimeoutMs: 0 },
  });
  return { outbound, writes, peer, counters };
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

  test("are copied for a transport that takes none that are lent", () => {
    const { outbound, writes } = createOutbound(false);
    assert.equal(outbound.pass(bytesOf("lent"), 0, 4, true), true);
    assert.deepEqual(writes, ["write lent"]);
  });
});
