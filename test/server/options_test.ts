/** The options of `serve()`: what is refused, and how the error says so. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Handler, type HandlerObject, HttpResponse, serve, type ServeInit, type ServeOptions } from "../../mod.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { createServer } from "../../src/server/create_server.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { MODELS } from "../../src/models/models.ts";
import type { Model } from "../../src/api/options.ts";
import { resolveModule } from "../../src/server/load_handler.ts";
import { optionsOfLoop, resolveOptions } from "../../src/api/resolve_options.ts";
import { NUMBER_OPTION_NAMES, NUMBER_RULES } from "../../src/api/option_rules.ts";

const MODEL_NAMES = Object.keys(MODELS) as Model[];
const MACHINE = { cores: 3, descriptorLimit: null };
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
  { name: "queueTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "fd", allowed: MAX_COUNT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "drainDelay", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "drainTimeout", allowed: MAX_TIMEOUT, tooLow: -1, tooHigh: 2 ** 31 },
  { name: "halfCloseTimeout", allowed: `${MAX_TIMEOUT}, or Infinity`, tooLow: -1, tooHigh: 2 ** 31 },
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
  { name: "workers", allowed: "a whole number from 1 to 1024", tooLow: 0, tooHigh: 1_025 },
  { name: "threads", allowed: "a whole number from 1 to 256", tooLow: 0, tooHigh: 257 },
  { name: "loops", allowed: "a whole number from 1 to 256", tooLow: 0, tooHigh: 257 },
  { name: "maxQueue", allowed: "a whole number from 0 to 1000000", tooLow: -1, tooHigh: 1_000_001 },
  {
    name: "maxThreadMemory",
    allowed: "0, or a whole number of bytes from 16777216 to 68719476736",
    tooLow: 16 * 2 ** 20 - 1,
    tooHigh: 2 ** 36 + 1,
  },
  { name: "maxRequestsPerThread", allowed: MAX_COUNT, tooLow: -1, tooHigh: 2 ** 31 },
];

const ALLOWED_HOSTS = "an address or a name, without a scheme or a port";
const ALLOWED_PATH = "a path in printable ASCII that begins with a slash";
const ALLOWED_FORMATS = 'one of "short", "common", "combined", "json"';
const ALLOWED_LOGS = "true, false, a format, an object with format and file, or a function";
const ALLOWED_MODELS = 'one of "blocking", "worker-pool", "event-driven", "hybrid"';

/** Options of other types: a wrong value, how the error shows it, and what it says is allowed. */
const ALLOWED_PROXIES = '"loopback", a list of ranges such as "10.0.0.0/8", or a number of proxies';
const OTHERS: readonly { name: string; value: unknown; shown: string; allowed: string }[] = [
  { name: "hostname", value: 1, shown: "1", allowed: "a string" },
  { name: "hostname", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "hostname", value: "http://a.test", shown: '"http://a.test"', allowed: ALLOWED_HOSTS },
  { name: "hostname", value: "a.test/", shown: '"a.test/"', allowed: ALLOWED_HOSTS },
  { name: "hostname", value: "127.0.0.1:80", shown: '"127.0.0.1:80"', allowed: ALLOWED_HOSTS },
  { name: "hostname", value: "localhost:", shown: '"localhost:"', allowed: ALLOWED_HOSTS },
  { name: "hostname", value: "[::1]:80", shown: '"[::1]:80"', allowed: ALLOWED_HOSTS },
  { name: "unix", value: true, shown: "true", allowed: "a string" },
  { name: "unix", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "signal", value: {}, shown: "an object", allowed: "an AbortSignal" },
  { name: "onListen", value: "print", shown: '"print"', allowed: "a function" },
  { name: "onError", value: null, shown: "null", allowed: "a function" },
  { name: "tls", value: "cert", shown: '"cert"', allowed: "an object with cert and key" },
  { name: "tls", value: null, shown: "null", allowed: "an object with cert and key" },
  { name: "tls.requestCert", value: "always", shown: '"always"', allowed: 'one of "no", "optional", "required"' },
  { name: "tls.minVersion", value: "1.3", shown: '"1.3"', allowed: 'one of "TLSv1.2", "TLSv1.3"' },
  { name: "tls.sni", value: 1, shown: "1", allowed: "an object with a certificate for each name" },
  { name: "tlsWatch", value: 5, shown: "5", allowed: "a boolean" },
  { name: "trustProxy", value: true, shown: "true", allowed: "an object with from" },
  { name: "trustProxy.from", value: "all", shown: '"all"', allowed: ALLOWED_PROXIES },
  { name: "trustProxy.from", value: [], shown: "an object", allowed: ALLOWED_PROXIES },
  { name: "trustProxy.header", value: "x-real-ip", shown: '"x-real-ip"', allowed: 'one of "x-forwarded", "forwarded"' },
  { name: "trustProxy.host", value: "a.test", shown: '"a.test"', allowed: "a boolean" },
  { name: "proxyProtocol", value: true, shown: "true", allowed: "an object with from" },
  { name: "proxyProtocol.from", value: 1, shown: "1", allowed: '"loopback", or a list of ranges such as "10.0.0.0/8"' },
  { name: "reusePort", value: 1, shown: "1", allowed: "a boolean" },
  { name: "model", value: "fast", shown: '"fast"', allowed: ALLOWED_MODELS },
  { name: "model", value: () => {}, shown: "a function", allowed: ALLOWED_MODELS },
  { name: "model", value: null, shown: "null", allowed: ALLOWED_MODELS },
  { name: "model", value: "", shown: '""', allowed: ALLOWED_MODELS },
  { name: "model", value: "Hybrid", shown: '"Hybrid"', allowed: ALLOWED_MODELS },
  { name: "module", value: 1, shown: "1", allowed: "a string" },
  { name: "module", value: null, shown: "null", allowed: "a string" },
  { name: "module", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "module", value: { fetch: handler }, shown: "an object", allowed: "a string" },
  { name: "healthPath", value: true, shown: "true", allowed: "a string" },
  { name: "healthPath", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "healthPath", value: "health", shown: '"health"', allowed: ALLOWED_PATH },
  { name: "healthPath", value: "/health check", shown: '"/health check"', allowed: ALLOWED_PATH },
  { name: "healthPath", value: "/h\u00e4lth", shown: '"/h\u00e4lth"', allowed: ALLOWED_PATH },
  { name: "healthPath", value: "/health\r\n", shown: '"/health\\r\\n"', allowed: ALLOWED_PATH },
  { name: "onWarning", value: "print", shown: '"print"', allowed: "a function" },
  { name: "onWarning", value: null, shown: "null", allowed: "a function" },
  { name: "nativeRequest", value: "yes", shown: '"yes"', allowed: "a boolean" },
  { name: "accessLog", value: "nginx", shown: '"nginx"', allowed: ALLOWED_FORMATS },
  { name: "accessLog", value: 1, shown: "1", allowed: ALLOWED_LOGS },
  { name: "accessLog", value: null, shown: "null", allowed: ALLOWED_LOGS },
  { name: "accessLog.format", value: "text", shown: '"text"', allowed: ALLOWED_FORMATS },
  { name: "accessLog.file", value: 1, shown: "1", allowed: "a string" },
  { name: "accessLog.file", value: "", shown: '""', allowed: "a string that is not empty" },
  { name: "minDataRate", value: 240, shown: "240", allowed: "an object" },
  { name: "minDataRate", value: null, shown: "null", allowed: "an object" },
];

