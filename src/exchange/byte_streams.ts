/**
 * The bytes of a connection that has left HTTP as two streams.
 *
 * It decides how stream back-pressure and that of the bytes meet. It must not know what the bytes
 * mean, nor what carries them.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { TurnShare } from "../web/turn_share.ts";
import type { ByteChannel, ByteReceiver } from "./byte_channel.ts";

/** Bytes kept for a reader that does not keep up, before the peer is not read any more. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Two streams over the bytes of one connection. */
export class ByteStreams implements ByteReceiver {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #channel: ByteChannel;
  readonly #share: TurnShare;
  #reading: ReadableStreamDefaultController<Uint8Array> | null = null;
  #writing: WritableStreamDefaultController | null = null;
  /** The write that waits for the peer. */
  #pendingWrite: { resolve(): void; reject(error: unknown): void } | null = null;
  #isPaused = false;
  #isEnded = false;

  /**
   * @param channel The bytes, which tell this receiver of themselves.
   * @param share How much of a turn writing may take.
   */
  constructor(channel: ByteChannel, share: TurnShare) {
    this.#channel = channel;
    this.#share = share;
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#reading = controller;
      },
      pull: () => this.#resume(),
      cancel: () => {
        this.#reading = null;
        this.#resume();
        channel.ignore();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }));
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
        // The stream itself waits for a write that is under way, and that may wait for a peer that takes nothing.
        controller.signal.addEventListener("abort", () => {
          this.#writing = null;
          channel.abort(controller.signal.reason);
        });
      },
      write: (chunk) => this.#write(chunk),
      close: () => {
        this.#isEnded = true;
        channel.end();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }));
  }

  /** Whether something reads or writes, or is about to. */
  get isHeld(): boolean {
    return this.readable.locked || this.writable.locked;
  }

  push(borrowed: Uint8Array): void {
    const reading = this.#reading;
    if (reading === null) return;
    reading.enqueue(borrowed.slice());
    if ((reading.desiredSize ?? 0) > 0 || this.#isPaused) return;
    this.#isPaused = true;
    this.#channel.pause();
  }

  ended(): void {
    this.#reading?.close();
    this.#reading = null;
  }

  drained(): void {
    this.#pendingWrite?.resolve();
    this.#pendingWrite = null;
  }

  closed(cause: Error | undefined): void {
    const error = new TrivetError("peer-disconnected", "The connection is closed.", { cause });
    if (cause === undefined) this.ended();
    else this.#reading?.error(error);
    this.#reading = null;
    if (!this.#isEnded) this.#writing?.error(error);
    this.#writing = null;
    this.#pendingWrite?.reject(error);
    this.#pendingWrite = null;
  }

  #write(chunk: Uint8Array): Promise<void> | void {
    if (!(chunk instanceof Uint8Array)) {
      throw new TypeError(`An upgraded connection takes chunks of type Uint8Array, got ${typeof chunk}.`);
    }
    // What carries the bytes owns what it is given, and the caller may use its buffer again. A
    // chunk may be a Buffer, whose slice() is no copy.
    if (this.#channel.write(new Uint8Array(chunk), 0, chunk.byteLength)) {
      return this.#share.take() ? undefined : new Promise((resolve) => this.#share.wait(resolve));
    }
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { resolve, reject };
    });
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#channel.resume();
  }
}
