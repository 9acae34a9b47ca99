/**
 * A connection that has left HTTP: its bytes as two streams.
 *
 * It decides how stream back-pressure and transport back-pressure meet. It must not know what the bytes mean.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { UpgradedConnection } from "../../api/handler.ts";
import type { Address, TransportConnection } from "../../runtime.ts";
import { ENDED, IN_UPGRADE, type Lifecycle, UPGRADED } from "./lifecycle.ts";

/** Bytes kept for a reader that does not keep up, before the transport stops reading. */
const HIGH_WATER_BYTES = 64 * 1024;

/** The connection underneath, which is the one writer of its socket. */
export interface UpgradeOwner {
  readonly outbound: { appendBytes(bytes: Uint8Array): void };
  /** Hands over what was gathered. Returns whether the peer keeps up. */
  flush(): boolean;
  /** Closes at once. */
  abort(error: TrivetError): void;
  /** FIN was sent, and nothing is read any more: waits for the peer's, not for long. */
  linger(): void;
}

/** Bytes in both directions, with back-pressure. */
export class RawConnection implements UpgradedConnection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly remoteAddr: Address;
  readonly localAddr: Address;
  readonly #transport: TransportConnection;
  readonly #owner: UpgradeOwner;
  readonly #life: Lifecycle;
  #reading: ReadableStreamDefaultController<Uint8Array> | null = null;
  #writing: WritableStreamDefaultController | null = null;
  /** The write that waits for the peer. */
  #pendingWrite: { resolve(): void; reject(error: unknown): void } | null = null;
  #isPaused = false;
  #isEnded = false;

  /**
   * @param transport The connection, whose events its owner passes on from now on.
   * @param owner What sends, behind everything that was sent before.
   * @param life The states of the connection: the writable side ends one of them.
   */
  constructor(transport: TransportConnection, owner: UpgradeOwner, life: Lifecycle) {
    this.#transport = transport;
    this.#owner = owner;
    this.#life = life;
    this.remoteAddr = transport.remoteAddress;
    this.localAddr = transport.localAddress;
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#reading = controller;
      },
      pull: () => this.#resumeReading(),
      cancel: () => {
        // What still comes is thrown away, so that the peer's FIN is seen.
        this.#reading = null;
        this.#resumeReading();
        this.#lingerIfUnused();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }));
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#endWriting(),
      abort: () => {
        this.#writing = null;
        owner.abort(new TrivetError("peer-disconnected", "The handler has aborted the upgraded connection."));
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }));
  }

  /** Whether the handler reads or writes, or is about to. */
  get isHeld(): boolean {
    return this.readable.locked || this.writable.locked;
  }

  /** Bytes came. */
  push(borrowed: Uint8Array): void {
    const reading = this.#reading;
    if (reading === null) return;
    reading.enqueue(borrowed.slice());
    if ((reading.desiredSize ?? 0) > 0 || this.#isPaused) return;
    this.#isPaused = true;
    this.#transport.pause();
  }

  /** The peer has sent FIN. */
  endReading(): void {
    this.#reading?.close();
    this.#reading = null;
  }

  /** The transport has sent what it held. */
  drained(): void {
    this.#pendingWrite?.resolve();
    this.#pendingWrite = null;
  }

  /** The connection is gone. */
  closed(cause: Error | undefined): void {
    const error = new TrivetError("peer-disconnected", "The connection is closed.", { cause });
    if (cause === undefined) this.endReading();
    else this.#reading?.error(error);
    this.#reading = null;
    if (!this.#isEnded) this.#writing?.error(error);
    this.#writing = null;
    this.#pendingWrite?.reject(error);
    this.#pendingWrite = null;
  }

  #write(chunk: Uint8Array): Promise<void> | void {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("An upgraded connection takes chunks of type Uint8Array.");
    // The transport owns what it is given, and the caller may use its buffer again.
    this.#owner.outbound.appendBytes(chunk.slice());
    if (this.#owner.flush()) return;
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { resolve, reject };
    });
  }

  #endWriting(): void {
    this.#isEnded = true;
    if (this.#life.writing !== UPGRADED) return;
    this.#life.enter(IN_UPGRADE, ENDED);
    this.#transport.end();
    this.#lingerIfUnused();
  }

  #lingerIfUnused(): void {
    if (this.#reading === null && this.#life.reading === IN_UPGRADE && this.#life.writing === ENDED) {
      this.#owner.linger();
    }
  }

  #resumeReading(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#transport.resume();
  }
}
