/** Which connections Deno's adapter reads again, and when: none is left behind by those that are faster. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LoopTurns } from "../../runtime/deno_loop_turns.ts";
import { ReadTurns, type TurnTaker } from "../../runtime/deno_read_turns.ts";

/** More reads than a turn of Deno's loop has room for, whatever else happens in it. */
const FULL_TURN = 128;

/** Connections that count how often each was read again. */
function createConnections(count: number): { turns: ReadTurns; connections: (TurnTaker & { reads: number })[] } {
  const turns = new ReadTurns(new LoopTurns());
  turns.openConnections = count;
  const connections = Array.from({ length: count }, () => ({
    reads: 0,
    lastRound: 0,
    readOn() {
      this.reads++;
    },
  }));
  return { turns, connections };
}

const compute = (ms: number): void => {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
};
const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));
/**
 * Time for a lull, one piece after another: where the process was held up a single timer would be over together with the
 * first of those that a lull takes.
 */
async function quiet(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 5));
}
const sumOf = (connections: { reads: number }[]) => connections.reduce((sum, { reads }) => sum + reads, 0);

describe("the turns of reading on Deno", () => {
  test("few connections are read again at once", () => {
    const { turns, connections } = createConnections(64);
    for (const connection of connections) turns.goOn(connection, false);
    assert.equal(sumOf(connections), 64);
  });

  test("of many connections, a few that are busy are read again at the end of the turn", async () => {
    const { turns, connections } = createConnections(1000);
    for (const connection of connections.slice(0, 10)) turns.goOn(connection, false);
    assert.equal(sumOf(connections), 0);
    await turnEnd();
    assert.equal(sumOf(connections), 10);
  });

  test("what was read in a full turn waits until all had a turn", async () => {
    const { turns, connections } = createConnections(4 * FULL_TURN);
    for (let start = 0; start < connections.length; start += FULL_TURN) {
      assert.equal(sumOf(connections), 0);
      for (const connection of connections.slice(start, start + FULL_TURN)) turns.goOn(connection, false);
      await turnEnd();
    }
    assert.deepEqual([...new Set(connections.map(({ reads }) => reads))], [1]);
  });

  test("what waits is read again when no other has anything", async () => {
    const { turns, connections } = createConnections(1000);
    for (const connection of connections.slice(0, FULL_TURN)) turns.goOn(connection, false);
    await turnEnd();
    assert.equal(sumOf(connections), 0);
    await quiet();
    assert.equal(sumOf(connections), FULL_TURN);
    turns.goOn(connections[0], false);
    await turnEnd();
    assert.equal(connections[0].reads, 2, "without a full turn none waits");
  });

  test("a full turn whose end takes long does not pass for one in which no other had anything", async () => {
    const { turns, connections } = createConnections(4 * FULL_TURN);
    for (let start = 0; start < connections.length; start += FULL_TURN) {
      assert.equal(sumOf(connections), 0);
      for (const connection of connections.slice(start, start + FULL_TURN)) turns.goOn(connection, false);
      await turnEnd();
      // As long as writing the responses takes; a turn in which timers are over, and one in which nothing is read.
      compute(5);
      await turnEnd();
      await turnEnd();
    }
    assert.deepEqual([...new Set(connections.map(({ reads }) => reads))], [1]);
  });

  test("a round is over with all that are busy; one of eight waits for those that have become so", async () => {
    const { turns, connections } = createConnections(1000);
    const [first, second, idle] = [0, 1, 2].map((part) => connections.slice(part * FULL_TURN, (part + 1) * FULL_TURN));
    const fullTurn = async (read: TurnTaker[]): Promise<number> => {
      const before = sumOf(connections);
      for (const connection of read) turns.goOn(connection, false);
      await turnEnd();
      return sumOf(connections) - before;
    };
    assert.deepEqual([await fullTurn(first), await fullTurn(second)], [0, 0], "newcomers are no sign that all came");
    await quiet();
    const rounds: number[] = [];
    for (let round = 0; round < 8; round++) rounds.push(await fullTurn(first) + await fullTurn(second));
    assert.deepEqual(rounds.filter((read) => read === 0).length, 1);
    await quiet();
    assert.equal(sumOf(idle), 0);

    assert.deepEqual([await fullTurn(first), await fullTurn(second)], [0, 2 * FULL_TURN]);
    for (let round = 0; round < 8; round++) {
      await fullTurn(first);
      await quiet();
    }
    assert.equal(await fullTurn(first), FULL_TURN, "the others are not waited for any more");
  });

  test("one that sends again and again does not keep the others waiting", async () => {
    const { turns, connections } = createConnections(1000);
    const [trickling, ...others] = connections;
    for (const connection of others.slice(0, FULL_TURN)) turns.goOn(connection, false);
    await turnEnd();
    for (let turn = 0; turn < 30; turn++) {
      turns.goOn(trickling, false);
      await turnEnd();
    }
    assert.equal(sumOf(others), FULL_TURN);
  });

  test("one that brings much is read again at once in a short turn, which ends without anything left to do", async () => {
    const { turns, connections: [large] } = createConnections(1);
    for (let turn = 1; turn <= 3; turn++) {
      turns.goOn(large, true);
      assert.equal(large.reads, turn);
      await turnEnd();
      await turnEnd();
    }
  });

  test("one that brings much is not read again in a turn that has lasted 4 ms, and others are", async () => {
    const { turns, connections: [large, small] } = createConnections(2);
    turns.goOn(large, true);
    assert.equal(large.reads, 1, "the turn has only begun");
    compute(5);
    turns.goOn(large, true);
    turns.goOn(small, false);
    assert.deepEqual([large.reads, small.reads], [1, 1]);
    // On a busy machine that turn may have lasted so long that the loop rests first.
    for (let turn = 0; large.reads < 2 && turn < 1000; turn++) await turnEnd();
    assert.equal(large.reads, 2);
  });
});