describe("an option about TLS or proxies", () => {
  const tls = { cert: "-", key: "-" };
  for (
    const [name, options, message] of [
      [
        "that is missing",
        { tls: { cert: "-" } },
        "The option tls.key is missing, expected is text in PEM or the path of a file.",
      ],
      [
        "that is missing, of two",
        { tls: { key: "-" } },
        "The option tls.cert is missing, expected is text in PEM or the path of a file.",
      ],
      [
        "that is no text, which is not shown",
        { tls: { ...tls, key: 12345 } },
        "The option tls.key is of the type number, expected is text in PEM or the path of a file.",
      ],
      [
        "that is bytes, as they are read from a file",
        { tls: { ...tls, cert: new TextEncoder().encode("secret") } },
        'The option tls.cert is bytes, expected is text in PEM or the path of a file: read it as "utf8", or give its path.',
      ],
      [
        "that is no text either, and not shown",
        { tls: { ...tls, passphrase: 12345 } },
        "The option tls.passphrase is no string.",
      ],
      [
        "that is empty",
        { tls: { ...tls, ca: "" } },
        "The option tls.ca is empty, expected is text in PEM or the path of a file.",
      ],
      [
        "that asks for certificates of no authority",
        { tls: { ...tls, requestCert: "optional" } },
        'The option tls.requestCert is "optional", which needs tls.ca: who may sign certificates.',
      ],
      [
        "without effect",
        { tls: { ...tls, ca: "-", requestCert: "no" } },
        'The option tls.ca has no effect while tls.requestCert is "no".',
      ],
      ["without effect: the watch", { tlsWatch: true }, "The option tlsWatch has no effect without the option tls."],
      [
        "for a name that is none",
        { tls: { ...tls, sni: { "a b": tls } } },
        'The option tls.sni["a b"] is for no name of a host, such as "a.example" or "*.a.example".',
      ],
      [
        "for a name without a certificate",
        { tls: { ...tls, sni: { "a.test": "cert" } } },
        'The option tls.sni["a.test"] is "cert", allowed is an object with cert and key.',
      ],
      [
        "for a name with what it can't have",
        { tls: { ...tls, sni: { "a.test": { ...tls, ca: "-" } } } },
        'Unknown option tls.sni["a.test"] "ca", allowed are cert, key, passphrase.',
      ],
      [
        "for a name without its key",
        { tls: { ...tls, sni: { "a.test": { cert: "-" } } } },
        'The option tls.sni["a.test"].key is missing, expected is text in PEM or the path of a file.',
      ],
      [
        "for a proxy that is unknown",
        { trustProxy: { from: "loopback", hosts: true } },
        'Unknown option trustProxy "hosts", did you mean host?',
      ],
      [
        "for another protocol of proxies",
        { proxyProtocol: { from: "loopback", host: true } },
        'Unknown option proxyProtocol "host", allowed are from.',
      ],
      [
        "with a range that is no text",
        { trustProxy: { from: ["10.0.0.0/8", 5] } },
        `The option trustProxy.from is 5, allowed is ${ALLOWED_PROXIES}.`,
      ],
      [
        "with a range that is none",
        { trustProxy: { from: ["10.0.0.1/8"] } },
        'The option trustProxy.from has "10.0.0.1/8", which has bits behind its prefix; the range that it is in is 10.0.0.0/8.',
      ],
      [
        "with a name in place of a range",
        { proxyProtocol: { from: ["haproxy"] } },
        'The option proxyProtocol.from has "haproxy", which is no IP address and no range like 10.0.0.0/8 or fd00::/8.',
      ],
    ] as const
  ) {
    test(`${name} is refused`, () => assertRefused(options as unknown as ServeOptions, TypeError, message));
  }

  test("with a number of proxies out of its range is refused", () => {
    for (const from of [0, 101, 1.5]) {
      assertRefused(
        { trustProxy: { from } },
        RangeError,
        `The option trustProxy.from is ${from}, allowed is a whole number from 1 to 100.`,
      );
    }
  });

  for (
    const options of [
      { tls: { ...tls, passphrase: "" } },
      { tls: { ...tls, requestCert: "no" } },
      { tls: { ...tls, ca: "-" } },
      { tls: { ...tls, ca: "-", requestCert: "optional", minVersion: "TLSv1.3" } },
      { tls: { ...tls, sni: { "a.test": tls, "*.a.test": { ...tls, passphrase: "secret" } } }, tlsWatch: true },
      { trustProxy: { from: 1 } },
      { trustProxy: { from: 100, header: "forwarded", host: true } },
      { trustProxy: { from: ["10.0.0.0/8", "fd00::/8"] } },
      { proxyProtocol: { from: "loopback" } },
    ] as const
  ) {
    test(`is taken: ${JSON.stringify(options)}`, () => {
      for (const [name, value] of Object.entries(options)) assert.equal(resolved(name, options), value);
    });
  }
});

