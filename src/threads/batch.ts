/**
 * Batches: what goes to another thread, and comes from it, in one turn of the event loop.
 *
 * Waking the other thread costs far more than anything that is said to it, so what is said within a turn goes together.
 * It decides how messages are written down, and must not know what they mean.
 *
 * All messages are one JSON string, which all three runtimes clone faster than the arrays it stands for. Bytes go
 * beside it, and so do longer strings, which are cloned in a fraction of the time that it takes to escape them and to
 * read them again; a message names either by its number. Each string arrives as one of its own: a part that is kept
 * keeps no more than that. Few bytes are gathered in one buffer, since a buffer costs far more than the bytes in it,
 * and are parted again when they came.
 *
 * @module
 */

/** A message: its kind, the number of the call it belongs to, and what it says, all of which JSON can write. */
export type Message = readonly [kind: string, callId: number, ...rest: unknown[]];

/** A batch as it is sent. Bytes are their own, or the next ones of those that were gathered: their number. */
export type SentBatch = readonly [
  json: string,
  bytes: readonly (Uint8Array<ArrayBuffer> | number)[],
  texts: readonly string[],
  gathered: Uint8Array<ArrayBuffer> | null,
];

/** Fewer bytes are gathered in one buffer for the whole batch; more of them are sent in their own, which moves. */
const MIN_MOVED_BYTES = 2048;
const INITIAL_GATHERED_BYTES = 4096;
/** What has gathered more than this is not kept for the next batch. */
const MAX_KEPT_BYTES = 256 * 1024;

/** What waits to be sent to another thread. */
export class OutgoingBatch {
  #messages: Message[] = [];
  #bytes: (Uint8Array<ArrayBuffer> | number)[] = [];
  #moved: ArrayBuffer[] = [];
  #texts: string[] = [];
  #gathered = new Uint8Array(0);
  #gatheredBytes = 0;

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Adds a message. */
  add(message: Message): void {
    this.#messages.push(message);
  }

  /** Adds a copy of bytes, which may be changed at once, and gives the number by which a message names them. */
  attachCopy(bytes: Uint8Array): number {
    return bytes.byteLength < MIN_MOVED_BYTES ? this.#gather(bytes) : this.attach(new Uint8Array(bytes));
  }

  /** Adds bytes that the caller gives away, and gives the number by which a message names them. */
  attach(bytes: Uint8Array<ArrayBuffer>): number {
    if (bytes.byteLength < MIN_MOVED_BYTES) return this.#gather(bytes);
    // A buffer can move only once, and with all that is in it.
    if (bytes.byteLength === bytes.buffer.byteLength) this.#moved.push(bytes.buffer);
    return this.#bytes.push(bytes) - 1;
  }

  /** Adds a string, and gives the number by which a message names it. */
  attachText(text: string): number {
    return this.#texts.push(text) - 1;
  }

  /** Sends what waits. */
  send(post: (batch: SentBatch, transfer: ArrayBuffer[]) => void): void {
    const gathered = this.#gatheredBytes === 0 ? null : this.#gathered.slice(0, this.#gatheredBytes);
    if (gathered !== null) this.#moved.push(gathered.buffer);
    const batch: SentBatch = [JSON.stringify(this.#messages), this.#bytes, this.#texts, gathered];
    const moved = this.#moved;
    this.#messages = [];
    this.#bytes = [];
    this.#moved = [];
    this.#texts = [];
    this.#gatheredBytes = 0;
    if (this.#gathered.byteLength > MAX_KEPT_BYTES) this.#gathered = new Uint8Array(0);
    post(batch, moved);
  }

  #gather(bytes: Uint8Array): number {
    const end = this.#gatheredBytes + bytes.byteLength;
    if (end > this.#gathered.byteLength) {
      const larger = new Uint8Array(Math.max(INITIAL_GATHERED_BYTES, 2 * end));
      larger.set(this.#gathered.subarray(0, this.#gatheredBytes));
      this.#gathered = larger;
    }
    this.#gathered.set(bytes, this.#gatheredBytes);
    this.#gatheredBytes = end;
    return this.#bytes.push(bytes.byteLength) - 1;
  }
}

/** What goes beside the messages of a batch: each of them names it by its number. */
export interface Attachments {
  readonly bytes: readonly Uint8Array<ArrayBuffer>[];
  readonly texts: readonly string[];
}

/** A batch that came. */
export interface ReceivedBatch extends Attachments {
  readonly messages: readonly Message[];
}

/** Whether a message is a batch. A handler can post messages as well, which mean nothing here. */
export function isBatch(received: unknown): boolean {
  if (!Array.isArray(received) || received.length !== 4 || typeof received[0] !== "string") return false;
  const [, bytes, texts, gathered] = received;
  return Array.isArray(bytes) && Array.isArray(texts) && (gathered === null || gathered instanceof Uint8Array);
}

/** Reads a batch. */
export function readBatch(received: unknown): ReceivedBatch {
  const [json, sentBytes, texts, gathered] = received as SentBatch;
  let start = 0;
  // A copy for each: its owner may give the buffer away.
  const bytes = sentBytes.map((each) =>
    typeof each !== "number" ? each : gathered?.slice(start, start += each) ?? new Uint8Array(0)
  );
  return { messages: JSON.parse(json), bytes, texts };
}
