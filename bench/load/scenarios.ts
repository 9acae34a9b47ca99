/**
 * What is measured: the requests, the load, the answers that are expected, and who is compared. Nothing is run here.
 */

import type { ContenderName } from "./contenders.ts";
import { CHUNK, describeRequest, greet, type HandlerName, HELLO, JSON_FIELDS, PAGE, STREAM_BYTES } from "./handlers.ts";

const encoder = new TextEncoder();

/** A scenario; what it does not say is that of the smallest load. */
export class Scenario {
  /** The name by which `--scenario` selects it. */
  readonly name: string = "hello";
  readonly title: string = "hello (text)";
  readonly handler: HandlerName | "ws" = "hello";
  readonly method: "GET" | "POST" = "GET";
  readonly target: string = "/";
  readonly fields: Readonly<Record<string, string>> = {};
  readonly content: Uint8Array<ArrayBuffer> | null = null;
  readonly connections: number = 64;
  /** Requests that are sent on a connection before the first response is awaited. */
  readonly pipelining: number = 1;
  /** Requests a second, of all connections together; `null` is as many as the server takes. */
  readonly requestsPerSecond: number | null = null;
  /**
   * What a 200 must bring; `null` for content that is not known. Not the Content-Type: Bun's own Response does not know
   * that of a string, Bun.serve adds it when it sends.
   */
  readonly expected: {
    readonly content: Uint8Array<ArrayBuffer> | null;
    readonly fields: Readonly<Record<string, string>>;
  } = { content: encoder.encode(HELLO), fields: {} };
  /** Seconds that a round lasts at least: what has many connections is to measure more than their opening. */
  readonly minSeconds: number = 0;
  /** In the order in which they are measured; those that a runtime lacks are left out. */
  readonly contenders: readonly ContenderName[] = [];
  /** Whether a quick run has it, of Trivet and the runtime's own server. */
  readonly isQuick: boolean = false;
  readonly isSpread: boolean = false;
  readonly isTls: boolean = false;
  /** Messages in place of requests: answered one by one, or sent to all; and how many are under way at a time. */
  readonly webSocket:
    | { readonly command: "echo" | "publish"; readonly bytes: number; readonly window: number }
    | null = null;
}

const OWN: readonly ContenderName[] = ["trivet", "before", "native"];
const FAST: readonly ContenderName[] = ["trivet-fast", "before-fast"];
const GLOBAL: readonly ContenderName[] = ["trivet-global", "before-global", ...FAST];
const ALL: readonly ContenderName[] = [...OWN, ...GLOBAL, "srvx", "srvx-global", "hono", "bare", "bare-global"];
const FRAMEWORK: readonly ContenderName[] = ["native", ...FAST, "trivet-global", "before-global"];

/** With the fields that the load generator sends by itself (Host) a request head of about 450 bytes. */
const BROWSER_FIELDS = {
  "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Accept-Language": "en-US,en;q=0.5",
  "Accept-Encoding": "gzip, deflate, br, zstd",
  "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
  "Upgrade-Insecure-Requests": "1",
  "Sec-Fetch-Dest": "document",
  "Sec-Fetch-Mode": "navigate",
} as const;

const JSON_TARGET = "/users/42?name=trivet&page=2";
const JSON_LOAD: Partial<Scenario> = {
  handler: "json",
  target: JSON_TARGET,
  fields: BROWSER_FIELDS,
  expected: jsonOf(describeRequest(
    new URL(`http://localhost${JSON_TARGET}`),
    BROWSER_FIELDS["User-Agent"],
    BROWSER_FIELDS["Accept-Language"],
  )),
};
const APPLICATION_ANSWER = jsonOf({ id: "42", name: "trivet", userAgent: BROWSER_FIELDS["User-Agent"] });

const CLOSE = { fields: { "Connection": "close" } } as const;
/** A load that every server bears, so that latency is what it takes to answer and not what there is to answer. */
const STEADY = { connections: 100, requestsPerSecond: 20_000 } as const;
const LOW = { connections: 8, requestsPerSecond: 400 } as const;

