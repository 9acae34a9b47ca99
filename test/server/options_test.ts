/** The options of `serve()`: what is refused, and how the error says so. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, HttpResponse, serve, type ServeInit, type ServeOptions } from "../../mod.ts";

const handler: Handler = () => new HttpResponse("hello");
const MAX_TIMEOUT = "a whole number of milliseconds from 0 to 2147483647";
const MAX_COUNT = "a whole number from 0 to 2147483647";

/** The whole numbers: what is allowed, and a value just out of that on each side. */
const NUMBERS: readonly { name: string; allowed: string; tooLow: number; tooHigh: number }[] = [
  { name: "port", allowed: "a whole number from 0 to 65535", tooLow: -1, tooHigh: 65_536 },
  { name: "tcpBacklog", allowed: "a whole number from 1 to 65535", tooLow: 0, tooHigh: 65_536 },
  { name: "retryAfter", allowed: "a whole number of seconds from 0 to 86400", tooLow: -1, tooHigh: 86_401 },
  { name: "headersTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "requestTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "keepAliveTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "handlerTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "writeTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  {
    name: "minDataRate.bytesPerSecond",
    allowed: "a whole number of bytes from 0 to 2147483647",
    tooLow: -1,
    tooHigh: 2 ** 31,
  },
  { name: "minDataRate.gracePeriod", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "maxHeaderSize", allowed: "a whole number of bytes from 256 to 1048576", tooLow: 255, tooHigh: 1_048_577 },
  { name: "maxHeadersCount", allowed: "a whole number from 1 to 10000", tooLow: 0, tooHigh: 10_001 },
  {
    name: "maxRequestTargetSize",
    allowed: "a whole number of bytes from 16 to 1048576",
    tooLow: 15,
    tooHigh: 1_048_577,
  },
  {
    name: "maxRequestBodySize",
    allowed: "a whole number of bytes from 0 to 9007199254740991",
    tooLow: -1,
    tooHigh: 2 ** 53,
  },
  { name: "maxConnections", allowed: MAX_COUNT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "maxConnectionsPerIp", allowed: MAX_COUNT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "maxRequestsPerSocket", allowed: MAX_COUNT, tooLow: -1, tooHigh: 2 ** 31 },
];

const ALLOWED_MODELS = 'one of "blocking", "worker-pool", "event-driven", "hybrid"';

/** Options of other types: a wrong value, how the error shows it, and what it says is allowed. */
const OTHERS: readonly { name: string; value: unknown; shown: string; allowed: string }[] = [
  { name: "hostname", value: 1, shown: "1", allowed: "a string" },
  { name: "hostname", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "unix", value: true, shown: "true", allowed: "a string" },
  { name: "unix", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "signal", value: {}, shown: "an object", allowed: "an AbortSignal" },
  { name: "onListen", value: "print", shown: '"print"', allowed: "a function" },
  { name: "onError", value: null, shown: "null", allowed: "a function" },
  { name: "tls", value: "cert", shown: '"cert"', allowed: "an object with cert and key" },
  { name: "tls", value: null, shown: "null", allowed: "an object with cert and key" },
  { name: "tls.cert", value: 1, shown: "1", allowed: "a string in PEM" },
  { name: "tls.key", value: undefined, shown: "undefined", allowed: "a string in PEM" },
  { name: "tls.ca", value: [], shown: "an object", allowed: "a string in PEM" },
  { name: "reusePort", value: 1, shown: "1", allowed: "a boolean" },
  { name: "model", value: "fast", shown: '"fast"', allowed: ALLOWED_MODELS },
  { name: "model", value: () => {}, shown: "a function", allowed: ALLOWED_MODELS },
  { name: "model", value: null, shown: "null", allowed: ALLOWED_MODELS },
  { name: "nativeRequest", value: "yes", shown: '"yes"', allowed: "a boolean" },
  { name: "minDataRate", value: 240, shown: "240", allowed: "an object" },
  { name: "minDataRate", value: null, shown: "null", allowed: "an object" },
];

