/**
 * Closing a listener without losing a connection that its client takes for established.
 *
 * The system completes handshakes by itself and puts connections into a queue; closing the listener resets what is in
 * it. It hands them out in order. So a connection of our own to the listener's address shows, as soon as it is
 * accepted, that everything before it was. What comes between that and the close is still lost, so that a moment is
 * chosen in which little time passes between them: on a busy event loop another one is tried first. What is accepted
 * meanwhile is held back until it is known whose it is, since the port of our own is often told only after that.
 *
 * Where several listeners share a port, nothing tells which of them a connection comes to, and at a Unix domain socket
 * none has an address: those close when nothing is accepted any more.
 *
 * It decides when the queue is empty and the listener may close. It must not know any runtime's sockets.
 *
 * @module
 */

import type { Clock } from "../src/runtime.ts";
import type { Address, TcpAddress } from "../src/transport.ts";
import { systemTime } from "./clock.ts";

/** A connection of our own to the listener. */
export interface Dialled {
  /** The address of our end, which is that of the peer for the listener. */
  readonly address: Address;
  close(): void;
}

/** How a listener is dialled and closed. */
export interface QueueOwner {
  /** Connects to this address; may fail. */
  dial(address: TcpAddress): Promise<Dialled>;
  /** Closes the listener. Calling it again changes nothing. */
  close(): void | Promise<void>;
  /**
   * Whether `close` first accepts what came behind a connection of our own. Else the runtime has accepted all there was
   * in one go, and little time may have passed since.
   */
  readonly acceptsRest: boolean;
}

/** What this needs of a clock. */
type Time = Pick<Clock, "nowMs" | "after">;

/** An accepted connection of which it is not known yet whose it is. */
interface Held {
  readonly peer: string;
  readonly acceptedAtMs: number;
  readonly open: () => void;
  readonly discard: () => void;
}

/**
 * How a round of dialling has ended: a connection of our own was accepted, but too long ago; or none was, or none made.
 */
type Outcome = "closed" | "too-late" | "missed" | "failed";

/** How long emptying takes at most. */
export const EMPTYING_LIMIT_MS = 500;
/** The queue is empty when nothing was accepted in so many times QUIET_MS, the first of which may end before a look. */
const QUIET_TURNS = 3;
const QUIET_MS = 2;
/** How long one round of dialling is waited for: the queue may be full. */
export const ROUND_MS = 25;
/** What may pass between accepting and closing; the bound doubles each MOMENT_DOUBLES_MS that emptying takes. */
const MOMENT_MS = 0.05;
const MOMENT_DOUBLES_MS = 40;

/** Empties the queue of a listener before it closes. */
export class AcceptQueue {
  /** Whether what is accepted has to be held back; else it is opened at once. */
  isEmptying = false;
  readonly #held: Held[] = [];
  /** The peers of our own connections that are to be accepted yet, those of earlier rounds included. */
  readonly #expected = new Set<string>();
  /** Connections of our own that are being made; what is accepted meanwhile may be one of them. */
  #dialling = 0;
  /** Connections of our own that were not seen in their round: as long as they are open, the listener can name them. */
  readonly #missed: Dialled[] = [];
  #onSeen: (held: Held | null) => void = () => {};
  readonly #time: Time;

  /** @param time The clock, which a test may replace. */
  constructor(time: Time = systemTime) {
    this.#time = time;
  }

  /**
   * Holds an accepted connection back while the queue is being emptied.
   *
   * @param address Its peer's address.
   * @param open Opens it for the core.
   * @param discard Closes it, which the core has never heard of.
   */
  hold(address: Address, open: () => void, discard: () => void): void {
    const peer = nameOf(address);
    if (this.#expected.delete(peer)) {
      discard();
      this.#onSeen(null);
    } else {
      this.#held.push({ peer, acceptedAtMs: this.#time.nowMs(), open, discard });
    }
  }

