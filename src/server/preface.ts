/**
 * Which protocol is spoken on a connection that was just accepted.
 *
 * It decides that by what was negotiated and, where that does not tell, by the first bytes; before that a connection is
 * counted by no address, and no model hears of it. What waits here counts in the total limit, has the time of a head, and
 * ends with the server. It must not know what protocols do.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Observer } from "../exchange/observer.ts";
import type { Address, TransportConnection, TransportEvents } from "../runtime.ts";
import type { Admission } from "./admission.ts";
import type { HeldConnection, OpenConnections } from "./open_connections.ts";
import type { Reports } from "./reports.ts";

/** Speaks one protocol: makes the connection that takes the events of a transport. */
export type Speaker = (transport: TransportConnection) => HeldConnection;

/**
 * Says who speaks on a connection, or `null` when it takes more bytes to tell.
 *
 * @param transport The connection.
 * @param bytes All that has come so far; they are given to the connection once it is decided.
 */
export type ProtocolChoice = (transport: TransportConnection, bytes: Uint8Array) => Speaker | null;

/** What must suffice for a choice: the longest header of the PROXY protocol has 536 bytes, the preface of HTTP/2 has 24. */
const MAX_PREFACE_BYTES = 4 * 1024;
const NO_BYTES = new Uint8Array(0);

/** What the preface works with. */
export interface PrefaceParts {
  readonly choose: ProtocolChoice;
  readonly open: OpenConnections;
  readonly admission: Admission;
  readonly clock: CoarseClock;
  /** For the bytes that it takes to tell; 0 is for ever. */
  readonly headersTimeoutMs: number;
  readonly reports: Reports;
  readonly observer: Observer | null;
}

/** Takes the events of a listener, and passes those of a connection on to who speaks on it. */
export class Preface implements TransportEvents {
  readonly #parts: PrefaceParts;

  /** @param parts What it works with. */
  constructor(parts: PrefaceParts) {
    this.#parts = parts;
  }

  onOpen(transport: TransportConnection): void {
    const { choose, open, admission } = this.#parts;
    admission.acceptedCount++;
    const speaker = choose(transport, NO_BYTES);
    if (speaker !== null) this.#begin(transport, speaker(transport), null);
    else open.add(transport.session = new UndecidedConnection(transport, this.#parts, this));
  }

  onData(transport: TransportConnection, borrowed: Uint8Array): void {
    transport.session?.onData(borrowed);
  }

  onDrain(transport: TransportConnection): void {
    transport.session?.onDrain();
  }

  onEnd(transport: TransportConnection): void {
    transport.session?.onEnd();
  }

  onClose(transport: TransportConnection, cause?: Error): void {
    transport.session?.onClose(cause);
  }

  onAcceptError(cause: Error): void {
    this.#parts.reports.report(
      new TrivetError("accept-failed", "A connection could not be accepted; accepting goes on.", { cause }),
    );
  }

  /** It is decided who speaks, and `bytes` have come by then. */
  decided(undecided: UndecidedConnection, transport: TransportConnection, speaker: Speaker, bytes: Uint8Array): void {
    const connection = speaker(transport);
    this.#begin(transport, connection, undecided);
    connection.onData(bytes);
  }

  #begin(transport: TransportConnection, connection: HeldConnection, undecided: UndecidedConnection | null): void {
    const { open, admission, observer } = this.#parts;
    transport.session = connection;
    open.add(connection);
    if (undecided !== null) open.remove(undecided);
    if (observer !== null) observer.connectionOpened(connection);
    admission.admit(connection);
  }
}

/** A connection on which nothing can be said yet, so that whatever ends it ends it without a word. */
class UndecidedConnection implements HeldConnection {
  placeAmongOpen = 0;
  placeInLine = 0;
  readonly wasRefused = false;
  readonly activity = "idle";
  readonly #transport: TransportConnection;
  readonly #parts: PrefaceParts;
  readonly #preface: Preface;
  readonly #deadlineMs: number;
  #buffer = NO_BYTES;
  #keptBytes = 0;
  #isGone = false;

  constructor(transport: TransportConnection, parts: PrefaceParts, preface: Preface) {
    this.#transport = transport;
    this.#parts = parts;
    this.#preface = preface;
    this.#deadlineMs = parts.clock.deadlineAfter(parts.headersTimeoutMs);
  }

  get remoteAddress(): Address {
    return this.#transport.remoteAddress;
  }

  get isBusy(): boolean {
    return this.#keptBytes > 0;
  }

  onData(borrowed: Uint8Array): void {
    if (this.#isGone) return;
    const bytes = this.#keptBytes === 0 ? borrowed : this.#keep(borrowed);
    const speaker = this.#parts.choose(this.#transport, bytes);
    if (speaker !== null) {
      this.#isGone = true;
      this.#preface.decided(this, this.#transport, speaker, bytes);
    } else if (bytes.byteLength > MAX_PREFACE_BYTES) {
      this.#close();
    } else if (this.#keptBytes === 0) {
      this.#keep(borrowed);
    }
  }

  onDrain(): void {}

  onEnd(): void {
    this.#close();
  }

  onClose(): void {
    this.#leave();
  }

  tick(): void {
    if (this.#parts.clock.nowMs >= this.#deadlineMs) this.#close();
  }

  drain(closesIdle: boolean): void {
    if (closesIdle && !this.isBusy) this.#close();
  }

  abort(): void {
    this.#close();
  }

  // No model has it yet.

  serve(): void {}

  refuse(): void {}

  answerRefusal(): void {}

  giveUp(): boolean {
    return false;
  }

  /** Keeps what has come, and gives all that was kept. */
  #keep(borrowed: Uint8Array): Uint8Array {
    const keptBytes = this.#keptBytes + borrowed.byteLength;
    if (keptBytes > this.#buffer.byteLength) {
      const larger = new Uint8Array(Math.max(keptBytes, 2 * this.#buffer.byteLength));
      larger.set(this.#buffer.subarray(0, this.#keptBytes));
      this.#buffer = larger;
    }
    this.#buffer.set(borrowed, this.#keptBytes);
    this.#keptBytes = keptBytes;
    return this.#buffer.subarray(0, keptBytes);
  }

  #close(): void {
    this.#leave();
    this.#transport.abort();
  }

  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#parts.open.remove(this);
  }
}
