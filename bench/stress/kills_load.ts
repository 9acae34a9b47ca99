/**
 * The load while threads are killed: clients that send one request after another, and the killer.
 *
 * It writes down how each exchange has ended, and judges nothing.
 *
 * @module
 */

import { type Crash, STREAM_CHUNKS } from "./kills_handler.ts";
import { type Outcome, StressConnection } from "./stress_connection.ts";

/** What is asked for. The ones behind the streams end a thread. */
export type RequestKind = "get" | "put" | "post" | "upload" | "stream" | "kill" | "spin";

/** How an exchange has ended, as far as it matters. */
export type Ending =
  | "right"
  /** A 503 because the thread was lost, because the handler took too long, or for another reason. */
  | "503 lost"
  | "503 timeout"
  | "503 other"
  /** The connection was closed before a byte, or in the middle of a response. */
  | "cut before"
  | "cut within"
  | "hung"
  | "wrong";

/** One exchange. */
export interface Entry {
  readonly id: number;
  readonly kind: RequestKind;
  /** In milliseconds since 1970, which the server's process counts in too. */
  readonly beganAtMs: number;
  readonly endedAtMs: number;
  readonly ending: Ending;
  /** What came, where it was wrong. */
  readonly got: string;
}

/** Who sends how much. */
export interface LoadPlan {
  readonly port: number;
  readonly clients: number;
  readonly seconds: number;
  /** The longest time until a thread crashes that was told to. */
  readonly maxFuseMs: number;
}

/** A handler waits at random for up to so long. */
const MAX_WAIT_MS = 20;
/** A client rests at random for up to so long between requests. */
const MAX_REST_MS = 10;
/** Between two kills, at random. */
const MIN_KILL_GAP_MS = 400;
const MAX_KILL_GAP_MS = 1_600;
/** Of so many kills one is a handler that never returns. */
const SPIN_EVERY = 6;
/** Whoever waits longer hangs: the server's own deadlines and pauses are far shorter. */
const PATIENCE_MS = 30_000;
const CONTENT = "x".repeat(200);
const UPLOAD = new Uint8Array(300_000).fill(121);
/** How often each kind comes up, in percent. */
const KINDS: readonly (readonly [kind: RequestKind, percent: number])[] = [
  ["get", 40],
  ["put", 20],
  ["post", 25],
  ["upload", 5],
  ["stream", 10],
];
const CRASHES: readonly Crash[] = ["throw", "reject", "exit"];

let lastId = 0;

/** Runs the load, and gives every exchange there was. */
export async function runLoad(plan: LoadPlan): Promise<Entry[]> {
  const entries: Entry[] = [];
  const untilMs = Date.now() + 1000 * plan.seconds;
  const clients = Array.from({ length: plan.clients }, () => runClient(plan, untilMs, entries));
  await Promise.all([...clients, runKiller(plan, untilMs, entries)]);
  return entries;
}

/** Sends one request and closes. */
export async function sendOne(port: number, kind: RequestKind, waitMs: number, how: Crash = "throw"): Promise<Entry> {
  const connection = await StressConnection.open(port);
  const { entry } = await exchange(connection, kind, waitMs, how);
  connection.close();
  return entry;
}

async function runClient({ port }: LoadPlan, untilMs: number, entries: Entry[]): Promise<void> {
  let connection: StressConnection | null = null;
  while (Date.now() < untilMs) {
    connection ??= await StressConnection.open(port);
    const { entry, persists } = await exchange(connection, pickKind(), pickMs(0, MAX_WAIT_MS));
    entries.push(entry);
    if (!persists) {
      connection.close();
      connection = null;
    }
    await rest(pickMs(0, MAX_REST_MS));
  }
  connection?.close();
}

async function runKiller({ port, maxFuseMs }: LoadPlan, untilMs: number, entries: Entry[]): Promise<void> {
  const underWay: Promise<unknown>[] = [];
  for (let kills = 1;; kills++) {
    await rest(pickMs(MIN_KILL_GAP_MS, MAX_KILL_GAP_MS));
    if (Date.now() >= untilMs) break;
    const kind = kills % SPIN_EVERY === 0 ? "spin" : "kill";
    const how = CRASHES[kills % CRASHES.length];
    // The next one does not wait for this one's answer: a handler that never returns is answered late.
    underWay.push(sendOne(port, kind, pickMs(1, maxFuseMs), how).then((entry) => entries.push(entry)));
  }
  await Promise.all(underWay);
}

async function exchange(
  connection: StressConnection,
  kind: RequestKind,
  waitMs: number,
  how: Crash = "throw",
): Promise<{ entry: Entry; persists: boolean }> {
  const id = ++lastId;
  const beganAtMs = Date.now();
  const outcome = await send(connection, kind, id, waitMs, how);
  const ending = endingOf(outcome, expectedContent(kind, id));
  const got = ending === "wrong" ? JSON.stringify(outcome).slice(0, 300) : "";
  const persists = outcome.kind === "answered" && outcome.persists;
  return { entry: { id, kind, beganAtMs, endedAtMs: Date.now(), ending, got }, persists };
}

function send(
  connection: StressConnection,
  kind: RequestKind,
  id: number,
  waitMs: number,
  how: Crash,
): Promise<Outcome> {
  const target = `/${kind}/${id}?wait=${waitMs}&how=${how}`;
  const start = (method: string) => `${method} ${target} HTTP/1.1\r\nHost: stress.example\r\n`;
  if (kind === "get" || kind === "stream") return connection.exchange(`${start("GET")}\r\n`, PATIENCE_MS);
  if (kind === "upload") {
    return connection.upload(`${start("PUT")}Content-Length: ${UPLOAD.byteLength}\r\n\r\n`, UPLOAD, PATIENCE_MS);
  }
  // What ends a thread must not be made again.
  const method = kind === "put" ? "PUT" : "POST";
  return connection.exchange(`${start(method)}Content-Length: ${CONTENT.length}\r\n\r\n${CONTENT}`, PATIENCE_MS);
}

function expectedContent(kind: RequestKind, id: number): string {
  const start = `${kind} ${id}`;
  switch (kind) {
    case "put":
    case "post":
      return `${start} ${CONTENT}`;
    case "upload":
      return `${start} ${UPLOAD.byteLength}`;
    case "stream":
      return Array.from({ length: STREAM_CHUNKS }, (_, at) => `${start} ${at}\n`).join("");
    default:
      return start;
  }
}

function endingOf(outcome: Outcome, expected: string): Ending {
  switch (outcome.kind) {
    case "cut":
      return outcome.receivedBytes === 0 ? "cut before" : "cut within";
    case "hung":
      return "hung";
    case "malformed":
      return "wrong";
  }
  const { status, content } = outcome;
  if (status === 200) return content === expected ? "right" : "wrong";
  if (status !== 503) return "wrong";
  // The response says what a peer may know: nothing but the status of a lost thread.
  if (content === "Service Unavailable\n") return "503 lost";
  return content.includes("in time") ? "503 timeout" : "503 other";
}

function pickKind(): RequestKind {
  let at = 100 * Math.random();
  for (const [kind, percent] of KINDS) {
    at -= percent;
    if (at < 0) return kind;
  }
  return "get";
}

function pickMs(min: number, max: number): number {
  return Math.round(min + (max - min) * Math.random());
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
