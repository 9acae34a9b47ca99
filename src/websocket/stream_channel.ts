/**
 * The bytes of an upgraded connection that has nothing but streams, as on threads.
 *
 * It decides when the streams are read and what their ends mean. It must not know what the bytes are.
 *
 * @module
 */

import type { UpgradedConnection } from "../api/handler.ts";
import type { ByteChannel, ByteReceiver } from "../exchange/byte_channel.ts";

/**
 * What may be written ahead. A stream takes each chunk by itself and says so later, which tells
 * nothing of the peer: only one for which this much waited has taken something when it has left.
 */
const MAX_UNTAKEN_BYTES = 64 * 1024;

/** Reads and writes the streams of one connection. */
export class StreamChannel implements ByteChannel {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #receiver: ByteReceiver;
  readonly #onRead = (result: ReadableStreamReadResult<Uint8Array>): void => this.#take(result);
  readonly #onFailure = (cause: unknown): void => this.#close(cause);
  #isPaused = false;
  #isReading = false;
  #hasPeerEnded = false;
  /** The end was asked for; it comes when everything before it was taken. */
  #isEnding = false;
  #hasEnded = false;
  #isClosed = false;
  /** Bytes of writes that are not taken yet. */
  #untakenBytes = 0;
  #owesDrain = false;

  /**
   * @param connection The connection, of which nothing else reads or writes.
   * @param receiver Is told from now on.
   */
  constructor(connection: UpgradedConnection, receiver: ByteReceiver) {
    this.#reader = connection.readable.getReader();
    this.#writer = connection.writable.getWriter();
    this.#receiver = receiver;
    this.#writer.closed.then(() => this.#outputEnded(), this.#onFailure);
    this.#read();
  }

  get takesBorrowed(): boolean {
    return false;
  }

  writeBorrowed(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean {
    return this.write(bytes.slice(start, end), 0, end - start);
  }

  write(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean {
    const chunk = start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end);
    // Counted before the stream has it, which may give the buffer away.
    const { byteLength } = chunk;
    this.#untakenBytes += byteLength;
    this.#writer.write(chunk).then(() => this.#written(byteLength), this.#onFailure);
    if (this.#untakenBytes <= MAX_UNTAKEN_BYTES) return true;
    this.#owesDrain = true;
    return false;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#read();
  }

  end(): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#owesDrain = false;
    this.#writer.close().catch(this.#onFailure);
  }

  ignore(): void {
    this.#isPaused = false;
    this.#reader.cancel().catch(ignore);
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#writer.abort().catch(ignore);
    this.#reader.cancel().catch(ignore);
    // Told later, as everything is.
    Promise.resolve().then(() => this.#close(undefined));
  }

  #read(): void {
    if (this.#isReading || this.#isPaused || this.#hasPeerEnded || this.#isClosed) return;
    this.#isReading = true;
    this.#reader.read().then(this.#onRead, this.#onFailure);
  }

  #take({ done, value }: ReadableStreamReadResult<Uint8Array>): void {
    this.#isReading = false;
    if (this.#isClosed) return;
    if (done) {
      this.#hasPeerEnded = true;
      this.#receiver.ended();
      this.#closeIfOver();
      return;
    }
    this.#receiver.push(value as Uint8Array<ArrayBuffer>);
    this.#read();
  }

  #written(bytes: number): void {
    this.#untakenBytes -= bytes;
    if (this.#untakenBytes > 0 || !this.#owesDrain || this.#isClosed) return;
    this.#owesDrain = false;
    this.#receiver.drained();
  }

  #outputEnded(): void {
    this.#hasEnded = true;
    this.#closeIfOver();
  }

  #closeIfOver(): void {
    if (this.#hasEnded && this.#hasPeerEnded) this.#close(undefined);
  }

  #close(cause: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#writer.abort(cause).catch(ignore);
    this.#reader.cancel(cause).catch(ignore);
    this.#receiver.closed(cause instanceof Error ? cause : undefined);
  }
}

function ignore(): void {}
