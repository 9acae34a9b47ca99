/** The table of calls: numbers that are never given twice, and each call found by its own. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CallTable } from "../../src/threads/call_table.ts";

describe("the table of calls", () => {
  test("gives numbers that grow, from 1 on", () => {
    const table = new CallTable<string>();
    const ids = Array.from({ length: 1_000 }, (_, i) => table.add(`call ${i}`));
    assert.equal(ids[0], 1);
    assert.ok(ids.every((id, i) => i === 0 || id > ids[i - 1]));
    assert.deepEqual(ids.map((id) => table.get(id)), ids.map((_, i) => `call ${i}`));
    assert.equal(table.size, 1_000);
  });

  test("has nothing under a number that was never given, or whose call has ended", () => {
    const table = new CallTable<string>();
    const id = table.add("call");
    assert.equal(table.get(0), null);
    assert.equal(table.get(id + 1), null);
    assert.equal(table.delete(0), false);
    assert.equal(table.delete(id + 1), false);
    assert.equal(table.delete(id), true);
    assert.equal(table.get(id), null);
    assert.equal(table.delete(id), false);
    assert.equal(table.size, 0);
  });

  test("gives no number again, whatever is long gone or still here", () => {
    const table = new CallTable<number>();
    const given = new Set<number>();
    const kept: { readonly id: number; readonly call: number }[] = [];
    for (let call = 0; call < 20_000; call++) {
      const id = table.add(call);
      assert.ok(!given.has(id), `The number ${id} was given twice.`);
      given.add(id);
      if (call % 199 === 0) kept.push({ id, call });
      else table.delete(id);
    }
    for (const { id, call } of kept) assert.equal(table.get(id), call);
    assert.equal(table.size, kept.length);
  });

  test("knows calls by the numbers of another table, as they come and go there", () => {
    const here = new CallTable<string>();
    const there = new CallTable<string>();
    let last: number[] = [];
    for (let round = 0; round < 300; round++) {
      // What ends is told before what begins.
      for (const id of last.filter((_, i) => i % 3 !== 0)) assert.ok(here.delete(id) && there.delete(id));
      last = Array.from({ length: round }, () => here.add("call"));
      for (const id of last) there.put(id, `call ${id}`);
      assert.ok(last.every((id) => there.get(id) === `call ${id}`));
    }
    assert.equal(there.size, here.size);
  });

  test("gives all calls in the order of their numbers when it is cleared, and is empty then", () => {
    const table = new CallTable<number>();
    const ids = Array.from({ length: 500 }, (_, i) => table.add(i));
    for (const [i, id] of ids.entries()) if (i % 2 === 0) table.delete(id);
    assert.deepEqual(table.clear(), ids.map((_, i) => i).filter((i) => i % 2 === 1));
    assert.equal(table.size, 0);
    assert.deepEqual(table.clear(), []);
    assert.ok(ids.every((id) => table.get(id) === null));
    assert.ok(table.add(1) > ids[499]);
  });
});