/** Options in which one, named with a dot if it lies deeper, has this value. */
function optionsWith(name: string, value: unknown): ServeOptions {
  const [outer, inner] = name.split(".");
  if (inner === undefined) return { [outer]: value };
  const rest = outer === "tls" ? { cert: "-", key: "-" } : outer === "trustProxy" ? { from: "loopback" } : {};
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
      const infinities = allowed.endsWith("or Infinity") ? [-Infinity] : [Infinity, -Infinity];
      for (const value of [tooLow, tooHigh, 300.5, NaN, ...infinities]) {
        assertRefused(optionsWith(name, value), RangeError, `The option ${name} is ${value}, allowed is ${allowed}.`);
      }
      const text = name === "port" ? "0x12c" : "300";
      assertRefused(optionsWith(name, text), TypeError, `The option ${name} is "${text}", allowed is ${allowed}.`);
      assertRefused(optionsWith(name, null), TypeError, `The option ${name} is null, allowed is ${allowed}.`);
      assertRefused(optionsWith(name, 300n), TypeError, `The option ${name} is 300, allowed is ${allowed}.`);
    });
  }
});

describe("the port as text, such as that of an environment variable", () => {
  for (const [port, expected] of [["0", 0], ["8000", 8000], ["00080", 80], ["65535", 65_535]] as const) {
    test(`is the number ${port}`, () => assert.equal(resolveOptions({ port }, MACHINE, MODEL_NAMES).port, expected));
  }
  test("has the bounds of a number", () => {
    assertRefused(
      { port: "65536" },
      RangeError,
      "The option port is 65536, allowed is a whole number from 0 to 65535.",
    );
  });
  for (const port of ["", " 8000", "8000 ", "+8000", "-1", "8e3", "0x50", "80.0", "http", "000008000"]) {
    test(`is a TypeError where it is ${JSON.stringify(port)}`, () => {
      const allowed = "a whole number from 0 to 65535";
      assertRefused({ port }, TypeError, `The option port is ${JSON.stringify(port)}, allowed is ${allowed}.`);
    });
  }
});