export const SCENARIOS: readonly Scenario[] = [
  load("hello", "hello (text)", [...ALL, "trivet-thread", "raw", "beast", "httplib", "go", "nginx"], {
    isQuick: true,
  }),
  load("json", "JSON with URL and fields", ALL, { ...JSON_LOAD, isQuick: true }),
  framework("hono-text", "Hono, c.text", {
    target: "/text/42",
    expected: { content: encoder.encode(greet("42")), fields: JSON_FIELDS },
    isQuick: true,
  }),
  framework("hono-json", "Hono, c.json"),
  framework("h3-json", "h3, JSON"),
  echo("echo-1k", "POST echo 1 KiB", 1024),
  echo("echo-64k", "POST echo 64 KiB", 64 * 1024),
  load("text-210k", "text of 210 KB", [...OWN, ...GLOBAL, "srvx"], {
    handler: "page",
    expected: { content: encoder.encode(PAGE), fields: {} },
  }),
  load("blob-1m", "Blob of 1 MiB", [...OWN, ...GLOBAL, "srvx"], {
    handler: "blob",
    connections: 16,
    expected: { content: cycled(STREAM_BYTES), fields: {} },
  }),
  load("stream-1m", "stream 1 MiB", [...OWN, "srvx", "hono"], {
    handler: "stream",
    connections: 16,
    expected: { content: cycled(STREAM_BYTES), fields: {} },
  }),
  load("pipelined-16", "16 pipelined (hello)", [...OWN, "bare", "raw"], { pipelining: 16 }),
  load("close", "one request per connection (hello)", OWN, CLOSE),
  load("tls", "hello over TLS", OWN, { isTls: true }),
  load("tls-close", "one request per connection over TLS (hello)", OWN, { ...CLOSE, isTls: true }),
  load("connections-1000", "1,000 connections (hello)", [...OWN, "trivet-thread", "raw"], {
    connections: 1000,
    minSeconds: 3,
  }),
  load("steady-hello", "hello at 20,000 a second", [...OWN, "raw"], STEADY),
  load("steady-json", "JSON at 20,000 a second", OWN, { ...JSON_LOAD, ...STEADY }),
  load("low", "hello at 400 a second", [...OWN, "trivet-thread"], LOW),
  load("spread", "2 loops, who answers", ["trivet-loops", "native-twice"], {
    handler: "who",
    expected: { content: null, fields: {} },
    isSpread: true,
  }),
  webSocket("ws-echo-64", "WebSocket, 64 B echo", "echo", 64, 64, 1, true),
  webSocket("ws-echo-64x16", "WebSocket, 64 B echo, 16 at a time", "echo", 64, 64, 16),
  webSocket("ws-echo-1k", "WebSocket, 1 KiB echo", "echo", 64, 1024, 1),
  webSocket("ws-echo-1kx16", "WebSocket, 1 KiB echo, 16 at a time", "echo", 64, 1024, 16),
  webSocket("ws-echo-64k", "WebSocket, 64 KiB echo", "echo", 16, 65_536, 1),
  webSocket("ws-all-64", "WebSocket, 64 B to 1,000", "publish", 1_000, 64, 4, true),
  webSocket("ws-all-1k", "WebSocket, 1 KiB to 1,000", "publish", 1_000, 1024, 4),
  webSocket("ws-all-64k", "WebSocket, 64 KiB to 1,000", "publish", 1_000, 65_536, 1),
];

function load(name: string, title: string, contenders: readonly ContenderName[], parts: Partial<Scenario>): Scenario {
  return { ...new Scenario(), ...parts, name, title, contenders };
}

/** The application of a framework, whose handler has the name of the scenario. */
function framework(name: HandlerName, title: string, parts: Partial<Scenario> = {}): Scenario {
  return load(name, title, FRAMEWORK, { ...JSON_LOAD, handler: name, expected: APPLICATION_ANSWER, ...parts });
}

/** Messages under way are those on each connection of an echo, or of all connections that get what is sent to all. */
function webSocket(
  name: string,
  title: string,
  command: "echo" | "publish",
  connections: number,
  bytes: number,
  window: number,
  isQuick = false,
): Scenario {
  return load(name, title, OWN, { handler: "ws", connections, isQuick, webSocket: { command, bytes, window } });
}

function jsonOf(value: object) {
  const fields = { "content-type": "application/json", ...JSON_FIELDS };
  return { content: encoder.encode(JSON.stringify(value)), fields };
}

function echo(name: string, title: string, byteLength: number): Scenario {
  const content = cycled(byteLength);
  const expected = { content, fields: { "content-length": String(byteLength) } };
  const contenders: readonly ContenderName[] = [...OWN, "srvx", "hono", "bare"];
  return load(name, title, contenders, { handler: "echo", method: "POST", content, expected });
}

function cycled(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength).map((_, index) => CHUNK[index % CHUNK.byteLength]);
}
