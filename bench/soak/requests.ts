/** What the soak asks its servers, what each request must be answered, and how an exchange has ended. */

import { type Outcome, WireConnection } from "../../test/support/wire_connection.ts";
import { type Crash, STREAM_CHUNKS } from "../servers/routes.ts";

/** What is asked for. The last two end a thread. */
export type RequestKind = "get" | "put" | "post" | "upload" | "stream" | "held" | "kill" | "spin";

export type Entry = ReturnType<typeof entryOf>;

/** Far longer than the server's own deadlines and pauses. */
export const PATIENCE_MS = 30_000;
const CONTENT = "x".repeat(200);
const UPLOAD = new Uint8Array(300_000).fill(121);

let lastId = 0;

export async function exchange(connection: WireConnection, kind: RequestKind, waitMs = 0, how: Crash = "throw") {
  const [id, beganAtMs] = [++lastId, Date.now()];
  const content = kind === "upload" ? UPLOAD : undefined;
  return entryOf(id, kind, beganAtMs, await connection.exchange(startOf(kind, id, waitMs, how), PATIENCE_MS, content));
}

/** Sends a request whose handler holds it, and gives what waits for its end, once the handler is under way. */
export async function beginHeld(connection: WireConnection, holdMs: number) {
  const [id, beganAtMs] = [++lastId, Date.now()];
  await connection.send(startOf("held", id, holdMs, "throw"));
  const hasBegun = await connection.informationalStatus(PATIENCE_MS) === 103;
  const ended = async () => entryOf(id, "held", beganAtMs, await connection.finalResponse(PATIENCE_MS));
  return { hasBegun, ended };
}

export async function sendOne(port: number, kind: RequestKind, waitMs: number, how?: Crash): Promise<Entry> {
  const connection = await WireConnection.open(port);
  return await exchange(connection, kind, waitMs, how).finally(() => connection.close());
}

function startOf(kind: RequestKind, id: number, waitMs: number, how: Crash): string {
  const line = `/${kind}/${id}?wait=${waitMs}&how=${how} HTTP/1.1\r\nHost: soak.example\r\n`;
  if (kind === "get" || kind === "stream" || kind === "held") return `GET ${line}\r\n`;
  if (kind === "upload") return `PUT ${line}Content-Length: ${UPLOAD.byteLength}\r\n\r\n`;
  // What ends a thread must not be made again.
  return `${kind === "put" ? "PUT" : "POST"} ${line}Content-Length: ${CONTENT.length}\r\n\r\n${CONTENT}`;
}

function expectedContent(kind: RequestKind, id: number): string {
  const start = `${kind} ${id}`;
  if (kind === "put" || kind === "post") return `${start} ${CONTENT}`;
  if (kind === "upload") return `${start} ${UPLOAD.byteLength}`;
  if (kind === "stream") return Array.from({ length: STREAM_CHUNKS }, (_, at) => `${start} ${at}\n`).join("");
  return start;
}

function entryOf(id: number, kind: RequestKind, beganAtMs: number, outcome: Outcome) {
  const ending = endingOf(outcome, expectedContent(kind, id));
  const got = ending === "wrong" ? JSON.stringify(outcome).slice(0, 300) : "";
  const persists = outcome.kind === "answered" && outcome.persists;
  // In milliseconds since 1970, which the server's process counts in too.
  return { id, kind, beganAtMs, endedAtMs: Date.now(), ending, persists, got };
}

/**
 * How an exchange has ended, as far as it matters: with a 503 because the thread was lost, because the handler took too
 * long, or for another reason; with a connection that was closed before a byte, or in the middle of a response.
 */
function endingOf(outcome: Outcome, expected: string) {
  if (outcome.kind === "malformed") return "wrong";
  if (outcome.kind !== "answered") {
    return outcome.kind === "hung" ? "hung" : outcome.receivedBytes === 0 ? "cut before" : "cut within";
  }
  const { status, content } = outcome;
  if (status === 200 && content === expected) return "right";
  if (status !== 503) return "wrong";
  // The response says what a peer may know: nothing but the status of a lost thread.
  if (content === "Service Unavailable\n") return "503 lost";
  return content.includes("in time") ? "503 timeout" : "503 other";
}
