/** The line of those who wait: in order, whoever leaves and comes back. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Waiter, WaitingLine } from "../../src/models/waiting_line.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

interface Named extends Waiter {
  readonly name: number;
}

function waiter(name: number): Named {
  return { name, placeInLine: 0 };
}

function waiters(count: number): Named[] {
  return Array.from({ length: count }, (_, name) => waiter(name));
}

function drain(line: WaitingLine<Named>): number[] {
  const names: number[] = [];
  for (let next = line.next(); next !== undefined; next = line.next()) names.push(next.name);
  return names;
}

describe("a waiting line", () => {
  test("gives those who wait in the order in which they came, however many there are", () => {
    const line = new WaitingLine<Named>(10_000, new VirtualClock());
    const everybody = waiters(1_000);
    for (const one of everybody) line.join(one);
    assert.equal(line.length, 1_000);
    assert.deepEqual(drain(line), everybody.map(({ name }) => name));
    assert.equal(line.length, 0);
    assert.equal(line.next(), undefined);
  });

  test("is left by anybody, once, and by nobody who is not there", () => {
    const line = new WaitingLine<Named>(10_000, new VirtualClock());
    const everybody = waiters(300);
    for (const one of everybody) line.join(one);
    for (const one of everybody) if (one.name % 3 === 0) assert.equal(line.leave(one), true);
    for (const one of everybody) if (one.name % 3 === 0) assert.equal(line.leave(one), false);
    assert.equal(line.leave(waiter(1)), false);
    assert.deepEqual(drain(line), everybody.map(({ name }) => name).filter((name) => name % 3 !== 0));
  });

  test("keeps its order while others come, go and leave for a long time", () => {
    const line = new WaitingLine<Named>(10_000, new VirtualClock());
    const expected: Named[] = [];
    for (let step = 0; step < 20_000; step++) {
      const newcomer = waiter(step);
      line.join(newcomer);
      expected.push(newcomer);
      // The first one stays for long, so that the places of those who leave behind it are used again.
      if (step % 2 === 1) assert.ok(line.leave(expected.splice(expected.length >> 1, 1)[0]));
      if (step % 5 === 4 && step % 1_000 > 300) assert.equal(line.next(), expected.shift());
      assert.equal(line.length, expected.length);
    }
    assert.deepEqual(drain(line), expected.map(({ name }) => name));
  });

  test("puts those who come back in front, also when no place is left", () => {
    const line = new WaitingLine<Named>(10_000, new VirtualClock());
    for (const one of waiters(200)) line.join(one);
    for (const name of [-1, -2, -3]) line.rejoin(waiter(name), 0);
    assert.deepEqual(drain(line), [-3, -2, -1, ...waiters(200).map(({ name }) => name)]);
  });

  test("has room for so many", () => {
    const line = new WaitingLine<Named>(2, new VirtualClock());
    const [one, two] = waiters(2);
    line.join(one);
    assert.equal(line.hasRoom, true);
    line.join(two);
    assert.equal(line.hasRoom, false);
    line.leave(one);
    assert.equal(line.hasRoom, true);
    assert.equal(line.next(), two);
    assert.equal(line.length, 0);
  });

  test("tells the longest wait, of those who had their turn and of the one who is first", async () => {
    const clock = new VirtualClock();
    const line = new WaitingLine<Named>(10, clock);
    line.join(waiter(1));
    await clock.advance(50);
    line.join(waiter(2));
    await clock.advance(20);
    assert.deepEqual(line.stats, { waiting: 2, longestWaitMs: 70, refused: 0 });
    line.next();
    await clock.advance(10);
    assert.deepEqual(line.stats, { waiting: 1, longestWaitMs: 70, refused: 0 });
    await clock.advance(100);
    line.countRefusal();
    assert.deepEqual(line.stats, { waiting: 1, longestWaitMs: 130, refused: 1 });
  });
});
