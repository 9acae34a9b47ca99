/**
 * The hop to a thread and back, apart from sockets: batches of calls as they are said to a thread, which runs this
 * file too and answers at the end of the turn in which calls came.
 */

import { detectRuntime } from "../../runtime/detect.ts";
import type { FieldSection } from "../../src/http/field_section.ts";
import { OutgoingBatch, readBatch, type SentBatch } from "../../src/threads/batch.ts";
import { ReceivedCall, writeCall } from "../../src/threads/call_message.ts";
import type { CallMessage } from "../../src/threads/protocol.ts";

const ANSWER = "Hello, world!";
const ANSWER_FIELDS = ["content-type", "text/plain;charset=UTF-8"];
const REMOTE = { transport: "tcp", hostname: "127.0.0.1", port: 50_123 } as const;
const LOCAL = { transport: "tcp", hostname: "127.0.0.1", port: 8_000 } as const;

const runtime = detectRuntime();
const parent = await runtime.parentThread();
if (parent !== null) {
  const outgoing = new OutgoingBatch();
  let isDeferred = false;
  parent.listen((message) => {
    answer(message as SentBatch, outgoing);
    if (isDeferred) return;
    isDeferred = true;
    runtime.clock.defer(() => {
      isDeferred = false;
      outgoing.send((batch, transfer) => parent.post(batch, transfer));
    });
  });
}

function answer(received: SentBatch, outgoing: OutgoingBatch): void {
  const { messages, bytes, texts } = readBatch(received);
  for (const message of messages) {
    const call = new ReceivedCall(message as unknown as CallMessage, texts);
    if (call.method !== "GET") throw new Error("A call came wrong.");
    const content = typeof call.content === "number"
      ? outgoing.attachCopy(bytes[call.content])
      : { textAt: outgoing.attachText(ANSWER) };
    outgoing.add(["answer", call.id, 200, "", ANSWER_FIELDS, content, null, null, false, false]);
  }
}

export class Hop {
  readonly #fields: FieldSection;
  readonly #outgoing = new OutgoingBatch();
  #post: (batch: SentBatch, transfer: ArrayBuffer[]) => void = () => {};
  #lastId = 0;
  #awaited = 0;
  #settle: () => void = () => {};

  constructor(fields: FieldSection) {
    this.#fields = fields;
  }

  async start(): Promise<void> {
    const thread = await runtime.startThread(import.meta.url, {
      onMessage: (message) => {
        this.#awaited -= readBatch(message as SentBatch).messages.length;
        if (this.#awaited === 0) this.#settle();
      },
      onExit(cause) {
        if (cause !== undefined) throw cause;
      },
    });
    this.#post = (batch, transfer) => thread.post(batch, transfer);
  }

  /** Sends so many batches, each in a turn of its own, and waits for all answers. */
  async call(batches: number, calls: number, contentBytes: number): Promise<number> {
    this.#awaited += batches * calls;
    const settled = new Promise<void>((resolve) => this.#settle = resolve);
    for (let i = 0; i < batches; i++) {
      runtime.clock.defer(() => {
        for (let call = 0; call < calls; call++) this.#write(contentBytes);
        this.#outgoing.send(this.#post);
      });
    }
    await settled;
    return this.#lastId;
  }

  #write(contentBytes: number): void {
    const id = ++this.#lastId;
    const content = contentBytes === 0 ? null : this.#outgoing.attachCopy(new Uint8Array(contentBytes).fill(7));
    writeCall(this.#outgoing, id, id, {
      method: "GET",
      uri: "http://localhost:8000/users/42?page=2",
      fields: this.#fields,
      upgrade: null,
      content,
      trailers: [],
      remoteAddress: REMOTE,
      peerAddress: REMOTE,
      tls: null,
      localAddress: LOCAL,
    });
  }
}
