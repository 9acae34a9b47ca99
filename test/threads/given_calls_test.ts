/** The calls that a thread was given and has not begun: how many there are, and which have begun. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OutgoingBatch } from "../../src/threads/batch.ts";
import { Claims, MAX_CLAIMS } from "../../src/threads/claims.ts";
import { GivenCalls } from "../../src/threads/given_calls.ts";
import type { RemoteCall } from "../../src/threads/remote_call.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

/** A call of which only the sequence and whether it has begun are seen. */
interface SeenCall {
  sequence: number | null;
  begun: number;
}

function createCall(): { call: RemoteCall; seen: SeenCall } {
  const seen: SeenCall = { sequence: null, begun: 0 };
  const call = {
    get sequence() {
      return seen.sequence;
    },
    write: (_batch: OutgoingBatch, sequence: number) => void (seen.sequence = sequence),
    begin: () => void seen.begun++,
    waitFrom: () => {},
  };
  // What the class has beside these is never asked for here.
  return { call: call as unknown as RemoteCall, seen };
}

describe("calls that a thread begins while the event loop does not look", () => {
  for (const calls of [1, 40, 64]) {
    test(`are counted as begun once each, ${calls} at a time, for as long as it goes on`, () => {
      const given = new GivenCalls(new VirtualClock());
      const thread = new Claims(given.claims.words);
      const all: SeenCall[] = [];
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < calls; i++) {
          const { call, seen } = createCall();
          given.add(call);
          all.push(seen);
        }
        given.write(new OutgoingBatch());
        for (const { sequence } of all.slice(-calls)) assert.equal(thread.begin(sequence!), true);
      }
      assert.equal(given.unbegunCount, 0);
      assert.deepEqual(all.filter(({ begun }) => begun !== 1), []);
    });
  }

  test("are not counted when they were taken back before, and are then not begun", () => {
    const given = new GivenCalls(new VirtualClock());
    const thread = new Claims(given.claims.words);
    for (let round = 0; round < 20; round++) {
      const pairs = Array.from({ length: 60 }, createCall);
      for (const { call } of pairs) given.add(call);
      given.write(new OutgoingBatch());
      for (const { call } of pairs.slice(30)) assert.equal(given.takeBack(call), true);
      assert.equal(given.unbegunCount, 30);
      for (const [at, { seen }] of pairs.entries()) assert.equal(thread.begin(seen.sequence!), at < 30);
    }
    assert.equal(given.unbegunCount, 0);
  });

  test("can't be taken back when others use their words again", () => {
    const claims = new Claims();
    claims.offer(1);
    assert.equal(claims.begin(1), true);
    claims.offer(1 + MAX_CLAIMS);
    assert.equal(claims.withdraw(1), false);
    assert.equal(claims.begin(1 + MAX_CLAIMS), true, "the other one was not taken back in its place");
  });
});
