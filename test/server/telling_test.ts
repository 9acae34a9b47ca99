/** How errors look when they are printed, whatever was thrown. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import { describeError } from "../../src/api/telling.ts";

describe("what is printed of an error", () => {
  test("is its stack, and the stacks of its causes", () => {
    const cause = new Error("The disk is full.");
    const printed = describeError(new TrivetError("handler-failed", "The handler threw.", { cause }));
    assert.match(printed, /^TrivetError: The handler threw\.\n\s+at .*telling_test/);
    assert.match(printed, /\nCaused by: Error: The disk is full\.\n\s+at .*telling_test/);
  });

  test("is but its message where the system is to blame, and the cause", () => {
    const cause = Object.assign(new Error("EMFILE"), { stack: "Error: EMFILE\n    at accept" });
    const printed = describeError(new TrivetError("accept-failed", "It failed.", { cause }));
    assert.equal(printed, "TrivetError: It failed.\nCaused by: Error: EMFILE\n    at accept");
  });

  const circle = new Error("In a circle.");
  circle.cause = circle;
  const throwing = new Error("x");
  for (const name of ["stack", "message", "cause"]) {
    Object.defineProperty(throwing, name, {
      get: () => {
        throw new Error("No.");
      },
    });
  }
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const rows: readonly (readonly [name: string, thrown: unknown, printed: RegExp])[] = [
    ["text", "no", /^A value that is no error was thrown: no$/],
    ["nothing", undefined, /thrown: undefined$/],
    ["a symbol", Symbol("s"), /thrown: Symbol\(s\)$/],
    ["an object without a prototype", Object.create(null), /^A value that can't be described was thrown\.$/],
    ["an error whose getters throw", throwing, /^A value that can't be described was thrown\.$/],
    ["a revoked proxy", revoked.proxy, /^A value that can't be described was thrown\.$/],
    ["an error that is its own cause", circle, /^(?:.|\n)*In a circle\.(?:.|\n)*Caused by: /],
    [
      "an error without a stack",
      Object.assign(new RangeError("Too much."), { stack: undefined }),
      /^RangeError: Too much\.$/,
    ],
  ];
  for (const [name, thrown, printed] of rows) {
    test(`can be had of ${name}`, () => {
      assert.match(describeError(thrown), printed);
      assert.ok(describeError(thrown).length < 20_000);
    });
  }
});
