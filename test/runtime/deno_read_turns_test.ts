/** Which connections Deno's adapter reads again, and when: nobody is left behind by those who are faster. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ReadTurns, type TurnTaker } from "../../runtime/deno_read_turns.ts";

/** More reads than a turn of Deno's loop has room for, whatever else happens in it. */
const FULL_TURN = 128;

/** Connections that count how often each was read again. */
function createConnections(count: number): { turns: ReadTurns; connections: (TurnTaker & { reads: number })[] } {
  const turns = new ReadTurns();
  turns.openConnections = count;
  const connections = Array.from({ length: count }, () => ({
    reads: 0,
    readOn() {
      this.reads++;
    },
  }));
  return { turns, connections };
}

const turnEnd = () => new Promise<void>((resolve) => setImmediate(resolve));
const quiet = () => new Promise<void>((resolve) => setTimeout(resolve, 50));
const sumOf = (connections: { reads: number }[]) => connections.reduce((sum, { reads }) => sum + reads, 0);

describe("the turns of reading on Deno", () => {
  test("few connections are read again at once", () => {
    const { turns, connections } = createConnections(64);
    for (const connection of connections) turns.goOn(connection);
    assert.equal(sumOf(connections), 64);
  });

  test("of many connections, a few that are busy are read again at the end of the turn", async () => {
    const { turns, connections } = createConnections(1000);
    for (const connection of connections.slice(0, 10)) turns.goOn(connection);
    assert.equal(sumOf(connections), 0);
    await turnEnd();
    assert.equal(sumOf(connections), 10);
  });

  test("who was read in a full turn waits until everybody had a turn", async () => {
    const { turns, connections } = createConnections(4 * FULL_TURN);
    for (let start = 0; start < connections.length; start += FULL_TURN) {
      assert.equal(sumOf(connections), 0);
      for (const connection of connections.slice(start, start + FULL_TURN)) turns.goOn(connection);
      await turnEnd();
    }
    assert.deepEqual([...new Set(connections.map(({ reads }) => reads))], [1]);
  });

  test("who waits is read again when nobody else has anything", async () => {
    const { turns, connections } = createConnections(1000);
    for (const connection of connections.slice(0, FULL_TURN)) turns.goOn(connection);
    await turnEnd();
    assert.equal(sumOf(connections), 0);
    await quiet();
    assert.equal(sumOf(connections), FULL_TURN);
    turns.goOn(connections[0]);
    await turnEnd();
    assert.equal(connections[0].reads, 2, "without a full turn nobody waits");
  });

  test("one that sends again and again does not keep the others waiting", async () => {
    const { turns, connections } = createConnections(1000);
    const [trickling, ...others] = connections;
    for (const connection of others.slice(0, FULL_TURN)) turns.goOn(connection);
    await turnEnd();
    for (let turn = 0; turn < 30; turn++) {
      turns.goOn(trickling);
      await turnEnd();
    }
    assert.equal(sumOf(others), FULL_TURN);
  });

  test("reads behind a handler that has computed are used a turn later, in order, and one long one at a time", async () => {
    const turns = new ReadTurns();
    const used: string[] = [];
    const use = (name: string, ms: number): void => {
      if (turns.isOver) {
        turns.useLater(() => use(name, ms));
        return;
      }
      used.push(name);
      turns.spend(ms);
    };
    for (const [name, ms] of [["a", 0.1], ["b", 200], ["c", 200], ["d", 0.1], ["e", 200]] as const) use(name, ms);
    assert.deepEqual(used, ["a", "b"]);
    await turnEnd();
    await turnEnd();
    assert.deepEqual(used, ["a", "b", "c"]);
    await turnEnd();
    await turnEnd();
    assert.deepEqual(used, ["a", "b", "c", "d", "e"]);
  });

  test("reads that take little are used in the same turn, however many there are", () => {
    const turns = new ReadTurns();
    for (let read = 0; read < 1000; read++) turns.spend(0.2);
    assert.equal(turns.isOver, false);
  });
});