  /**
   * Closes a listener when everything was accepted that was in its queue. Resolves then, or when the time is over.
   */
  async empty(owner: QueueOwner, address: TcpAddress): Promise<void> {
    const beganAtMs = this.#time.nowMs();
    let failures = 0;
    this.isEmptying = true;
    while (failures < 2) {
      const elapsedMs = this.#time.nowMs() - beganAtMs;
      if (elapsedMs > EMPTYING_LIMIT_MS) break;
      const momentMs = MOMENT_MS * 2 ** (elapsedMs / MOMENT_DOUBLES_MS);
      const outcome = await this.#tryRound(owner, reachable(address, failures), momentMs);
      if (outcome === "closed") break;
      if (outcome === "failed") failures++;
    }
    await owner.close();
    // A connection of our own that is named only now must not be opened as a client's, which a stop would count.
    for (const untilMs = this.#time.nowMs() + ROUND_MS; this.#dialling > 0 && this.#time.nowMs() < untilMs;) {
      await rest(this.#time);
    }
    this.isEmptying = false;
    for (const missed of this.#missed) missed.close();
    this.#openHeld();
  }

  /** Dials, and closes the listener if one of our own connections was accepted just now. */
  #tryRound(owner: QueueOwner, address: TcpAddress, momentMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      let dialled: Dialled | null = null;
      let isOver = false;
      const end = (outcome: Outcome): void => {
        if (isOver) return;
        isOver = true;
        if (outcome === "closed") owner.close();
        else if (this.#dialling === 0) this.#openHeld();
        timer.cancel();
        if (dialled !== null) this.#letGo(dialled);
        resolve(outcome);
      };
      this.#onSeen = (held) => {
        end(owner.acceptsRest || this.#isRecent(held, momentMs) ? "closed" : "too-late");
      };
      const timer = this.#time.after(ROUND_MS, () => end("missed"));
      this.#dialling++;
      owner.dial(address).then((made) => {
        this.#dialling--;
        const isLate = isOver;
        dialled = made;
        this.#expect(nameOf(made.address));
        // A round that is over does not let it go any more.
        if (isLate) this.#letGo(made);
      }, () => {
        this.#dialling--;
        end("failed");
      });
    });
  }

  /** Closes a connection of our own, unless it is to be accepted yet. */
  #letGo(own: Dialled): void {
    if (this.isEmptying && this.#expected.has(nameOf(own.address))) this.#missed.push(own);
    else own.close();
  }

  /** A connection of our own is established; it may have been accepted already. */
  #expect(peer: string): void {
    const at = this.#held.findIndex((held) => held.peer === peer);
    if (at < 0) {
      this.#expected.add(peer);
      return;
    }
    const [held] = this.#held.splice(at, 1);
    this.#onSeen(held);
    held.discard();
  }

  /**
   * Whether it was accepted just now. One that was expected (`null`) does not count: others may be behind it in its
   * turn.
   */
  #isRecent(held: Held | null, momentMs: number): boolean {
    return held !== null && this.#time.nowMs() - held.acceptedAtMs < momentMs;
  }

  #openHeld(): void {
    for (const { open } of this.#held.splice(0)) open();
  }
}

/**
 * Resolves when nothing is accepted any more: so much time has passed without a connection, in which the event loop has
 * turned several times unless it is busy.
 *
 * @param countAccepted How many connections were accepted so far.
 * @param time The clock, which a test may replace.
 */
export async function acceptedAll(countAccepted: () => number, time: Time = systemTime): Promise<void> {
  const untilMs = time.nowMs() + EMPTYING_LIMIT_MS;
  for (let before = -1; before < countAccepted() && time.nowMs() < untilMs;) {
    before = countAccepted();
    for (let i = 0; i < QUIET_TURNS; i++) await rest(time);
  }
}

/** Deno turns without looking at sockets while something is due at once, so that this waits for a timer. */
function rest(time: Time): Promise<void> {
  return new Promise((resolve) => void time.after(QUIET_MS, resolve));
}

/** Every address of the machine has one that can be connected to. Without IPv4 it is the second that is tried. */
export function reachable({ transport, hostname, port }: TcpAddress, failures = 0): TcpAddress {
  if (hostname !== "0.0.0.0" && hostname !== "::") return { transport, hostname, port };
  return { transport, hostname: hostname === "::" && failures > 0 ? "::1" : "127.0.0.1", port };
}

function nameOf(address: Address): string {
  return address.transport === "tcp" ? `${address.hostname} ${address.port}` : "";
}
