/** Warnings: each at most once in ten seconds, to the user or printed. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Warning, Warnings } from "../../src/api/warnings.ts";
import { createMemoryServer } from "../support/memory_server.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import type { VirtualClock } from "../support/virtual_clock.ts";

function create(): { warnings: Warnings; clock: VirtualClock; told: Warning[] } {
  const told: Warning[] = [];
  const { clock, host } = createMemoryRuntime();
  return { warnings: new Warnings(clock, host, (warning) => told.push(warning)), clock, told };
}

describe("a line that could not be printed", () => {
  test("is told of by the count of stats() alone", async () => {
    const runtime = createMemoryRuntime();
    const { server } = createMemoryServer({ ...runtime, host: { ...runtime.host, droppedLines: 3 } }, {}, () => {
      throw new Error("No.");
    });
    await server.ready();
    assert.equal(server.stats().droppedLines, 3);
    await server.stop();
  });
});

describe("a warning", () => {
  test("is told with its code and its message", () => {
    const { warnings, told } = create();
    warnings.warn("queue-full", "The line is full.");
    assert.deepEqual(told, [{ code: "queue-full", message: "The line is full." }]);
  });

  test("is told again when ten seconds are over, with the message of then", async () => {
    const { warnings, clock, told } = create();
    warnings.warn("queue-full", "at 0 s");
    await clock.advance(9_999);
    warnings.warn("queue-full", "at 9.999 s");
    await clock.advance(1);
    warnings.warn("queue-full", "at 10 s");
    await clock.advance(9_999);
    warnings.warn("queue-full", "at 19.999 s");
    assert.deepEqual(told.map(({ message }) => message), ["at 0 s", "at 10 s"]);
  });

  test("does not hold up one of another code", () => {
    const { warnings, told } = create();
    for (const code of ["queue-full", "workers-busy", "thread-replaced", "loops-unavailable"] as const) {
      warnings.warn(code, code);
      warnings.warn(code, "again");
    }
    assert.deepEqual(told.map(({ message }) => message), [
      "queue-full",
      "workers-busy",
      "thread-replaced",
      "loops-unavailable",
    ]);
  });

  test("is printed where there is no onWarning", () => {
    const { clock, host, printed } = createMemoryRuntime();
    new Warnings(clock, host, undefined).warn("queue-full", "The line is full.");
    assert.deepEqual(printed, ["Trivet: The line is full."]);
  });

  for (
    const [name, onWarning] of [
      ["throws", () => {
        throw new Error("The report has failed.");
      }],
      ["rejects", () => Promise.reject(new Error("The report has failed."))],
    ] as const
  ) {
    test(`whose report ${name} does no harm: the failure is printed`, async () => {
      const { clock, host, printed } = createMemoryRuntime();
      new Warnings(clock, host, onWarning).warn("queue-full", "The line is full.");
      await clock.settle();
      assert.equal(printed.length, 1);
      assert.match(printed[0], /The report has failed\./);
    });
  }
});
