/**
 * Batches: what goes to another thread, and comes from it, in one turn of the event loop.
 *
 * Waking the other thread costs far more than anything that is said to it, so what is said within a turn goes together.
 * It decides how messages are written down, and must not know what they mean.
 *
 * All messages are one JSON string, which all three runtimes clone faster than the arrays it stands for. Bytes go beside
 * it, and so do longer strings, which are cloned in a fraction of the time that it takes to escape them and to read them
 * again; a message names either by its number. Each string arrives as one of its own: who keeps a part of it keeps no
 * more than that.
 *
 * @module
 */

/** A message: its kind, the number of the call it belongs to, and what it says, all of which JSON can write. */
export type Message = readonly [kind: string, callId: number, ...rest: unknown[]];

/** A batch as it is sent. */
export type SentBatch = readonly [json: string, bytes: readonly Uint8Array<ArrayBuffer>[], texts: readonly string[]];

/** Shorter bytes are cloned with the message, which is cheaper than moving their buffer. */
const MIN_MOVED_BYTES = 2048;

/** What waits to be sent to another thread. */
export class OutgoingBatch {
  #messages: Message[] = [];
  #bytes: Uint8Array<ArrayBuffer>[] = [];
  #moved: ArrayBuffer[] = [];
  #texts: string[] = [];

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Adds a message. */
  add(message: Message): void {
    this.#messages.push(message);
  }

  /** Adds bytes that stay the caller's, who may change them at once, and gives the number by which a message names them. */
  attachCopy(bytes: Uint8Array): number {
    return this.attach(new Uint8Array(bytes));
  }

  /** Adds bytes that the caller gives away, and gives the number by which a message names them. */
  attach(bytes: Uint8Array<ArrayBuffer>): number {
    // A buffer can move only once, and with all that is in it.
    if (bytes.byteLength >= MIN_MOVED_BYTES && bytes.byteLength === bytes.buffer.byteLength) {
      this.#moved.push(bytes.buffer);
    }
    return this.#bytes.push(bytes) - 1;
  }

  /** Adds a string, and gives the number by which a message names it. */
  attachText(text: string): number {
    return this.#texts.push(text) - 1;
  }

  /** Sends what waits. */
  send(post: (batch: SentBatch, transfer: ArrayBuffer[]) => void): void {
    const batch: SentBatch = [JSON.stringify(this.#messages), this.#bytes, this.#texts];
    const moved = this.#moved;
    this.#messages = [];
    this.#bytes = [];
    this.#moved = [];
    this.#texts = [];
    post(batch, moved);
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

/** Reads a batch. */
export function readBatch(received: unknown): ReceivedBatch {
  const [json, bytes, texts] = received as SentBatch;
  return { messages: JSON.parse(json), bytes, texts };
}
