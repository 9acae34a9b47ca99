/** How much of a turn is taken by what always has a next step: when a share is used up, and who goes on behind that. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TurnShare } from "../../src/web/turn_share.ts";

/** A share, the time, and the end of a turn. */
function createShare(stepsALook?: number) {
  const time = { nowMs: 0 };
  let looks = 0;
  let deferred: (() => void)[] = [];
  const clock = {
    nowMs: () => (looks++, time.nowMs),
    defer: (callback: () => void) => void deferred.push(callback),
  };
  const share = new TurnShare(clock, stepsALook);
  const endTurn = (): void => {
    const due = deferred;
    deferred = [];
    for (const callback of due) callback();
  };
  /** Takes steps, so long after each other, until one is refused. Returns how many were not, of 100. */
  const takeAll = (stepMs: number): number => {
    for (let taken = 0; taken < 100; taken++) {
      if (!share.take()) return taken;
      time.nowMs += stepMs;
    }
    return 100;
  };
  return { share, time, takeAll, endTurn, looks: () => looks, deferred: () => deferred.length };
}

describe("a share of a turn", () => {
  test("is four milliseconds from the first look at the time on, then nothing until the turn is over", () => {
    const { share, time, takeAll, endTurn } = createShare(1);
    assert.equal(takeAll(1), 4);
    time.nowMs += 1_000;
    assert.equal(share.take(), false);
    endTurn();
    assert.equal(takeAll(3), 2);
    endTurn();
    assert.equal(takeAll(0), 100);
    endTurn();
    assert.equal(takeAll(4), 1);
  });

  test("has the time looked at with each fourth step, unless told otherwise", () => {
    const { takeAll, looks } = createShare();
    assert.equal(takeAll(0), 100);
    assert.equal(looks(), 25);
    const other = createShare();
    assert.equal(other.takeAll(10), 7);
    assert.equal(other.takeAll(10), 0);
  });

  test("waits for the end of the turn once, and for none where it was not asked for", () => {
    const { takeAll, deferred } = createShare(1);
    assert.equal(deferred(), 0);
    takeAll(0);
    assert.equal(deferred(), 1);
  });

  test("is that of the next turn for what waits, in order, and what waits again stands behind the others", () => {
    const { share, time, takeAll, endTurn } = createShare(1);
    const log: string[] = [];
    const wait = (name: string): void =>
      share.wait(() => {
        log.push(name);
        time.nowMs += 2;
        wait(name);
      });
    takeAll(4);
    assert.equal(share.isAwaited, false);
    for (const name of ["a", "b", "c"]) wait(name);
    assert.equal(share.isAwaited, true);
    endTurn();
    assert.deepEqual(log, ["a", "b"]);
    endTurn();
    assert.deepEqual(log, ["a", "b", "c", "a"]);
  });

  test("lets each of those that wait go on once in a turn, and waits for nothing when none is left", () => {
    const { share, takeAll, endTurn, deferred } = createShare(1);
    takeAll(4);
    let calls = 0;
    const goOn = (): void => {
      if (++calls <= 2) share.wait(goOn);
    };
    share.wait(goOn);
    share.wait(goOn);
    endTurn();
    assert.equal(calls, 2);
    endTurn();
    assert.deepEqual([calls, share.isAwaited], [4, false]);
    endTurn();
    endTurn();
    assert.equal(deferred(), 0);
  });
});
