/**
 * What a connection begins with, before it is decided which protocol is spoken on it.
 *
 * It decides that by what was negotiated and, where that does not tell, by the first bytes. Before that come the header
 * of a proxy and the TLS handshake, where the server has them. Until it is decided a connection is counted by no
 * address, and no model hears of it; it counts in the total limit, each part has a deadline, and it ends with the
 * server. It must not know what protocols do.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Warnings } from "../api/warnings.ts";
import { AcceptedConnection } from "../exchange/accepted_connection.ts";
import type { CoarseClock } from "../exchange/coarse_clock.ts";
import type { Observer } from "../exchange/observer.ts";
import type { TrustedPeers } from "../exchange/trusted_peers.ts";
import type { Address, TransportConnection, TransportEvents } from "../transport.ts";
import { StateTable } from "../states.ts";
import type { Admission } from "./admission.ts";
import type { HeldConnection, OpenConnections } from "./open_connections.ts";
import { readProxyHeader } from "./proxy_header.ts";
import type { Reports } from "./reports.ts";

/**
 * Speaks one protocol: makes the connection that takes the events of a transport.
 *
 * @param transport The connection.
 * @param source For whom a proxy has opened it, by the PROXY protocol; `null` where that is its peer.
 */
export type Speaker = (transport: TransportConnection, source: Address | null) => HeldConnection;

/**
 * Says which protocol speaks on a connection, or `null` when it takes more bytes to tell.
 *
 * @param transport The connection.
 * @param bytes All that has come so far; they are given to the connection once it is decided.
 */
export type ProtocolChoice = (transport: TransportConnection, bytes: Uint8Array) => Speaker | null;

/** What must suffice for a choice: the preface of HTTP/2 has 24. The header of a proxy has a bound of its own. */
const MAX_CHOICE_BYTES = 4 * 1024;
/**
 * How long the header of a proxy may take. It comes with the first segment; a lost one is sent again within three
 * seconds.
 */
const PROXY_HEADER_TIMEOUT_MS = 5_000;
/** How long a TLS handshake may take: two round trips, on the slowest of lines. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
const NO_BYTES = new Uint8Array(0);

/** How far the beginning of a connection has come. */
type Beginning = "accepted" | "header" | "handshake" | "choice" | "decided" | "closed";

/** The states of a beginning. */
export const BEGINNING_STATES: StateTable<Beginning> = new StateTable<Beginning>("a beginning", "accepted", {
  accepted: {
    header: "its peer is a proxy that is trusted, and has to say for whom it speaks",
    handshake: "the server speaks TLS",
    choice: "the first bytes have to tell the protocol",
    closed: "its peer is no proxy that is trusted, where only those may come",
  },
  header: {
    handshake: "the header has come, and the server speaks TLS",
    choice: "the header has come",
    closed: "what comes is no header, or does not come in time",
  },
  handshake: {
    choice: "the handshake is done",
    closed: "it has failed, or takes too long",
  },
  choice: {
    decided: "it is known which protocol speaks",
    closed: "it takes too many bytes to tell, or too long",
  },
  decided: {},
  closed: {},
});

/** What the preface works with. */
export interface PrefaceParts {
  readonly choose: ProtocolChoice;
  /** Who may connect, where every connection begins with the header of a proxy. */
  readonly proxies: TrustedPeers | null;
  readonly isTls: boolean;
  readonly open: OpenConnections;
  readonly admission: Admission;
  readonly clock: CoarseClock;
  /** How long the bytes that tell the protocol may take. It bounds the other deadlines too; 0 is for ever. */
  readonly headersTimeoutMs: number;
  /** Open connections; 0 is no bound. */
  readonly maxConnections: number;
  readonly reports: Reports;
  readonly warnings: Warnings;
  readonly observer: Observer | null;
}

/** Takes the events of a listener, and passes those of a connection on to the protocol that speaks on it. */
export class Preface implements TransportEvents {
  readonly #parts: PrefaceParts;
  /** Whether a connection begins with something else than its protocol. */
  readonly #hasPrologue: boolean;
  /** Connections whose protocol is undecided, in the order in which they came; others are among them until a purge. */
  #undecided: UndecidedConnection[] = [];
  #oldest = 0;
  /** How many of them are undecided. */
  undecidedNow = 0;