describe("an IPv6 address to listen at", () => {
  for (
    const [hostname, expected] of [["[::1]", "::1"], ["::1", "::1"], ["[::]", "::"], ["fe80::1%eth0", "fe80::1%eth0"], [
      "[FE80::1.2.3.4]",
      "FE80::1.2.3.4",
    ]]
  ) {
    test(`${hostname} is ${expected}`, () => {
      assert.equal(resolveOptions({ hostname }, MACHINE, MODEL_NAMES).hostname, expected);
    });
  }
});

/** What options are without a value; twice the cores and the cores are those of a machine with 3. */
const DEFAULTS: Readonly<Record<string, number | undefined>> = {
  port: 8000,
  tcpBacklog: undefined,
  fd: undefined,
  retryAfter: 5,
  headersTimeout: 15_000,
  requestTimeout: 120_000,
  keepAliveTimeout: 75_000,
  handlerTimeout: 0,
  writeTimeout: 30_000,
  queueTimeout: 30_000,
  halfCloseTimeout: 1_000,
  drainDelay: 0,
  drainTimeout: 10_000,
  "minDataRate.bytesPerSecond": 240,
  "minDataRate.gracePeriod": 5_000,
  maxHeaderSize: 16_384,
  maxHeadersCount: 100,
  maxRequestTargetSize: 8_192,
  maxRequestBodySize: 16_777_216,
  maxConnections: 0,
  maxConnectionsPerIp: 0,
  maxRequestsPerSocket: 0,
  workers: 6,
  threads: 3,
  loops: 1,
  maxQueue: 1_000,
  maxThreadMemory: 0,
  maxRequestsPerThread: 0,
};

