/**
 * What is sent there and back: calls as they are said to a thread, and the answers to them.
 *
 * @module
 */

import type { FieldSection } from "../../src/http/field_section.ts";
import { RequestHeadParser } from "../../src/http1/codec/request_head.ts";
import type { OutgoingBatch, ReceivedBatch } from "../../src/threads/batch.ts";
import { ReceivedCall, writeCall } from "../../src/threads/call_message.ts";
import type { CallMessage } from "../../src/threads/protocol.ts";
import { HELLO } from "../handlers.ts";

/** The first message to the thread. */
export interface ThreadOrders {
  readonly transport: string;
  readonly shared: SharedArrayBuffer;
}

const LIMITS = { maxRequestTargetBytes: 8192, maxFieldSectionBytes: 16_384, maxFieldLines: 100 };
const REMOTE = { transport: "tcp", hostname: "127.0.0.1", port: 50_123 } as const;
const LOCAL = { transport: "tcp", hostname: "127.0.0.1", port: 8_000 } as const;
const ANSWER_FIELDS = ["content-type", "text/plain;charset=UTF-8"];

/** A head of about 400 bytes, as a browser sends it. */
const HEAD = `GET /users/42?page=2 HTTP/1.1\r
Host: localhost:8000\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
Accept-Language: en-US,en;q=0.5\r
Accept-Encoding: gzip, deflate, br, zstd\r
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r
Upgrade-Insecure-Requests: 1\r
\r
`;

/** Makes batches of calls. */
export class CallWriter {
  readonly #fields: FieldSection;
  readonly #content: Uint8Array | null;
  #lastId = 0;

  /**
   * @param decodeLatin1 The runtime's.
   * @param contentBytes Of each request, and of each answer.
   */
  constructor(decodeLatin1: (bytes: Uint8Array, start: number, end: number) => string, contentBytes: number) {
    const bytes = new TextEncoder().encode(HEAD);
    const head = new RequestHeadParser(LIMITS, decodeLatin1).parse(bytes, 0, bytes.byteLength);
    if (head === null) throw new Error("The head is not complete.");
    this.#fields = head.fields;
    this.#content = contentBytes === 0 ? null : new Uint8Array(contentBytes).fill(7);
  }

  /** Adds so many calls. */
  write(batch: OutgoingBatch, count: number): void {
    for (let i = 0; i < count; i++) {
      const id = ++this.#lastId;
      writeCall(batch, id, id, {
        method: "GET",
        uri: "http://localhost:8000/users/42?page=2",
        fields: this.#fields,
        upgrade: null,
        content: this.#content === null ? null : batch.attachCopy(this.#content),
        trailers: [],
        remoteAddress: REMOTE,
        localAddress: LOCAL,
      });
    }
  }
}

/** Answers every call of a batch: with its content if it has some. */
export function answerCalls({ messages, bytes, texts }: ReceivedBatch, batch: OutgoingBatch): void {
  for (const message of messages) {
    const call = new ReceivedCall(message as unknown as CallMessage, texts);
    if (call.fields.count !== 7 || call.method !== "GET") throw new Error("A call came wrong.");
    const content = typeof call.content === "number"
      ? batch.attachCopy(bytes[call.content])
      : { textAt: batch.attachText(HELLO) };
    batch.add(["answer", call.id, 200, "", ANSWER_FIELDS, content, null, null, false, false]);
  }
}

/** Looks at every answer of a batch, and counts them. */
export function countAnswers({ messages, bytes, texts }: ReceivedBatch, contentBytes: number): number {
  for (const message of messages) {
    const content = message[5] as number | { textAt: number };
    const isRight = typeof content === "number"
      ? bytes[content].byteLength === contentBytes
      : texts[content.textAt] === HELLO;
    if (!isRight) throw new Error("An answer came wrong.");
  }
  return messages.length;
}
