/**
 * Accepting on Deno: one connection after another.
 *
 * It decides how many it takes in a turn, when it rests and when the listener may close. It must not know what is read
 * and written.
 *
 * @module
 */

import type { TcpAddress, TransportEvents } from "../src/transport.ts";
import { acceptedAll, AcceptQueue, type Dialled } from "./accept_queue.ts";
import { addressOf } from "./addresses.ts";
import { acceptLast, SYSTEM_CALLS, type SystemCalls } from "./listen_filter.ts";

/** After an error of accept; it doubles until one succeeds. */
const MIN_ACCEPT_DELAY_MS = 5;
const MAX_ACCEPT_DELAY_MS = 1_000;
/** How long an acceptor of a shared port leaves the others their turn. */
const TURN_REST_MS = 1;
/** What it takes in a turn at most. */
const MAX_TURN_CONNECTIONS = 64;
/** More than it takes until an accept has settled that did not have to wait. */
const ACCEPT_MICROTASKS = 10;
/** More than it takes until a connect has settled that is over in the same turn. */
const OWN_MICROTASKS = 50;
/** A connection that had to be waited for so long is the first of a burst, if one comes. */
const PAUSE_MS = 10;

/**
 * Settles when the ports of all closed listeners are free: Deno keeps a port until the accept that was under way has
 * failed, a turn or two after close.
 */
let released: Promise<unknown> = Promise.resolve();

/** Waits until the ports of listeners that were closed can be used again. */
export function portsAreFree(): Promise<unknown> {
  return released;
}

/**
 * Accepts connections one after another, and rests when that fails.
 *
 * Acceptors of a shared port take from one queue, and the first that woke would take a whole burst before another did.
 * So each takes one, rests, takes two, rests, and so on in doubling turns, until it has to wait for one again: a burst
 * is dealt out, and a port that is never quiet loses no time.
 */
export class Acceptor {
  readonly #listener: Deno.Listener;
  readonly #onConnection: (conn: Deno.Conn) => void;
  readonly #events: TransportEvents;
  readonly #isShared: boolean;
  readonly #descriptors: number;
  readonly #queue = new AcceptQueue();
  #isAccepting = false;
  #acceptedCount = 0;
  /** Whether no turn is left to others any more, because the listener is about to close. */
  #isHurrying = false;
  /** Once this is set nothing is accepted but what is left in the queue. */
  #rest: Promise<void> | null = null;
  readonly #onAccepted = (conn: Deno.Conn): void => this.#take(conn);
  readonly #onFailure = (cause: unknown): void => this.#fail(cause);
  #accepting: Promise<void> = Promise.resolve();
  #isClosed = false;
  #delayMs = MIN_ACCEPT_DELAY_MS;
  /** When the accept under way began. */
  #begunAtMs = 0;
  /** How many connections this turn has, and how many of them have yet to come. */
  #turnConnections = 1;
  #leftInTurn = 1;

  /**
   * @param listener Where to accept.
   * @param onConnection Takes a connection that is ready.
   * @param events Told of failures.
   * @param isShared Whether other threads accept at the same port.
   * @param descriptors How many there are at the port, of this listener and of those that close with it.
   */
  constructor(
    listener: Deno.Listener,
    onConnection: (conn: Deno.Conn) => void,
    events: TransportEvents,
    isShared: boolean,
    descriptors: number,
  ) {
    this.#isShared = isShared;
    this.#descriptors = descriptors;
    this.#listener = listener;
    this.#onConnection = onConnection;
    this.#events = events;
    prepareForShortage();
  }

