/** How errors look when they are printed, whatever was thrown. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TrivetError } from "../../src/api/errors.ts";
import { describeError, HANDLER_THREW } from "../../src/api/telling.ts";

describe("what is printed of an error", () => {
  /** An error as a handler throws it, with frames of its own, of Trivet and of each runtime. */
  function thrownInHandler(message: string): Error {
    const own = new URL("../../src/exchange/handler_call.ts", import.meta.url);
    return Object.assign(new Error(message), {
      stack: [
        `Error: ${message}`,
        "    at query (file:///srv/db.ts:3:9)",
        "    at async load (/srv/app.ts:7:1)",
        "    at parse (unknown)",
        "    at <parse> (:0)",
        "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
        "    at async ext:core/01_core.js:268:9",
        "    at new Promise (<anonymous>)",
        `    at callHandler (${own.href}:27:14)`,
        `    at callHandler (${fileURLToPath(own)}:27:14)`,
        ...Array(20).fill("    at deep (/srv/deep.ts:1:1)"),
      ].join("\n"),
    });
  }
  const failed = (cause: unknown): TrivetError => new TrivetError("handler-failed", HANDLER_THREW, { cause });
  const request = new Request("http://localhost/boom?token=secret", { method: "POST" });

  test("in a handler is the request, what was thrown, and where in the user's code", () => {
    const lines = describeError(failed(thrownInHandler("database is down")), request).split("\n");
    assert.deepEqual(lines.slice(0, 4), [
      "POST /boom 500: Error: database is down",
      "    at query (file:///srv/db.ts:3:9)",
      "    at async load (/srv/app.ts:7:1)",
      "    at deep (/srv/deep.ts:1:1)",
    ]);
    assert.equal(lines.length, 6);
  });

  test("has the advice before it, where there is some", () => {
    const advised = new TrivetError("handler-failed", `${HANDLER_THREW} Do this.`, { cause: new TypeError("Wrong.") });
    assert.deepEqual(
      describeError(advised, request).split("\n").filter((line) => !/^\s+at /.test(line)),
      [`POST /boom 500: ${HANDLER_THREW} Do this. [handler-failed]`, "Caused by: TypeError: Wrong."],
    );
  });

  test("has less than ten lines, whatever caused it and however long a message is", () => {
    let cause: Error | undefined;
    for (let depth = 0; depth < 20; depth++) cause = Object.assign(thrownInHandler("one\ntwo\nthree"), { cause });
    for (const each of [cause, new Error("line\n".repeat(100)), new Error("x".repeat(1e6))]) {
      const printed = describeError(failed(each), request);
      assert.ok(printed.split("\n").length < 10, printed);
      assert.ok(printed.length < 2_000);
    }
  });

  test("of the response is what is wrong, with its code, and the cause", () => {
    const error = new TrivetError("response-content-failed", "The content failed.", { cause: new RangeError("Lost.") });
    assert.match(
      describeError(error, request),
      /^POST \/boom 500: The content failed\. \[response-content-failed\][^]*\nCaused by: RangeError: Lost\.\n\s+at .*telling_test/,
    );
  });

  test("that belongs to no request is its message with its code, and the cause", () => {
    const cause = Object.assign(new Error("EMFILE"), { stack: "Error: EMFILE\n    at accept" });
    const printed = describeError(new TrivetError("accept-failed", "It failed.", { cause }));
    assert.equal(printed, "TrivetError: It failed. [accept-failed]\nCaused by: Error: EMFILE\n    at accept");
  });

  test("that is a fault of Trivet has its frames, to be reported", () => {
    assert.match(describeError(new TrivetError("internal-error", "A fault.")), /\[internal-error\]\n\s+at .+/);
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