  /** @param parts What it works with. */
  constructor(parts: PrefaceParts) {
    this.#parts = parts;
    this.#hasPrologue = parts.isTls || parts.proxies !== null;
  }

  onOpen(transport: TransportConnection): void {
    const { choose, open, admission } = this.#parts;
    admission.acceptedCount++;
    const speaker = this.#hasPrologue ? null : choose(transport, NO_BYTES);
    if (speaker !== null) {
      this.#begin(transport, speaker(transport, null), null);
      return;
    }
    const undecided = new UndecidedConnection(transport, this.#parts, this);
    transport.session = undecided;
    open.add(undecided);
    this.#remember(undecided);
    this.#makeRoom(admission.surplus);
    undecided.begin();
  }

  onSecure(transport: TransportConnection): void {
    (transport.session as UndecidedConnection).onSecure();
  }

  onData(transport: TransportConnection, borrowed: Uint8Array, end: number): void {
    transport.session?.onData(borrowed, end);
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

  /** It is decided which protocol speaks. */
  decided(undecided: UndecidedConnection, transport: TransportConnection, connection: HeldConnection): void {
    this.#begin(transport, connection, undecided);
  }

  #begin(transport: TransportConnection, connection: HeldConnection, undecided: UndecidedConnection | null): void {
    const { open, admission, observer } = this.#parts;
    transport.session = connection;
    open.add(connection);
    if (undecided !== null) open.remove(undecided);
    if (observer !== null) observer.connectionOpened(connection);
    this.#makeRoom(0);
    admission.admit(connection);
  }

  #remember(undecided: UndecidedConnection): void {
    if (this.#undecided.length >= 2 * this.#parts.open.count + MIN_REMEMBERED) {
      this.#undecided = this.#undecided.slice(this.#oldest).filter((each) => !each.isOver);
      this.#oldest = 0;
    }
    this.#undecided.push(undecided);
    this.undecidedNow++;
  }

  /**
   * Clients that open connections and say nothing must not keep others out: where there are too many connections, the
   * one that has had the most time to begin makes room. Some more than may be served are let begin, to be told that
   * they are refused; silence has at most half of the places.
   */
  #makeRoom(surplus: number): void {
    const { open, maxConnections } = this.#parts;
    if (maxConnections === 0) return;
    const isTooMany = (): boolean =>
      open.servedCount > maxConnections + surplus || this.undecidedNow > Math.ceil(maxConnections / 2);
    while (this.#oldest < this.#undecided.length && isTooMany()) {
      this.#undecided[this.#oldest++].giveWay();
    }
  }
}

/** The list of those that have not begun is gone through when it is longer than this, and twice what is open. */
const MIN_REMEMBERED = 64;

/** A connection on which nothing can be said yet, so that whatever ends it ends it without a word. */
class UndecidedConnection extends AcceptedConnection implements HeldConnection {
  readonly activity = "idle";
  readonly #parts: PrefaceParts;
  readonly #preface: Preface;
  #beginning: Beginning = BEGINNING_STATES.initial;
  #deadlineMs = Infinity;
  #buffer = NO_BYTES;
  #keptBytes = 0;

  constructor(transport: TransportConnection, parts: PrefaceParts, preface: Preface) {
    super(transport, null);
    this.#parts = parts;
    this.#preface = preface;
  }

  /** Whether it has become another connection, or is gone. */
  get isOver(): boolean {
    return this.#beginning === "decided" || this.#beginning === "closed";
  }

  /** The connection was accepted. */
  begin(): void {
    const { proxies } = this.#parts;
    if (proxies === null) {
      this.#goOn(NO_BYTES);
    } else if (proxies.includes(this.transport.remoteAddress)) {
      this.#enter("header", PROXY_HEADER_TIMEOUT_MS);
    } else {
      this.#reject("It does not come from a proxy that the option proxyProtocol.from names.");
    }
  }

  get isBusy(): boolean {
    return this.#keptBytes > 0;
  }

