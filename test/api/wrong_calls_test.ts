/** Calls of `serve()` that are natural to people who come from other servers, and what they are told. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve } from "../../mod.ts";
import { metricsHandler, statusPage } from "../../src/entry/observe.ts";
import { withOpenTelemetry } from "../../src/entry/opentelemetry.ts";
import { OPTION_NAMES } from "../../src/api/option_rules.ts";
import { findIneffective, rejectWrongCall, translateForeignName } from "../../src/api/wrong_calls.ts";

const handler = (): Response => new Response("hello");
const callServe = serve as (first?: unknown, second?: unknown) => unknown;

describe("a call of serve() that was meant for another server says what to write", () => {
  const express = Object.assign((_req: unknown, _res: unknown, _next: unknown) => {}, {
    handle() {},
    set() {},
    use() {},
  });
  class Koa {
    use(): void {}
    callback(): void {}
  }
  const fastify = { inject() {}, routing() {}, listen() {} };
  const wrapped = (name: string, listener: string): string =>
    `serve() got ${name}, which takes (req, res) of node:http and no Request. ` +
    `Wrap it with \`import { toFetchHandler } from "srvx/node"\`: serve(toFetchHandler(${listener})).`;
  const CALLS: readonly [name: string, args: readonly unknown[], message: string][] = [
    [
      "the handler before the options",
      [handler, { port: 3000 }],
      "serve() got a handler and then options, expected the options first: serve({ port: 8000 }, handler).",
    ],
    ["two handlers", [handler, handler], "serve() got two handlers, expected one."],
    [
      "what is called once it listens, as of @hono/node-server",
      [{ fetch: handler, port: 3000 }, () => {}],
      "serve() got a handler as fetch and another argument behind it, expected one of them. " +
      "What is called once it listens is the option onListen.",
    ],
    [
      "a port",
      [8000],
      "serve() got 8000, expected a handler, serve({ port: 8000 }, handler) or serve({ port: 8000, fetch }).",
    ],
    [
      "the handler's path",
      ["./app.ts"],
      'serve() got "./app.ts", expected a handler, serve({ port: 8000 }, handler) or serve({ port: 8000, fetch }).',
    ],
    [
      "a promise of an application",
      [Promise.resolve({ fetch: handler })],
      "serve() got a promise, expected what it is of: serve(await app).",
    ],
    [
      "options and a promise of a handler",
      [{ port: 1 }, Promise.resolve(handler)],
      "serve() got a promise, expected what it is of: serve(await app).",
    ],
    ["Express", [express], wrapped("an Express application", "app")],
    ["Express with options", [{ port: 1 }, express], wrapped("an Express application", "app")],
    ["Koa", [new Koa()], wrapped("a Koa application", "app.callback()")],
    ["Fastify", [fastify], wrapped("a Fastify instance", "(req, res) => app.routing(req, res)")],
    ["{ handler } of Deno", [{ handler }], "Unknown option handler: the handler is called fetch."],
    ["{ host } of Node", [{ host: "::", fetch: handler }], "Unknown option host: it is called hostname."],
    ["{ cert } of Deno", [{ cert: "", key: "" }, handler], "Unknown option cert: write tls: { cert, key }."],
    [
      "{ idleTimeout } of Bun",
      [{ idleTimeout: 10 }, handler],
      "Unknown option idleTimeout: it is called keepAliveTimeout, in milliseconds.",
    ],
    [
      "threads without the model",
      [{ threads: 4 }, handler],
      'The option threads has no effect here, only in the model "hybrid".',
    ],
    [
      "a queue where nothing waits",
      [{ maxQueue: 4, model: "event-driven" }, handler],
      'The option maxQueue has no effect here, only in the model "blocking" or "worker-pool" or "hybrid".',
    ],
    [
      "a bound on threads where there are none",
      [{ maxRequestsPerThread: 4, model: "worker-pool" }, handler],
      "The option maxRequestsPerThread has no effect here, only where handlers run on threads: in the model " +
      '"hybrid", or "worker-pool" with a module.',
    ],
    [
      "a port beside a path",
      [{ unix: "/tmp/x", port: 1 }, handler],
      "The option port has no effect here, only without unix and fd.",
    ],
  ];
  for (const [name, args, message] of CALLS) {
    test(name, () => assert.throws(() => callServe(...args), { name: "TypeError", message }));
  }

  test("and an application of theirs that has a fetch is taken", () => {
    rejectWrongCall(Object.assign(new Koa(), { fetch: handler }), undefined);
  });
});

describe("what is made beside a server says at once what it was not given", () => {
  type Call = (...args: unknown[]) => unknown;
  const api = { trace: { getTracer() {} } };
  const CALLS: readonly [call: string, make: unknown, args: readonly unknown[], message: string][] = [
    ["metricsHandler()", metricsHandler, [], "metricsHandler() got nothing, expected a server of serve()."],
    ["metricsHandler()", metricsHandler, [null], "metricsHandler() got null, expected a server of serve()."],
    ["statusPage()", statusPage, [handler], "statusPage() got a function, expected a server of serve()."],
    [
      "withOpenTelemetry(), without the API",
      withOpenTelemetry,
      [handler],
      "withOpenTelemetry() got a function, expected the module @opentelemetry/api, as import * as api gives it.",
    ],
    [
      "withOpenTelemetry(), with an application",
      withOpenTelemetry,
      [api, { fetch: handler }],
      "withOpenTelemetry() got an object, expected a handler behind the API, such as app.fetch.",
    ],
  ];
  for (const [call, make, args, message] of CALLS) {
    test(`${call} with ${args.length === 0 ? "nothing" : args[0] === null ? "null" : `a ${typeof args[0]}`}`, () => {
      assert.throws(() => (make as Call)(...args), { name: "TypeError", message });
    });
  }
});

describe("names of other servers", () => {
  test("are none of ours", () => {
    assert.deepEqual(OPTION_NAMES.filter((name) => translateForeignName(name) !== null), []);
  });

  test("are not looked for in what every object has", () => {
    assert.equal(translateForeignName("constructor"), null);
    assert.throws(() => callServe({ toString: 1 }, handler), /^TypeError: Unknown option "toString", allowed are /);
  });

  test("that are only misspelt are met with the nearest of ours", () => {
    assert.throws(() => callServe({ prot: 80 }, handler), /Unknown option "prot", did you mean port\?/);
  });
});

describe("options that belong to a model", () => {
  test("have an effect there", () => {
    assert.deepEqual(findIneffective({ workers: 1, maxQueue: 1, queueTimeout: 1 }, "worker-pool"), []);
    assert.deepEqual(
      findIneffective({ threads: 1, maxThreadMemory: 2 ** 26, unhandledRejections: "fatal" }, "hybrid"),
      [],
    );
    assert.deepEqual(findIneffective({ module: "a", maxRequestsPerThread: 1 }, "worker-pool"), []);
    assert.deepEqual(findIneffective({ loops: 2, unhandledRejections: "fatal" }, "event-driven"), []);
  });

  test("that are undefined are not set", () => {
    assert.deepEqual(findIneffective({ threads: undefined }, "event-driven"), []);
  });
});
