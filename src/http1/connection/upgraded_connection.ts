/**
 * A connection that has left HTTP: its bytes, as they come, and as two streams where those are asked for.
 *
 * It decides how the connection ends and keeps what comes before its bytes are taken. It must not know what they mean.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import type { ByteChannel, ByteConnection, ByteReceiver } from "../../exchange/byte_channel.ts";
import { ByteStreams } from "../../exchange/byte_streams.ts";
import type { ExchangeServices } from "../../exchange/exchange.ts";
import type { Address, TransportConnection } from "../../transport.ts";
import { ENDED, IN_UPGRADE, type Lifecycle, UPGRADED } from "./lifecycle.ts";

/** Bytes kept until they are taken, before the transport stops reading. */
const MAX_KEPT_BYTES = 64 * 1024;

/** The connection underneath, which is the one writer of its socket. */
export interface UpgradeOwner {
  readonly services: Pick<ExchangeServices, "streamShare">;
  /** Hands over bytes, which belong to the transport unless they are borrowed. Returns whether the peer keeps up. */
  pass(bytes: Uint8Array, start: number, end: number, areBorrowed: boolean): boolean;
  /** Hands over what still waits of the responses before. Returns whether the peer keeps up. */
  flush(): boolean;
  /** Closes at once. */
  abort(error: TrivetError): void;
  /** FIN was sent, and nothing is read any more: waits for the peer's, not for long. */
  linger(): void;
}

/** The bytes of one connection. */
export class RawConnection implements ByteConnection, ByteChannel {
  readonly remoteAddr: Address;
  readonly localAddr: Address;
  readonly #transport: TransportConnection;
  readonly #owner: UpgradeOwner;
  readonly #life: Lifecycle;
  #receiver: ByteReceiver | null = null;
  #streams: ByteStreams | null = null;
  /** Whether the receiver has been told of what happened before. */
  #isTold = false;
  #kept: Uint8Array<ArrayBuffer>[] = [];
  #keptBytes = 0;
  #peerHasEnded = false;
  #isClosed = false;
  #closeCause: Error | undefined;
  /** FIN is to be sent behind a response that the peer has not taken yet. */
  #isEndDue = false;
  /** Nothing that comes is wanted, or nothing more comes. */
  #isReadingOver = false;

  /**
   * @param transport The connection, whose events its owner passes on from now on.
   * @param remoteAddr The address of the client that has asked for the upgrade.
   * @param owner What sends, behind everything that was sent before.
   * @param life The states of the connection: the end of what is written enters one of them.
   */
  constructor(transport: TransportConnection, remoteAddr: Address, owner: UpgradeOwner, life: Lifecycle) {
    this.#transport = transport;
    this.#owner = owner;
    this.#life = life;
    this.remoteAddr = remoteAddr;
    this.localAddr = transport.localAddress;
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#openStreams().readable;
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#openStreams().writable;
  }

  /** Whether something reads or writes, or is about to. */
  get isHeld(): boolean {
    return this.#streams === null ? this.#receiver !== null : this.#streams.isHeld;
  }

  takeBytes(receiver: ByteReceiver): ByteChannel {
    this.#receiver = receiver;
    this.#life.unboundReading();
    // The bytes that came early are told when the receiver has the channel.
    queueMicrotask(() => this.#tellKept(receiver));
    return this;
  }

  // What is asked of the bytes.

  write(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean {
    return this.#owner.pass(bytes, start, end, false);
  }

  get takesBorrowed(): boolean {
    return true;
  }

  writeBorrowed(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): boolean {
    return this.#owner.pass(bytes, start, end, true);
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  end(): void {
    if (this.#life.writing !== UPGRADED) return;
    this.#isEndDue = !this.#owner.flush();
    if (this.#isEndDue) return;
    this.#life.enter(IN_UPGRADE, ENDED);
    this.#transport.end();
    this.#lingerIfUnused();
  }

  ignore(): void {
    // What still comes is read and dropped, so that the peer's FIN is seen.
    this.#isReadingOver = true;
    this.#lingerIfUnused();
  }

  abort(reason?: unknown): void {
    const error = reason instanceof TrivetError
      ? reason
      : new TrivetError("peer-disconnected", "The handler has aborted the upgraded connection.", { cause: reason });
    this.#owner.abort(error);
  }

  // What the connection tells.

  /** Bytes came, up to `end` of the buffer. */
  push(borrowed: Uint8Array, end = borrowed.byteLength): void {
    if (this.#isReadingOver) return;
    // A part of a Buffer, which is what Bun reads into, is a Buffer too, whose slice() is no copy.
    const bytes = new Uint8Array(borrowed.buffer as ArrayBuffer, borrowed.byteOffset, end);
    if (this.#isTold) {
      this.#receiver!.push(bytes);
      return;
    }
    this.#kept.push(bytes.slice());
    this.#keptBytes += end;
    if (this.#keptBytes > MAX_KEPT_BYTES) this.#transport.pause();
  }

  /** The peer has sent FIN. */
  endReading(): void {
    this.#isReadingOver = true;
    this.#peerHasEnded = true;
    if (this.#isTold) this.#receiver!.ended();
  }

  /** The transport has sent what it held. */
  drained(): void {
    if (this.#isEndDue) this.end();
    else if (this.#isTold) this.#receiver!.drained();
  }

  /** The connection is gone. */
  closed(cause: Error | undefined): void {
    this.#isReadingOver = true;
    this.#isClosed = true;
    this.#closeCause = cause;
    if (this.#isTold) this.#receiver!.closed(cause);
  }

  #openStreams(): ByteStreams {
    if (this.#streams === null) {
      this.#streams = new ByteStreams(this, this.#owner.services.streamShare);
      this.takeBytes(this.#streams);
    }
    return this.#streams;
  }

  #tellKept(receiver: ByteReceiver): void {
    const kept = this.#kept;
    this.#isTold = true;
    if (this.#keptBytes > MAX_KEPT_BYTES && !this.#isClosed) this.#transport.resume();
    this.#kept = [];
    this.#keptBytes = 0;
    for (const bytes of kept) receiver.push(bytes);
    if (this.#peerHasEnded) receiver.ended();
    if (this.#isClosed) receiver.closed(this.#closeCause);
  }

  #lingerIfUnused(): void {
    if (this.#isReadingOver && this.#life.reading === IN_UPGRADE && this.#life.writing === ENDED) this.#owner.linger();
  }
}