  onData(borrowed: Uint8Array, end: number): void {
    const bytes = this.#gather(borrowed.subarray(0, end));
    if (this.#beginning === "header") this.#takeHeader(bytes);
    else this.#choose(bytes);
  }

  onSecure(): void {
    this.#enter("choice", this.#parts.headersTimeoutMs);
    this.#choose(NO_BYTES);
  }

  onDrain(): void {}

  onEnd(): void {
    this.#close();
  }

  onClose(cause: Error | undefined): void {
    if (this.#beginning === "handshake") this.#countFailedHandshake(cause);
    this.#leave();
  }

  tick(): void {
    if (this.#parts.clock.nowMs < this.#deadlineMs) return;
    if (this.#beginning === "header") this.#reject("No PROXY header has come in time.");
    if (this.#beginning === "handshake") this.#countFailedHandshake(undefined);
    this.#close();
  }

  drain(closesIdle: boolean): void {
    // Of a request nothing was understood yet.
    if (closesIdle) this.#close();
  }

  abort(): void {
    this.#close();
  }

  /** There are too many connections, and this one has had the most time. */
  giveWay(): void {
    this.#close();
  }

  // The model, which would call these, has not heard of the connection yet.

  serve(): void {}

  refuse(): void {}

  answerRefusal(): void {}

  giveUp(): boolean {
    return false;
  }

  #takeHeader(bytes: Uint8Array): void {
    try {
      const header = readProxyHeader(bytes);
      if (header === null) return;
      this.source = header.source;
      const rest = bytes.subarray(header.byteLength);
      // What is kept is what was not understood yet.
      this.#keptBytes = 0;
      this.#goOn(rest);
    } catch (error) {
      if (!(error instanceof TrivetError)) throw error;
      this.#reject(error.message);
    }
  }

  /** On to what follows the header of a proxy, of which `rest` has come. */
  #goOn(rest: Uint8Array): void {
    if (this.#parts.isTls) {
      this.#enter("handshake", HANDSHAKE_TIMEOUT_MS);
      this.transport.startTls(rest);
    } else {
      this.#enter("choice", this.#parts.headersTimeoutMs);
      this.#choose(this.#gather(rest));
    }
  }

  #choose(bytes: Uint8Array): void {
    const speaker = this.#parts.choose(this.transport, bytes);
    if (speaker !== null) {
      this.#enter("decided", 0);
      const connection = speaker(this.transport, this.source);
      this.#preface.decided(this, this.transport, connection);
      if (bytes.byteLength > 0) connection.onData(bytes, bytes.byteLength);
    } else if (bytes.byteLength > MAX_CHOICE_BYTES) {
      this.#close();
    }
  }

  /** All that has come and was not understood yet. */
  #gather(borrowed: Uint8Array): Uint8Array {
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

  /** A proxy that does not do as it should is for the operator to mend. */
  #reject(why: string): void {
    const { reports, warnings } = this.#parts;
    reports.count(new TrivetError("proxy-header-invalid", why));
    const peer = this.transport.remoteAddress;
    const where = peer.transport === "tcp" ? peer.hostname : "the Unix domain socket";
    warnings.warn("proxy-header-invalid", `A connection from ${where} was closed. ${why}`);
    this.#close();
  }

  #countFailedHandshake(cause: Error | undefined): void {
    this.#parts.reports.count(new TrivetError("tls-handshake-failed", "A TLS handshake has failed.", { cause }));
  }

  #enter(beginning: Beginning, timeoutMs: number): void {
    const { clock, headersTimeoutMs } = this.#parts;
    this.#beginning = BEGINNING_STATES.enter(this.#beginning, beginning);
    const boundMs = headersTimeoutMs === 0 ? timeoutMs : Math.min(timeoutMs, headersTimeoutMs);
    this.#deadlineMs = clock.deadlineAfter(boundMs);
    if (this.isOver) this.#preface.undecidedNow--;
  }

  #close(): void {
    if (this.isOver) return;
    this.#leave();
    this.transport.abort();
  }

  #leave(): void {
    if (this.isOver) return;
    this.#enter("closed", 0);
    this.#parts.open.remove(this);
  }
}
