/**
 * Ways for a batch from one thread to another, to be measured against each other.
 *
 * Each takes batches as `src/threads/batch.ts` makes them and gives them at the other end. Both ends are made alike, from
 * the same shared memory.
 *
 * @module
 */

import type { SentBatch } from "../../src/threads/batch.ts";
import { maxFrameBytes, readFrame, writeFrame } from "./frame.ts";

/** How an end sends a message the usual way; what comes that way is given to {@linkcode TransportEnd.take}. */
export type Post = (message: unknown, transfer: ArrayBuffer[]) => void;

/** One end. */
export interface TransportEnd {
  send(batch: SentBatch, transfer: ArrayBuffer[]): void;
  /** Takes a message that came the usual way. */
  take(message: unknown): void;
}

/** What an end is made of. */
export interface EndOptions {
  readonly side: 0 | 1;
  /** Of {@linkcode SHARED_BYTES}: a ring for each direction. */
  readonly shared: SharedArrayBuffer;
  readonly post: Post;
  readonly onBatch: (batch: SentBatch) => void;
}

/** The names of the ways, with what each does. */
export const TRANSPORTS = {
  "messages": "a JSON text, with strings and bytes beside it; larger buffers are moved",
  "cloned": "the same, and no buffer is moved",
  "moved": "all of a batch in one buffer, which is moved",
  "ring-wait": "a ring in shared memory, whose reader sleeps in Atomics.waitAsync",
  "ring-bell": "a ring in shared memory, and a message that wakes the reader if it sleeps",
} as const;

export type TransportName = keyof typeof TRANSPORTS;

/** Bytes of one ring: more than is ever under way. */
const RING_BYTES = 16 * 1024 * 1024;
/** In front of each ring: how far it was written, how far it was read, whether the reader sleeps. */
const STATE_BYTES = 64;
export const SHARED_BYTES = 2 * (STATE_BYTES + RING_BYTES);
const WRITTEN = 0;
const READ = 1;
const SLEEPS = 2;
/** In place of a frame: the next one is at the beginning of the ring. */
const SKIP = -1;
const BELL = 0;

/** Makes one end of a way. */
export function createTransport(name: TransportName, options: EndOptions): TransportEnd {
  switch (name) {
    case "messages":
      return new MessageEnd(options, true);
    case "cloned":
      return new MessageEnd(options, false);
    case "moved":
      return new MovedEnd(options);
    case "ring-wait":
      return new WaitingRingEnd(options);
    case "ring-bell":
      return new BellRingEnd(options);
  }
}

class MessageEnd implements TransportEnd {
  readonly #options: EndOptions;
  readonly #moves: boolean;

  constructor(options: EndOptions, moves: boolean) {
    this.#options = options;
    this.#moves = moves;
  }

  send(batch: SentBatch, transfer: ArrayBuffer[]): void {
    this.#options.post(batch, this.#moves ? transfer : []);
  }

  take(message: unknown): void {
    this.#options.onBatch(message as SentBatch);
  }
}

class MovedEnd implements TransportEnd {
  readonly #options: EndOptions;

  constructor(options: EndOptions) {
    this.#options = options;
  }

  send(batch: SentBatch): void {
    const buffer = new ArrayBuffer(maxFrameBytes(batch));
    writeFrame(batch, new Uint8Array(buffer), new Int32Array(buffer), 0);
    this.#options.post(buffer, [buffer]);
  }

  take(message: unknown): void {
    const buffer = message as ArrayBuffer;
    this.#options.onBatch(readFrame(new Uint8Array(buffer), new Int32Array(buffer), 0));
  }
}

/** One direction of shared memory. Positions are counted modulo 2 ** 32, of which the size is a divisor. */
class Ring {
  readonly state: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(shared: SharedArrayBuffer, index: number) {
    const start = index * (STATE_BYTES + RING_BYTES);
    this.state = new Int32Array(shared, start, STATE_BYTES / 4);
    this.#bytes = new Uint8Array(shared, start + STATE_BYTES, RING_BYTES);
    this.#words = new Int32Array(shared, start + STATE_BYTES, RING_BYTES / 4);
  }

  write(batch: SentBatch): void {
    let position = this.state[WRITTEN];
    let at = position & RING_BYTES - 1;
    const maxBytes = maxFrameBytes(batch);
    if (at + maxBytes > RING_BYTES) {
      // The rest of the ring is too short for it.
      this.#words[at / 4] = SKIP;
      position = position + RING_BYTES - at | 0;
      at = 0;
    }
    // Nobody who measures lets so much be under way. A ring for use would have to wait here.
    if ((position + maxBytes - Atomics.load(this.state, READ) | 0) > RING_BYTES) throw new Error("The ring is full.");
    const frameBytes = writeFrame(batch, this.#bytes, this.#words, at);
    Atomics.store(this.state, WRITTEN, position + frameBytes | 0);
  }

  /** Gives every batch that was written. Returns whether there was one. */
  drain(onBatch: (batch: SentBatch) => void): boolean {
    const written = Atomics.load(this.state, WRITTEN);
    let position = this.state[READ];
    if (position === written) return false;
    while (position !== written) {
      const at = position & RING_BYTES - 1;
      const first = this.#words[at / 4];
      if (first !== SKIP) onBatch(readFrame(this.#bytes, this.#words, at));
      position = position + (first === SKIP ? RING_BYTES - at : first) | 0;
      Atomics.store(this.state, READ, position);
    }
    return true;
  }
}

/** The reader waits for a change of the position behind what was written. */
class WaitingRingEnd implements TransportEnd {
  readonly #options: EndOptions;
  readonly #out: Ring;
  readonly #in: Ring;

  constructor(options: EndOptions) {
    this.#options = options;
    this.#out = new Ring(options.shared, options.side);
    this.#in = new Ring(options.shared, 1 - options.side);
    this.#run();
  }

  send(batch: SentBatch): void {
    this.#out.write(batch);
    Atomics.notify(this.#out.state, WRITTEN);
  }

  take(): void {}

  async #run(): Promise<void> {
    const { state } = this.#in;
    while (true) {
      this.#in.drain(this.#options.onBatch);
      const waited = Atomics.waitAsync(state, WRITTEN, state[READ]);
      if (waited.async) await waited.value;
    }
  }
}

/** The reader looks again at the end of each turn in which there was something, and sleeps when there was nothing. */
class BellRingEnd implements TransportEnd {
  readonly #options: EndOptions;
  readonly #out: Ring;
  readonly #in: Ring;

  constructor(options: EndOptions) {
    this.#options = options;
    this.#out = new Ring(options.shared, options.side);
    this.#in = new Ring(options.shared, 1 - options.side);
    Atomics.store(this.#in.state, SLEEPS, 1);
  }

  send(batch: SentBatch): void {
    this.#out.write(batch);
    if (Atomics.exchange(this.#out.state, SLEEPS, 0) === 1) this.#options.post(BELL, []);
  }

  take(): void {
    this.#in.drain(this.#options.onBatch);
    setImmediate(() => {
      if (this.#in.drain(this.#options.onBatch)) this.take();
      else this.#sleep();
    });
  }

  #sleep(): void {
    const { state } = this.#in;
    Atomics.store(state, SLEEPS, 1);
    // What was written just before rang no bell.
    if (Atomics.load(state, WRITTEN) !== state[READ] && Atomics.exchange(state, SLEEPS, 0) === 1) this.take();
  }
}
