/**
 * What is measured: the requests, the load, the answers that are expected, and who is compared.
 *
 * One table of values; nothing is run here.
 *
 * @module
 */

import { CHUNK, describeRequest, type HandlerName, HELLO, JSON_FIELDS, STREAM_BYTES } from "./handlers.ts";

/** Who answers; see `contenders.ts`. */
export type ContenderName =
  | "trivet"
  | "trivet-global"
  | "before"
  | "before-global"
  | "native"
  | "srvx"
  | "srvx-global"
  | "hono"
  | "bare"
  | "bare-global"
  | "raw";

/** One kind of load. */
export interface Scenario {
  /** The name by which `--scenario` selects it. */
  readonly name: string;
  /** What it is, for a reader of the results. */
  readonly title: string;
  readonly handler: HandlerName;
  readonly method: "GET" | "POST";
  readonly target: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly content: Uint8Array<ArrayBuffer> | null;
  /** Connections that are open at the same time. */
  readonly connections: number;
  /** Requests that are sent on a connection before the first response is awaited. */
  readonly pipelining: number;
  /** Requests a second, of all connections together; `null` is as many as the server takes. */
  readonly requestsPerSecond: number | null;
  /** What a 200 must bring. */
  readonly expected: {
    readonly content: Uint8Array<ArrayBuffer>;
    readonly fields: Readonly<Record<string, string>>;
  };
  /** In the order in which they are measured; those that a runtime lacks are left out. */
  readonly contenders: readonly ContenderName[];
}

const CONNECTIONS = 64;
const ALL: readonly ContenderName[] = [
  "trivet",
  "before",
  "native",
  "trivet-global",
  "before-global",
  "srvx",
  "srvx-global",
  "hono",
  "bare",
  "bare-global",
];
const WITH_OWN_RESPONSES: readonly ContenderName[] = ["trivet", "before", "native", "srvx", "hono", "bare"];

const encoder = new TextEncoder();

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
const JSON_CONTENT = encoder.encode(JSON.stringify(describeRequest(
  new URL(`http://localhost${JSON_TARGET}`),
  BROWSER_FIELDS["User-Agent"],
  BROWSER_FIELDS["Accept-Language"],
)));

const HELLO_SCENARIO = {
  handler: "hello",
  method: "GET",
  target: "/",
  fields: {},
  content: null,
  connections: CONNECTIONS,
  pipelining: 1,
  requestsPerSecond: null,
  // Not the Content-Type: Bun's own Response does not know that of a string, Bun.serve adds it when it sends.
  expected: { content: encoder.encode(HELLO), fields: {} },
} as const;

const JSON_SCENARIO = {
  handler: "json",
  method: "GET",
  target: JSON_TARGET,
  fields: BROWSER_FIELDS,
  content: null,
  connections: CONNECTIONS,
  pipelining: 1,
  requestsPerSecond: null,
  expected: { content: JSON_CONTENT, fields: { "content-type": "application/json", ...JSON_FIELDS } },
} as const;

/** A load that every server bears, so that latency is what it takes to answer and not what there is to answer. */
const STEADY_RATE = 20_000;
const STEADY_CONNECTIONS = 100;
const STEADY: readonly ContenderName[] = ["trivet", "before", "native", "trivet-global", "before-global"];

/** Every scenario. */
export const SCENARIOS: readonly Scenario[] = [
  { ...HELLO_SCENARIO, name: "hello", title: "hello (text)", contenders: [...ALL, "raw"] },
  { ...JSON_SCENARIO, name: "json", title: "JSON with URL and fields", contenders: ALL },
  echo("echo-1k", "POST echo 1 KiB", 1024),
  echo("echo-64k", "POST echo 64 KiB", 64 * 1024),
  {
    name: "stream-1m",
    title: "stream 1 MiB",
    handler: "stream",
    method: "GET",
    target: "/",
    fields: {},
    content: null,
    connections: 16,
    pipelining: 1,
    requestsPerSecond: null,
    expected: { content: cycled(STREAM_BYTES), fields: {} },
    contenders: WITH_OWN_RESPONSES,
  },
  {
    ...HELLO_SCENARIO,
    name: "pipelined-16",
    title: "16 pipelined (hello)",
    pipelining: 16,
    contenders: ["trivet", "before", "native", "bare", "raw"],
  },
  {
    ...HELLO_SCENARIO,
    name: "close",
    title: "one request per connection (hello)",
    fields: { "Connection": "close" },
    contenders: ["trivet", "before", "native"],
  },
  {
    ...HELLO_SCENARIO,
    name: "connections-1000",
    title: "1,000 connections (hello)",
    connections: 1000,
    contenders: ["trivet", "before", "native", "raw"],
  },
  {
    ...HELLO_SCENARIO,
    name: "steady-hello",
    title: "hello at 20,000 a second",
    connections: STEADY_CONNECTIONS,
    requestsPerSecond: STEADY_RATE,
    contenders: [...STEADY, "raw"],
  },
  {
    ...JSON_SCENARIO,
    name: "steady-json",
    title: "JSON at 20,000 a second",
    connections: STEADY_CONNECTIONS,
    requestsPerSecond: STEADY_RATE,
    contenders: STEADY,
  },
];

function echo(name: string, title: string, byteLength: number): Scenario {
  const content = cycled(byteLength);
  return {
    name,
    title,
    handler: "echo",
    method: "POST",
    target: "/",
    fields: {},
    content,
    connections: CONNECTIONS,
    pipelining: 1,
    requestsPerSecond: null,
    expected: { content, fields: { "content-length": String(byteLength) } },
    contenders: WITH_OWN_RESPONSES,
  };
}

/** The chunk of the handlers, over and over. */
function cycled(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength).map((_, index) => CHUNK[index % CHUNK.byteLength]);
}
