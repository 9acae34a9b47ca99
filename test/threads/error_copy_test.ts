/** Errors on their way between threads: what is left of them on the other side. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ErrorCode, TrivetError } from "../../src/api/errors.ts";
import { copyError, restoreError, restoreTrivetError } from "../../src/threads/error_copy.ts";

/** What arrives of a thrown value: messages between threads are JSON. */
function cross(thrown: unknown): unknown {
  return restoreError(JSON.parse(JSON.stringify(copyError(thrown))));
}

class PaperJam extends Error {
  override readonly name = "PaperJam";
}

describe("an error that crosses", () => {
  const errors: { error: Error; type: ErrorConstructor }[] = [
    { error: new Error("plain"), type: Error },
    { error: new TypeError("type"), type: TypeError },
    { error: new RangeError("range"), type: RangeError },
    { error: new SyntaxError("syntax"), type: SyntaxError },
    { error: new ReferenceError("reference"), type: ReferenceError },
    { error: new EvalError("eval"), type: EvalError },
    { error: new URIError("URI"), type: URIError },
    { error: new PaperJam("tray 2"), type: Error },
    { error: new DOMException("too late", "AbortError"), type: Error },
    { error: new AggregateError([new Error("one")], "all"), type: Error },
    { error: new Error(""), type: Error },
  ];
  for (const { error, type } of errors) {
    test(`keeps name, message and stack: ${error.name} ${JSON.stringify(error.message)}`, () => {
      const arrived = cross(error) as Error;
      assert.ok(arrived instanceof type);
      assert.deepEqual([arrived.name, arrived.message], [error.name, error.message]);
      // Bun's DOMException has no stack.
      if (error.stack !== undefined) assert.equal(arrived.stack, error.stack);
      assert.equal("cause" in arrived, false);
    });
  }

  for (const code of ["ENOENT", 42]) {
    test(`keeps its code: ${code}`, () => {
      assert.equal((cross(Object.assign(new Error("no"), { code })) as { code?: unknown }).code, code);
    });
  }

  test("loses a code that is neither text nor number, and what else it has", () => {
    const arrived = cross(Object.assign(new Error("no"), { code: { deep: true }, secret: "x" }));
    assert.deepEqual(["code" in (arrived as object), "secret" in (arrived as object)], [false, false]);
  });

  test("of this package stays what it is", () => {
    const codes: ErrorCode[] = ["handler-timeout", "content-too-large", "peer-disconnected"];
    for (const code of codes) {
      const original = new TrivetError(code, `This is ${code}.`, { cause: new TypeError("deep") });
      const arrived = restoreTrivetError(JSON.parse(JSON.stringify(copyError(original))));
      assert.ok(arrived instanceof TrivetError);
      assert.deepEqual(
        [arrived.name, arrived.code, arrived.blame, arrived.status, arrived.message, arrived.stack],
        [original.name, original.code, original.blame, original.status, original.message, original.stack],
      );
      assert.ok(arrived.cause instanceof TypeError);
    }
  });
});

describe("the cause of an error that crosses", () => {
  test("crosses with it, and the cause of that", () => {
    const error = new Error("1", { cause: new TypeError("2", { cause: new RangeError("3") }) });
    const arrived = cross(error) as Error;
    assert.ok(arrived.cause instanceof TypeError);
    assert.ok(arrived.cause.cause instanceof RangeError);
    assert.equal(arrived.cause.cause.message, "3");
  });

  const values: readonly unknown[] = ["text", 0, false, null, { a: [1, 2] }];
  for (const value of values) {
    test(`can be what is no error: ${JSON.stringify(value)}`, () => {
      assert.deepEqual((cross(new Error("outer", { cause: value })) as Error).cause, value);
    });
  }

  test("that can't be looked at leaves the error what it is", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const arrived = cross(new TrivetError("handler-failed", "outer", { cause: proxy })) as TrivetError;
    assert.deepEqual([arrived.code, arrived.message], ["handler-failed", "outer"]);
    assert.match((arrived.cause as Error).message, /can't be looked at/);
  });

  test("that leads round in a circle is followed a few times", () => {
    const one = new Error("one");
    const two = new Error("two", { cause: one });
    one.cause = two;
    let depth = 0;
    for (let error: unknown = cross(one); error instanceof Error; error = error.cause) depth++;
    assert.ok(depth >= 2 && depth <= 10, `${depth}`);
  });

  test("is kept of a long chain as far as eight errors deep", () => {
    let error = new Error("0");
    for (let i = 1; i < 100; i++) error = new Error(String(i), { cause: error });
    const messages: string[] = [];
    for (let arrived: unknown = cross(error); arrived instanceof Error; arrived = arrived.cause) {
      messages.push(arrived.message);
    }
    assert.deepEqual(messages, ["99", "98", "97", "96", "95", "94", "93", "92", "91"]);
  });
});

describe("a thrown value that is no error", () => {
  const circle: Record<string, unknown> = { name: "circle" };
  circle.self = circle;
  const rows: { name: string; thrown: unknown; arrives: unknown }[] = [
    { name: "text", thrown: "no", arrives: "no" },
    { name: "a number", thrown: 42, arrives: 42 },
    { name: "null", thrown: null, arrives: null },
    { name: "a plain object", thrown: { a: [1, { b: true }] }, arrives: { a: [1, { b: true }] } },
    { name: "undefined", thrown: undefined, arrives: "undefined" },
    { name: "a symbol", thrown: Symbol("no"), arrives: "Symbol(no)" },
    { name: "a big integer", thrown: 42n, arrives: "42" },
    { name: "an object that contains itself", thrown: circle, arrives: "[object Object]" },
    { name: "a date", thrown: new Date(0), arrives: "1970-01-01T00:00:00.000Z" },
  ];
  for (const { name, thrown, arrives } of rows) {
    test(`arrives as what JSON, or else text, can say of it: ${name}`, () => {
      assert.deepEqual(cross(thrown), arrives);
    });
  }

  const awkward: { name: string; thrown: () => unknown }[] = [
    { name: "an object that has no text", thrown: () => Object.assign(Object.create(null), { self: circle }) },
    {
      name: "an object whose toJSON and toString throw",
      thrown: () => ({
        toJSON: () => {
          throw new Error("no JSON");
        },
        toString: () => {
          throw new Error("no text");
        },
      }),
    },
    {
      name: "an error whose message can't be read",
      thrown: () =>
        Object.defineProperty(new Error("x"), "message", {
          get: () => {
            throw new Error("no message");
          },
        }),
    },
    { name: "an error whose message is an object", thrown: () => Object.assign(new Error("x"), { message: circle }) },
    { name: "an error whose stack is a big integer", thrown: () => Object.assign(new Error("x"), { stack: 1n }) },
  ];
  for (const { name, thrown } of awkward) {
    test(`can be anything, and is never the end of the thread: ${name}`, () => {
      assert.doesNotThrow(() => cross(thrown()));
    });
  }
});
