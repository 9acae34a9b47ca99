/**
 * What is published to WebSockets, and how it gets to those of another thread.
 *
 * It decides how much of it may be on its way, and that what is published in one turn goes together. It must not know
 * which sockets have subscribed, nor what kind of thread the other end is.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Clock } from "../runtime.ts";

/** A message to every WebSocket that has subscribed to a topic. */
export interface Publication {
  readonly topic: string;
  readonly message: string | Uint8Array<ArrayBuffer>;
}

/** What is said from either end to the other. */
export interface PublicationBatch {
  readonly published: readonly Publication[];
  /** Bytes of publications that came and were passed on. */
  readonly takenBytes: number;
}

/** How much may wait for a thread that computes. */
const MAX_UNTAKEN_BYTES = 16 * 1024 * 1024;
/** What a publication takes beside its message. */
const PUBLICATION_BYTES = 100;

/** Whether a message is such a batch. Code of the user's module can post messages as well, which mean nothing here. */
export function isPublicationBatch(received: unknown): received is PublicationBatch {
  if (typeof received !== "object" || received === null) return false;
  const { published, takenBytes } = received as Partial<PublicationBatch>;
  return Array.isArray(published) && typeof takenBytes === "number";
}

/** One end of the way between two threads. */
export class PublicationLink {
  readonly #defer: Clock["defer"];
  readonly #post: (batch: PublicationBatch) => void;
  readonly #onBehind: (error: TrivetError) => void;
  #gathered: Publication[] = [];
  #takenBytes = 0;
  #isDeferred = false;
  /** What was told to the other end, and what it has not taken of that. */
  #untakenBytes = 0;
  #isBehind = false;

  /**
   * @param defer Calls back when the turn is over.
   * @param post Sends to the other end.
   * @param onBehind Told once when the other end does not keep up, until it does again.
   */
  constructor(
    defer: Clock["defer"],
    post: (batch: PublicationBatch) => void,
    onBehind: (error: TrivetError) => void,
  ) {
    this.#defer = defer;
    this.#post = post;
    this.#onBehind = onBehind;
  }

  /** Tells the other end, unless that is too far behind. */
  tell({ topic, message }: Publication): void {
    if (this.#untakenBytes >= MAX_UNTAKEN_BYTES) {
      this.#missed();
      return;
    }
    // Bytes are the caller's when this returns, and those beside them in the buffer are nothing to the other end. They
    // may be a Buffer, whose slice() is no copy.
    const publication = { topic, message: typeof message === "string" ? message : new Uint8Array(message) };
    this.#untakenBytes += bytesOf(publication);
    this.#gathered.push(publication);
    this.#sendLater();
  }

  /** Takes what the other end has said, and passes it on. */
  take({ published, takenBytes }: PublicationBatch, onPublication: (publication: Publication) => void): void {
    this.#untakenBytes -= takenBytes;
    if (this.#untakenBytes < MAX_UNTAKEN_BYTES / 2) this.#isBehind = false;
    if (published.length === 0) return;
    for (const publication of published) {
      this.#takenBytes += bytesOf(publication);
      onPublication(publication);
    }
    this.#sendLater();
  }

  #missed(): void {
    if (this.#isBehind) return;
    this.#isBehind = true;
    const message = `A thread has not taken ${MAX_UNTAKEN_BYTES} bytes that were published, and misses what follows.`;
    this.#onBehind(new TrivetError("publish-backlog", message));
  }

  #sendLater(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#defer(() => {
      this.#isDeferred = false;
      const batch = { published: this.#gathered, takenBytes: this.#takenBytes };
      this.#gathered = [];
      this.#takenBytes = 0;
      this.#post(batch);
    });
  }
}

function bytesOf({ topic, message }: Publication): number {
  return PUBLICATION_BYTES + topic.length + (typeof message === "string" ? message.length : message.byteLength);
}