/** The resolved value of an option, named with a dot if it lies deeper. */
function resolved(name: string, options: ServeOptions): unknown {
  return name.split(".").reduce(
    (value, part) => (value as Record<string, unknown>)[part],
    resolveOptions(options, MACHINE, MODEL_NAMES) as unknown,
  );
}

describe("an option that is a whole number, in its bounds", () => {
  test("is in the tables of this file, whatever it is", () => {
    const names = NUMBERS.map(({ name }) => name).sort();
    const rates = ["minDataRate.bytesPerSecond", "minDataRate.gracePeriod"];
    assert.deepEqual(names, [...NUMBER_OPTION_NAMES, ...rates].sort());
    assert.deepEqual(Object.keys(DEFAULTS).sort(), names);
  });

  for (const { name, tooLow, tooHigh } of NUMBERS) {
    test(`${name} has its default, and can be the least and the greatest that is allowed`, () => {
      assert.equal(resolved(name, {}), DEFAULTS[name]);
      // The number above the greatest safe one is the only one that is not a step away.
      const greatest = tooHigh === 2 ** 53 ? Number.MAX_SAFE_INTEGER : tooHigh - 1;
      for (const value of [tooLow + 1, greatest]) assert.equal(resolved(name, optionsWith(name, value)), value);
    });
  }

  const DESCRIPTORS: readonly (readonly [limit: number | null, options: ServeOptions, maxConnections: number])[] = [
    [null, {}, 0],
    [65, {}, 1],
    [64, {}, 1],
    [256, {}, 192],
    [1_024, {}, 896],
    [1_048_576, {}, 917_504],
    [1_024, { loops: 4 }, 224],
    [1_024, { loops: 4, model: "blocking" }, 896],
    [1_024, { maxConnections: 0 }, 0],
    [1_024, { maxConnections: 5_000 }, 5_000],
  ];
  for (const [descriptorLimit, options, maxConnections] of DESCRIPTORS) {
    const name = `${descriptorLimit} descriptors and ${JSON.stringify(options)}`;
    test(`maxConnections is ${maxConnections} with ${name}`, () => {
      const machine = { cores: 3, descriptorLimit };
      assert.equal(resolveOptions(options, machine, MODEL_NAMES).maxConnections, maxConnections);
    });
  }

  test("halfCloseTimeout can be Infinity too, and no other timeout can", () => {
    assert.equal(resolved("halfCloseTimeout", { halfCloseTimeout: Infinity }), Infinity);
    const infinite = Object.entries(NUMBER_RULES).filter(([, rule]) => "canBeInfinite" in rule).map(([name]) => name);
    assert.deepEqual(infinite, ["halfCloseTimeout"]);
  });

  test("goes to every loop", () => {
    const given = { module: "./app.ts", halfCloseTimeout: Infinity, writeTimeout: 1, maxHeadersCount: 7 };
    const { loops, reusePort, ...ofLoop } = structuredClone(
      optionsOfLoop(resolveOptions({ ...given, loops: 4 }, MACHINE, MODEL_NAMES)),
    );
    assert.deepEqual([loops, reusePort], [1, true]);
    for (const [name, value] of Object.entries(given)) assert.equal(resolved(name, ofLoop), value, name);
  });
});

describe("an option of another type", () => {
  for (const { name, value, shown, allowed } of OTHERS) {
    test(`${name} is not ${JSON.stringify(shown)}`, () => {
      assertRefused(optionsWith(name, value), TypeError, `The option ${name} is ${shown}, allowed is ${allowed}.`);
    });
  }
});