/** Options in which one, named with a dot if it lies deeper, has this value. */
function optionsWith(name: string, value: unknown): ServeOptions {
  const [outer, inner] = name.split(".");
  if (inner === undefined) return { [outer]: value };
  const rest = outer === "tls" ? { cert: "-", key: "-" } : {};
  return { [outer]: { ...rest, [inner]: value } };
}

/** The error of serving with these options; nothing listens then. */
function errorOf(options: ServeOptions): Error {
  try {
    serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, ...options }, handler).stop();
  } catch (error) {
    return error as Error;
  }
  throw new Error("The options were taken.");
}

function assertRefused(options: ServeOptions, type: typeof TypeError | typeof RangeError, message: string): void {
  const error = errorOf(options);
  assert.equal(error.message, message);
  assert.equal(error.constructor, type);
}

describe("an option that is a whole number", () => {
  for (const { name, allowed, tooLow, tooHigh } of NUMBERS) {
    test(`${name} is ${allowed}`, () => {
      for (const value of [tooLow, tooHigh, 300.5, NaN, Infinity]) {
        assertRefused(optionsWith(name, value), RangeError, `The option ${name} is ${value}, allowed is ${allowed}.`);
      }
      assertRefused(optionsWith(name, "300"), TypeError, `The option ${name} is "300", allowed is ${allowed}.`);
      assertRefused(optionsWith(name, null), TypeError, `The option ${name} is null, allowed is ${allowed}.`);
      assertRefused(optionsWith(name, 300n), TypeError, `The option ${name} is 300, allowed is ${allowed}.`);
    });
  }
});

describe("an option of another type", () => {
  for (const { name, value, shown, allowed } of OTHERS) {
    test(`${name} is not ${shown}`, () => {
      assertRefused(optionsWith(name, value), TypeError, `The option ${name} is ${shown}, allowed is ${allowed}.`);
    });
  }
});

describe("an option nobody knows", () => {
  test("is named together with those that are known", () => {
    const error = errorOf({ prot: 8000 } as ServeOptions);
    assert.equal(error.constructor, TypeError);
    assert.match(error.message, /^Unknown option "prot", allowed are .*\bhostname\b.*\bport\b.*\bunix\b.*\.$/);
  });

  test("is found in tls and minDataRate too", () => {
    const tls = { cert: "-", key: "-", certificate: "-" };
    assertRefused({ tls } as ServeOptions, TypeError, 'Unknown option tls "certificate", allowed are cert, key, ca.');
    assertRefused(
      { minDataRate: { bytes: 1 } } as ServeOptions,
      TypeError,
      'Unknown option minDataRate "bytes", allowed are bytesPerSecond, gracePeriod.',
    );
  });
});

describe("an option that is undefined", () => {
  test("has its default", async () => {
    const server = serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {}, unix: undefined, tls: undefined },
      handler,
    );
    await server.ready();
    await server.stop();
  });
});

describe("the arguments of serve()", () => {
  const CALLS: readonly [name: string, call: () => unknown, message: RegExp][] = [
    ["nothing", () => serve(undefined as unknown as Handler), /handler/],
    ["null", () => serve(null as unknown as ServeInit), /serve\(\) takes/],
    ["a number", () => serve(8000 as unknown as ServeInit), /serve\(\) takes/],
    ["options without a handler", () => serve({ port: 0 } as ServeInit), /The handler is missing, expected a function/],
    ["a handler that is no function", () => serve({ port: 0 }, "fetch" as unknown as Handler), /The handler is string/],
    ["a fetch that is no function", () => serve({ fetch: {} } as unknown as ServeInit), /The handler is object/],
  ];
  for (const [name, call, message] of CALLS) {
    test(`${name} is a TypeError`, () => {
      assert.throws(call, (error) => error instanceof TypeError && message.test(error.message));
    });
  }

  test("are a handler, options and a handler, or options with a fetch", async () => {
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
    for (const server of [serve(options, handler), serve({ ...options, fetch: handler })]) {
      const { url } = await server.ready();
      assert.equal(await (await fetch(url)).text(), "hello");
      await server.shutdown();
    }
  });
});
