/** The WebSockets that are open on a thread, as a list: whom time passes for, and who is told what. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type OpenSocket, OpenSockets } from "../../src/websocket/open_sockets.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

interface NamedSocket extends OpenSocket {
  readonly name: string;
  keptBytes: number;
  /** What it does when time passes, or when the server goes away. */
  act: () => void;
}

function createList() {
  const clock = new VirtualClock();
  const open = new OpenSockets(clock);
  const counts: number[] = [];
  open.onCountChanged = (count) => void counts.push(count);
  const log: string[] = [];
  const add = (name: string, shortestMs = 1_000): NamedSocket => {
    const socket: NamedSocket = {
      name,
      placeAmongOpen: 0,
      keptBytes: 0,
      act: () => {},
      tick: () => (log.push(name), socket.act()),
      goAway: () => (log.push(`${name} goes away`), socket.act()),
      loseForAll: () => {},
    };
    open.add(socket, shortestMs);
    return socket;
  };
  /** Lets the clock tick once, and returns for whom time has passed. */
  const tick = async (): Promise<string[]> => {
    log.length = 0;
    while (log.length === 0) await clock.advance(10);
    return log.slice().sort();
  };
  return { open, clock, counts, log, add, tick };
}

describe("the WebSockets that are open", () => {
  test("are counted, and each count is told", () => {
    const { open, add, counts } = createList();
    const [a, b] = [add("a"), add("b")];
    open.remove(a);
    open.remove(b);
    assert.deepEqual([counts, open.count], [[1, 2, 1, 0], 0]);
  });

  test("have time pass for each of them, whichever sockets were removed before", async () => {
    const { open, add, tick } = createList();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => add(name));
    assert.deepEqual(await tick(), ["a", "b", "c", "d"]);
    open.remove(b);
    assert.deepEqual(await tick(), ["a", "c", "d"]);
    open.remove(d);
    open.remove(a);
    assert.deepEqual(await tick(), ["c"]);
    add("e");
    open.remove(c);
    assert.deepEqual(await tick(), ["e"]);
  });

  test("have time pass for each that is left, also where others are removed by that", async () => {
    const { open, add, tick } = createList();
    const [a, , c, , e] = ["a", "b", "c", "d", "e"].map((name) => add(name));
    c.act = () => {
      for (const socket of [c, e, a]) open.remove(socket);
    };
    assert.deepEqual([...new Set(await tick())], ["b", "c", "d", "e"]);
    assert.deepEqual(await tick(), ["b", "d"]);
  });

  test("have no clock while there are none", async () => {
    const { open, add, clock, tick } = createList();
    assert.equal(clock.pendingCount, 0);
    const [a, b] = [add("a"), add("b")];
    open.remove(a);
    assert.deepEqual(await tick(), ["b"]);
    open.remove(b);
    assert.equal(clock.pendingCount, 0);
    add("c");
    assert.deepEqual(await tick(), ["c"]);
  });

  test("are looked at often enough for the shortest of their deadlines", async () => {
    const { open, add, clock, log } = createList();
    add("slow", 60_000);
    add("fast", 100);
    await clock.advance(110);
    assert.ok(log.includes("fast"), log.join());
    const dueMs = open.deadlineAfter(100);
    assert.ok(dueMs >= clock.nowMs() + 100 && dueMs <= clock.nowMs() + 200, `${dueMs - clock.nowMs()}`);
  });

  test("have one for which the most waits, unless there is none", () => {
    const { open, add } = createList();
    assert.equal(open.largest(), null);
    const [a, b, c] = [add("a"), add("b"), add("c")];
    assert.equal(open.largest(), a, "nothing waits for anyone");
    [a.keptBytes, b.keptBytes, c.keptBytes] = [5, 7, 7];
    assert.equal(open.largest(), b);
  });

  test("are told each that the server goes away, also where some are removed by that", () => {
    const { open, add, log } = createList();
    const sockets = ["a", "b", "c"].map((name) => add(name));
    for (const socket of sockets) socket.act = () => open.remove(socket);
    open.goAway();
    assert.deepEqual([log, open.count], [["a goes away", "b goes away", "c goes away"], 0]);
  });
});