describe("an option nobody knows", () => {
  test("is named together with those that are known", () => {
    const error = errorOf({ colour: "green" } as ServeOptions);
    assert.equal(error.constructor, TypeError);
    assert.match(error.message, /^Unknown option "colour", allowed are .*\bhostname\b.*\bport\b.*\bunix\b.*\.$/);
  });

  const MEANT: readonly (readonly [given: string, meant: string])[] = [
    ["prot", "port"],
    ["Port", "port"],
    ["hostName", "hostname"],
    ["headerTimeout", "headersTimeout"],
    ["keepaliveTimeout", "keepAliveTimeout"],
    ["maxRequestSize", "maxRequestBodySize"],
    ["halfClosedTimeout", "halfCloseTimeout"],
    ["onerror", "onError"],
    ["worker", "workers"],
  ];
  for (const [given, meant] of MEANT) {
    test(`is told the nearest that is known: ${given}, meant is ${meant}`, () => {
      const error = errorOf({ [given]: 1 } as ServeOptions);
      assert.equal(error.constructor, TypeError);
      assert.equal(error.message, `Unknown option "${given}", did you mean ${meant}?`);
    });
  }

  test("may be as long as it likes", () => {
    const { message } = errorOf({ ["x".repeat(1_000_000)]: 1 } as ServeOptions);
    assert.ok(message.length < 2_000);
  });

  test("is found in tls and minDataRate too", () => {
    const tls = { cert: "-", key: "-", certificate: "-" };
    assertRefused(
      { tls } as ServeOptions,
      TypeError,
      'Unknown option tls "certificate", allowed are cert, key, passphrase, ca, requestCert, minVersion, sni.',
    );
    assertRefused(
      { minDataRate: { speed: 1 } } as ServeOptions,
      TypeError,
      'Unknown option minDataRate "speed", allowed are bytesPerSecond, gracePeriod.',
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

describe("a model whose handlers run on threads", () => {
  const needsModule = (what: string): string =>
    `${what} runs the handler on threads, where a function can't go: give it as \`module\`, a path or a URL.`;
  const rows: { options: ServeOptions; what: string }[] = [
    { options: { model: "hybrid" }, what: 'The model "hybrid"' },
    { options: { model: "event-driven", loops: 2 }, what: 'The model "event-driven" with 2 loops' },
    { options: { loops: 4 }, what: 'The model "event-driven" with 4 loops' },
  ];
  for (const { options, what } of rows) {
    test(`takes no function: ${what}`, () => assertRefused(options, TypeError, needsModule(what)));
  }

  const taken: ServeOptions[] = [
    { model: "blocking" },
    { model: "worker-pool" },
    { model: "event-driven" },
    { model: "event-driven", loops: 1 },
  ];
  for (const options of taken) {
    test(`is none of these: ${JSON.stringify(options)}`, async () => {
      const server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, ...options }, handler);
      const { url } = await server.ready();
      const response = await fetch(url, { headers: { connection: "close" } });
      assert.equal(await response.text(), "hello");
      assert.equal(server.stats().model, options.model);
      await server.shutdown();
    });
  }
});

describe("the path of a module", () => {
  const ROWS: readonly [path: string, base: string, url: string][] = [
    ["./app.ts", "file:///srv/main.ts", "file:///srv/app.ts"],
    ["app.ts", "file:///srv/main.ts", "file:///srv/app.ts"],
    ["../app.ts", "file:///srv/a/main.ts", "file:///srv/app.ts"],
    ["app.ts", "file:///srv/", "file:///srv/app.ts"],
    ["/srv/app.ts", "file:///main.ts", "file:///srv/app.ts"],
    ["./what? 100%#1.ts", "file:///srv/main.ts", "file:///srv/what%3F%20100%25%231.ts"],
    ["./app.ts", "https://example.com/a/main.ts", "https://example.com/a/app.ts"],
    ["/srv/app.ts", "https://example.com/main.ts", "file:///srv/app.ts"],
    ["C:\\srv\\app.ts", "file:///C:/main.ts", "file:///C:/srv/app.ts"],
    [".\\app.ts", "file:///C:/srv/main.ts", "file:///C:/srv/app.ts"],
    ["https://example.com/app.ts?v=1", "file:///srv/main.ts", "https://example.com/app.ts?v=1"],
    ["data:text/javascript,1", "file:///srv/main.ts", "data:text/javascript,1"],
  ];
  for (const [path, base, url] of ROWS) {
    test(`${path} at ${base} is ${url}`, () => assert.equal(resolveModule(path, base), url));
  }
});

describe("a module in place of a handler", () => {
  const where = { port: 0, hostname: "127.0.0.1", onListen: () => {} } as const;
  /** A module that would be there, but is not loaded. */
  const module = "./module.ts";

  const twice = "The handler is given twice: as a function and as a module.";
  const missing =
    "The handler is missing, expected a function: serve({ port: 8000 }, handler), or fetch among the options.";
  const CALLS: readonly [name: string, call: () => unknown, message: string][] = [
    ["a module and a handler", () => serve({ ...where, module }, handler), twice],
    ["a module and a fetch", () => serve({ ...where, module, fetch: handler }), twice],
    [
      "a module and a fetch that is no function",
      () => serve({ ...where, module, fetch: {} } as unknown as ServeInit),
      twice,
    ],
    ["neither", () => serve(where as unknown as ServeInit), missing],
    [
      "neither, with a model that needs a module",
      () => serve({ ...where, model: "hybrid" } as unknown as ServeInit),
      missing,
    ],
  ];
  for (const [name, call, message] of CALLS) {
    test(`${name} is a TypeError`, () => {
      assert.throws(call, (error) => error instanceof TypeError && error.message === message);
    });
  }

  for (const model of ["blocking", "worker-pool", "event-driven", "hybrid"] as const) {
    test(`that does not exist fails the start of the model ${model}, and is named`, async () => {
      const missing = new URL("missing.ts", import.meta.url);
      const server = serve({ ...where, module: missing, model });
      await assert.rejects(server.ready(), (error: Error & { code?: string }) => {
        assert.equal(error.code, "module-invalid");
        const beginning = `The module ${JSON.stringify(fileURLToPath(missing))} does not exist.`;
        assert.ok(error.message.startsWith(beginning), error.message);
        return true;
      });
      assert.equal(server.stats().state, "stopped");
    });
  }

  const EXPECTED_EXPORT = "expected export default { fetch }, with a function that takes a Request.";
  const invalid: { name: string; source: string; message: string }[] = [
    { name: "throws", source: "throw new Error('boom')", message: "could not be loaded: boom" },
    {
      name: "has no default export",
      source: "export const x = 1",
      message: `has no default export, ${EXPECTED_EXPORT}`,
    },
    {
      name: "exports a number",
      source: "export default 1",
      message: `has 1 as its default export, ${EXPECTED_EXPORT}`,
    },
    {
      name: "exports a bare handler",
      source: "export default () => new Response()",
      message: `has a function as its default export, ${EXPECTED_EXPORT}`,
    },
    {
      name: "exports a fetch that is no function",
      source: "export default { fetch: 1 }",
      message: `has a default export without a fetch function, ${EXPECTED_EXPORT}`,
    },
    {
      name: "exports an application of Koa",
      source: "export default { callback() {}, use() {} }",
      message: "exports a Koa application, which takes (req, res) of node:http and no Request. " +
        'Wrap it with `import { toFetchHandler } from "srvx/node"`: ' +
        "export default { fetch: toFetchHandler(app.callback()) }.",
    },
    {
      name: "is TypeScript for a Node that does not load it",
      // Bun takes what stands behind a dot in a data: URL for the extension of a file.
      source: 'const cause = new TypeError(`Unknown file extension "\\x2ets" for /a\\x2ets`); ' +
        'cause["code"] = "ERR_UNKNOWN_FILE_EXTENSION"; throw cause',
      message: 'could not be loaded: Unknown file extension ".ts" for /a.ts: ' +
        "TypeScript needs Node 22.18 or newer, Deno or Bun, or to be compiled.",
    },
  ];
  for (const { name, source, message } of invalid) {
    test(`that ${name} fails the start, and is named`, async () => {
      const url = `data:text/javascript,${encodeURIComponent(source)}`;
      for (const model of ["event-driven", "blocking"] as const) {
        const server = serve({ ...where, module: url, model });
        await assert.rejects(server.ready(), {
          code: "module-invalid",
          message: `The module ${JSON.stringify(url)} ${message}`,
        });
      }
    });
  }
});

describe("the arguments of serve()", () => {
  const CALLS: readonly [name: string, call: () => unknown, message: RegExp][] = [
    ["nothing", () => serve(undefined as unknown as Handler), /handler/],
    ["null", () => serve(null as unknown as ServeInit), /^serve\(\) got null, expected/],
    ["a number", () => serve(8000 as unknown as ServeInit), /^serve\(\) got 8000, expected/],
    ["options without a handler", () => serve({ port: 0 } as ServeInit), /The handler is missing, expected a function/],
    ["a handler that is no function", () => serve({ port: 0 }, "fetch" as unknown as Handler), /The handler is string/],
    ["a fetch that is no function", () => serve({ fetch: {} } as unknown as ServeInit), /The handler is object/],
  ];
  for (const [name, call, message] of CALLS) {
    test(`${name} is a TypeError`, () => {
      assert.throws(call, (error) => error instanceof TypeError && message.test(error.message));
    });
  }

  class Application {
    readonly greeting = "hello";
    /** Has the name of an option and is none. */
    onError = (): never => assert.fail("The application's own is not called.");
    /** Would be refused as an option. */
    readonly port = -1;
    fetch(request: Request): Response {
      return new HttpResponse(request.url === "" ? "" : this.greeting);
    }
  }
  const inherits: unknown = Object.create(new Application());
  const callable: unknown = Object.assign(() => new HttpResponse("hello"), {
    fetch: () => new HttpResponse("fetched"),
  });
  const APPLICATIONS: readonly [name: string, application: HandlerObject | Handler][] = [
    ["an object of a class, whose fetch is a method", new Application()],
    ["an object that inherits its fetch", inherits as HandlerObject],
    ["a function that has a fetch too", callable as Handler],
  ];
  for (const [name, application] of APPLICATIONS) {
    test(`can be options and ${name}`, async () => {
      const server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, application);
      const { url } = await server.ready();
      assert.equal(await (await fetch(url)).text(), "hello");
      server.stop();
    });
  }

  test("can be an application alone, of which nothing but the handler is read", async () => {
    for (const application of [new Application(), Object.assign(() => new HttpResponse("hello"), { port: -1 })]) {
      const runtime = createMemoryRuntime();
      const server = await createServer(runtime, THREAD_ENTRY, application).ready();
      const peer = runtime.connect();
      peer.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
      await runtime.clock.settle();
      assert.match(peer.received(), /hello$/);
      server.stop();
    }
  });

  test("can be options that a class has made, and a handler", () => {
    class Settings {
      readonly port = -1;
    }
    assert.throws(() => serve(new Settings(), handler).stop(), {
      name: "RangeError",
      message: /^The option port is -1/,
    });
  });

  test("are a handler, options and a handler, or options with a fetch", async () => {
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
    for (const server of [serve(options, handler), serve({ ...options, fetch: handler })]) {
      const { url } = await server.ready();
      assert.equal(await (await fetch(url)).text(), "hello");
      server.stop();
    }
  });
});