  /** Accepts the next connection, and the ones behind it. */
  accept(): void {
    if (this.#isClosed || this.#rest !== null) return;
    if (this.#isShared) this.#begunAtMs = performance.now();
    this.#acceptNow();
  }

  #acceptNow(): void {
    this.#isAccepting = true;
    this.#accepting = this.#listener.accept().then(this.#onAccepted, this.#onFailure);
  }

  /** Accepts what waits to be accepted, then stops. Resolves when the port is free. */
  async closeWhenEmpty(): Promise<void> {
    if (this.#isClosed) return await this.#accepting;
    const address = addressOf(this.#listener.addr);
    const close = (): Promise<void> => this.#rest ??= this.#closeBehindRest();
    const countAccepted = (): number => this.#acceptedCount;
    const { transport } = address;
    if (transport === "tcp" && await acceptLast(openLibrary, address.port, countAccepted, this.#descriptors)) {
      // The filter lets no further connection come.
    } else if (transport === "tcp" && !this.#isShared) {
      await this.#queue.empty({ close, dial, acceptsRest: true }, address);
    } else {
      this.#isHurrying = true;
      await acceptedAll(countAccepted);
    }
    await this.close();
  }

  /**
   * Accepts until nothing is left, and closes then. Deno asks the system within the call of `accept`, and its promise
   * settles within a few microtasks if there was a connection. An accept that waits keeps the listener until Deno looks
   * at it again, behind everything else that is due in this turn; so that is done in a turn of its own.
   */
  async #closeBehindRest(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    while (!this.#isAccepting && !this.#isClosed) {
      this.#acceptNow();
      for (let i = 0; i < ACCEPT_MICROTASKS && this.#isAccepting; i++) await null;
    }
    await this.close();
  }

  /** Stops accepting. Resolves when the port is free. */
  close(): Promise<void> {
    // Deno throws when a listener is closed twice.
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#listener.close();
      released = Promise.all([released, this.#accepting]);
    }
    return this.#accepting;
  }

  #take(conn: Deno.Conn): void {
    this.#isAccepting = false;
    this.#acceptedCount++;
    this.#delayMs = MIN_ACCEPT_DELAY_MS;
    if (this.#queue.isEmptying) {
      this.#queue.hold(addressOf(conn.remoteAddr), () => this.#onConnection(conn), () => closeQuietly(conn));
      this.#goOnLater();
      return;
    }
    this.#onConnection(conn);
    if (this.#isShared && !this.#isHurrying) this.#goOnInTurns();
    else this.accept();
  }

  /** In the same turn it may become known that the connection was our own: then no accept may wait. */
  async #goOnLater(): Promise<void> {
    for (let i = 0; i < OWN_MICROTASKS; i++) await null;
    this.accept();
  }

  #goOnInTurns(): void {
    if (performance.now() - this.#begunAtMs > PAUSE_MS) this.#leftInTurn = this.#turnConnections = 1;
    if (--this.#leftInTurn > 0) {
      this.accept();
      return;
    }
    this.#leftInTurn = this.#turnConnections = Math.min(2 * this.#turnConnections, MAX_TURN_CONNECTIONS);
    setTimeout(() => this.accept(), TURN_REST_MS);
  }

  #fail(cause: unknown): void {
    this.#isAccepting = false;
    if (this.#isClosed) return;
    if (isPeersDoing(cause)) {
      this.accept();
      return;
    }
    this.#events.onAcceptError(cause as Error);
    setTimeout(() => this.accept(), this.#delayMs);
    this.#delayMs = Math.min(2 * this.#delayMs, MAX_ACCEPT_DELAY_MS);
  }
}

/** The calls of a C library. Without permission for it Deno would ask, in a dialogue. */
export function openLibrary(library: string): SystemCalls {
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") throw new Error("It is not permitted.");
  const symbols = Object.entries(SYSTEM_CALLS).map(([name, parameters]) => {
    const types = parameters.map((type) => type === "int" ? "i32" as const : "buffer" as const);
    return [name, { parameters: types, result: "i32" as const }] as const;
  });
  const calls = Deno.dlopen(library, Object.fromEntries(symbols)).symbols as unknown as SystemCalls;
  return {
    ...calls,
    addressOf: (bytes) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>)),
  };
}

/** Connects to a listener of our own. Without permission to do so Deno would ask for it, in a dialogue. */
async function dial({ hostname, port }: TcpAddress): Promise<Dialled> {
  const host = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") throw new Error("It is not permitted.");
  const conn = await Deno.connect({ hostname, port });
  return { address: addressOf(conn.localAddr), close: () => closeQuietly(conn) };
}

let isPrepared = false;

/**
 * Has Deno do now what it does once and, without a descriptor left, ends the whole process over: Deno 2.9 opens a file
 * when the first stack of an error with a frame in this module is read, and a pipe for signals half a second after its
 * start. The stack of an error that `accept` fails with has such a frame.
 */
export function prepareForShortage(): void {
  if (isPrepared) return;
  isPrepared = true;
  void new Error().stack;
  const ignore = (): void => {};
  try {
    // A signal that does nothing where nothing listens to it.
    Deno.addSignalListener("SIGWINCH", ignore);
    Deno.removeSignalListener("SIGWINCH", ignore);
  } catch {
    // The system has no such signal, nor such a shortage.
  }
}

/**
 * Deno's accept fails for a connection that its peer has reset while it waited in line. Only that connection is lost:
 * resting after it would let one client keep all others from being accepted.
 */
function isPeersDoing(cause: unknown): boolean {
  const { NotConnected, ConnectionReset, ConnectionAborted } = Deno.errors;
  return cause instanceof NotConnected || cause instanceof ConnectionReset || cause instanceof ConnectionAborted;
}

/** Deno throws when a connection is closed twice. */
export function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed, which is what was asked for.
  }
}
