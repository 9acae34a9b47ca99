/** How the queue of a listener is emptied where the system can't be told to leave new clients unanswered. */

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import {
  acceptedAll,
  AcceptQueue,
  type Dialled,
  EMPTYING_LIMIT_MS,
  type QueueOwner,
  reachable,
  ROUND_MS,
} from "../../runtime/accept_queue.ts";
import type { TcpAddress } from "../../src/transport.ts";
import { createRandom } from "../support/random.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const LISTENER: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 8000 };
const OWN: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 50_001 };
const CLIENT: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 50_002 };

/** Empties a queue in which a client is, and tells what was done, and how long it took. */
async function empty(dial: Dial): Promise<{ done: string[]; tookMs: number }> {
  const clock = new VirtualClock();
  const queue = new AcceptQueue(clock);
  const done: string[] = [];
  const accept = (peer: TcpAddress): void => {
    const name = peer === OWN ? "own" : "client";
    const open = (): void => void done.push(`${name} opened`);
    if (queue.isEmptying) queue.hold(peer, open, () => void done.push(`${name} discarded`));
    else open();
  };
  let isClosed = false;
  const close = (): void => {
    if (!isClosed) done.push("closed");
    isClosed = true;
  };
  let tookMs = NaN;
  const owner: QueueOwner = { acceptsRest: true, close, dial: () => dial(accept, clock) };
  queue.empty(owner, LISTENER).then(() => {
    tookMs = clock.nowMs();
    accept(CLIENT);
  });
  await clock.advance(EMPTYING_LIMIT_MS + 2 * ROUND_MS);
  return { done, tookMs };
}

type Dial = (accept: (peer: TcpAddress) => void, clock: VirtualClock) => Promise<Dialled>;

describe("emptying the queue of a listener", () => {
  const made: Dialled = { address: OWN, close: () => {} };

  test("closes it when a connection of its own was accepted, which the core does not hear of", async () => {
    const { done } = await empty((accept) => {
      accept(CLIENT);
      accept(OWN);
      return Promise.resolve(made);
    });
    assert.deepEqual(done, ["closed", "own discarded", "client opened", "client opened"]);
  });

  test("knows its own also when it is accepted after it was made", async () => {
    const { done } = await empty((accept, clock) => {
      accept(CLIENT);
      clock.after(1, () => accept(OWN));
      return Promise.resolve(made);
    });
    assert.deepEqual(done.toSorted(), ["client opened", "client opened", "closed", "own discarded"]);
  });

  test("knows its own also when it is accepted after its round is over", async () => {
    let dialledCount = 0;
    const { done } = await empty((accept, clock) => {
      if (dialledCount++ > 0) return new Promise(() => {});
      clock.after(2 * ROUND_MS, () => accept(OWN));
      return Promise.resolve(made);
    });
    assert.deepEqual(done, ["own discarded", "closed", "client opened"]);
  });

  test("knows its own also when it is told of it after its round is over", async () => {
    let dialledCount = 0;
    const { done } = await empty((accept, clock) => {
      if (dialledCount++ > 0) return Promise.resolve({ address: CLIENT, close: () => {} });
      accept(OWN);
      return new Promise((resolve) => void clock.after(2 * ROUND_MS, () => resolve(made)));
    });
    assert.deepEqual(done.toSorted(), ["client opened", "closed", "own discarded"]);
  });

  test("closes it all the same when it can't be connected to, and opens what came", async () => {
    const { done } = await empty((accept) => {
      accept(CLIENT);
      return Promise.reject(new Error("It is not permitted."));
    });
    assert.deepEqual(done.filter((each) => each === "closed").length, 1);
    assert.deepEqual(done.filter((each) => each === "client opened").length, 3);
  });

  test("closes it when the time is over in which none of its own was accepted", async () => {
    const { done, tookMs } = await empty(() => Promise.resolve(made));
    assert.deepEqual(done, ["closed", "client opened"]);
    assert.ok(tookMs > EMPTYING_LIMIT_MS && tookMs <= EMPTYING_LIMIT_MS + ROUND_MS, `${tookMs} ms`);
  });
});

/** A connection in the system's queue: of a client, or our own one. */
interface Peer {
  readonly address: TcpAddress;
  readonly isOwn: boolean;
  acceptedAtMs: number;
  openedAtMs: number;
  opened: number;
  discarded: number;
  /** When the one that dialled was told of it, and how often it has closed it. */
  toldAtMs: number;
  closed: number;
}

/** Whose a connection is that was closed before it was accepted can't be told any more. */
const UNKNOWN: TcpAddress = { transport: "tcp", hostname: "", port: 0 };

/** A listener, the queue that the system keeps for it, and clients, which come at random. */
class Play {
  readonly clock = new VirtualClock();
  readonly queue: AcceptQueue = new AcceptQueue(this.clock);
  readonly peers: Peer[] = [];
  /** Those that were accepted, in order, and clients in the order in which the core heard of them. */
  readonly accepted: Peer[] = [];
  readonly opened: Peer[] = [];
  readonly lost: Peer[] = [];
  failures = 0;
  longestDialMs = 0;
  /** When the last dialling was over. */
  dialledAtMs = 0;
  beganAtMs = NaN;
  closedAtMs = NaN;
  endedAtMs = NaN;
  #waiting: Peer[] = [];
  readonly #random: (below: number) => number;
  readonly #acceptsRest: boolean;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    this.#acceptsRest = this.#random(2) === 0;
  }

  /** Whether the listener closes behind what the system has still in its queue. */
  get acceptsRest(): boolean {
    return this.#acceptsRest;
  }

  async run(): Promise<void> {
    for (let i = this.#random(20); i > 0; i--) this.#at(this.#random(600), () => this.#join(false));
    this.#turnIn([0.5, 1, 8, 40][this.#random(4)]);
    await this.clock.advance(this.#random(10));
    this.beganAtMs = this.clock.nowMs();
    const owner: QueueOwner = {
      acceptsRest: this.#acceptsRest,
      close: () => this.#close(),
      dial: () => this.#dial(),
    };
    this.queue.empty(owner, LISTENER).then(() => this.endedAtMs = this.clock.nowMs());
    await this.clock.advance(EMPTYING_LIMIT_MS + 8 * ROUND_MS);
  }

  #at(delayMs: number, act: () => void): void {
    this.clock.after(delayMs, act);
  }

  get #isClosed(): boolean {
    return !Number.isNaN(this.closedAtMs);
  }

  /** The event loop of the listener turns. */
  #turnIn(ms: number): void {
    this.#at(ms, () => {
      if (this.#isClosed) return;
      this.#acceptAll();
      this.#turnIn(ms);
    });
  }

  #acceptAll(): void {
    for (const peer of this.#waiting.splice(0)) {
      peer.acceptedAtMs = this.clock.nowMs();
      this.accepted.push(peer);
      const open = (): void => {
        peer.opened++;
        peer.openedAtMs = this.clock.nowMs();
        this.opened.push(peer);
      };
      const name = peer.closed > 0 ? UNKNOWN : peer.address;
      if (this.queue.isEmptying) this.queue.hold(name, open, () => void peer.discarded++);
      else open();
    }
  }

  #close(): void {
    if (this.#isClosed) return;
    if (this.#acceptsRest) this.#acceptAll();
    this.closedAtMs = this.clock.nowMs();
    this.lost.push(...this.#waiting.splice(0));
  }

  #join(isOwn: boolean): Peer {
    const address = { ...LISTENER, port: 50_000 + this.peers.length };
    const never = { acceptedAtMs: NaN, openedAtMs: NaN, toldAtMs: NaN, opened: 0, discarded: 0, closed: 0 };
    const peer = { address, isOwn, ...never };
    this.peers.push(peer);
    if (!this.#isClosed) this.#waiting.push(peer);
    return peer;
  }

  #dial(): Promise<Dialled> {
    assert.ok(!this.#isClosed, "a listener that is closed is not dialled");
    const handshakeMs = [0, 0, 1, 30][this.#random(4)];
    const toldMs = handshakeMs + [0, 0.5, 3, 40][this.#random(4)];
    const fails = this.#random(30) === 0;
    this.longestDialMs = Math.max(this.longestDialMs, toldMs);
    this.dialledAtMs = Math.max(this.dialledAtMs, this.clock.nowMs() + toldMs);
    return new Promise((resolve, reject) => {
      let peer: Peer;
      this.#at(handshakeMs, () => {
        if (!fails) peer = this.#join(true);
      });
      this.#at(toldMs, () => {
        if (fails) {
          this.failures++;
          reject(new Error("It is not permitted."));
          return;
        }
        peer.toldAtMs = this.clock.nowMs();
        resolve({ address: peer.address, close: () => void peer.closed++ });
      });
    });
  }
}

describe("whatever clients and dialling do, a listener that closes when its queue is empty", () => {
  const plays = Array.from({ length: 150 }, (_, seed) => new Play(seed));
  before(async () => {
    for (const play of plays) await play.run();
  });
  const judge = (what: string, holds: (play: Play) => boolean): void => {
    test(what, () => {
      assert.deepEqual(plays.flatMap((play, seed) => holds(play) ? [] : [seed]), [], "by their seeds");
    });
  };

  judge("closes, and leaves nothing behind", ({ endedAtMs, closedAtMs, clock }) => {
    const limitMs = EMPTYING_LIMIT_MS + ROUND_MS + 10;
    return closedAtMs <= limitMs && endedAtMs <= closedAtMs + ROUND_MS + 2 && clock.pendingCount === 0;
  });
  judge("opens every client that was accepted, once, in the order in which they came", ({ accepted, opened }) => {
    const clients = accepted.filter(({ isOwn }) => !isOwn);
    return clients.every((client, i) => client === opened.filter(({ isOwn }) => !isOwn)[i] && client.opened === 1) &&
      clients.every(({ discarded }) => discarded === 0);
  });
  judge("holds none back that came before, and others for no longer than it takes to know whose they are", (play) => {
    return play.opened.every(({ acceptedAtMs, openedAtMs }) => {
      if (acceptedAtMs < play.beganAtMs) return openedAtMs === acceptedAtMs;
      return play.longestDialMs >= ROUND_MS || openedAtMs <= acceptedAtMs + ROUND_MS;
    });
  });
  judge("waits for nothing when it has closed and no dialling was under way", (play) => {
    return play.dialledAtMs >= play.closedAtMs || play.endedAtMs === play.closedAtMs;
  });
  judge("opens no connection of its own, as long as it is told soon whose it is", ({ peers, closedAtMs }) => {
    return peers.every(({ isOwn, opened, toldAtMs }) => !isOwn || opened === 0 || toldAtMs > closedAtMs + ROUND_MS);
  });
  judge("lets go of every connection of its own on both sides, once", ({ peers }) => {
    return peers.every(({ isOwn, opened, acceptedAtMs, discarded, toldAtMs, closed }) => {
      if (!isOwn) return true;
      const wasAccepted = !Number.isNaN(acceptedAtMs);
      return (Number.isNaN(toldAtMs) || closed === 1) && opened + discarded === (wasAccepted ? 1 : 0);
    });
  });
  judge("loses none that came before the connection of its own which it saw last", ({ lost, peers, accepted }) => {
    const lastOwn = accepted.findLast(({ isOwn }) => isOwn);
    return lastOwn === undefined || lost.every((peer) => peers.indexOf(peer) > peers.indexOf(lastOwn));
  });
  judge("closes before the time is over only where it has seen one of its own", (play) => {
    const { closedAtMs, failures, accepted } = play;
    return closedAtMs >= EMPTYING_LIMIT_MS || failures >= 2 || accepted.some(({ isOwn }) => isOwn);
  });
  judge("closes, where it loses what is behind its own, in the moment in which that was accepted", (play) => {
    const { acceptsRest, closedAtMs, failures, accepted } = play;
    if (acceptsRest || closedAtMs >= 100 || failures >= 2) return true;
    const lastOwn = accepted.findLast(({ isOwn }) => isOwn);
    return lastOwn !== undefined && closedAtMs - lastOwn.acceptedAtMs < 1;
  });
  test("does all of that in these plays", () => {
    const count = (holds: (play: Play) => boolean): number => plays.filter(holds).length;
    const counts = {
      early: count(({ acceptsRest, closedAtMs }) => acceptsRest && closedAtMs < EMPTYING_LIMIT_MS),
      "in the moment": count((play) => !play.acceptsRest && play.failures < 2 && play.closedAtMs < 100),
      late: count(({ closedAtMs }) => closedAtMs >= EMPTYING_LIMIT_MS),
      failed: count(({ failures }) => failures >= 2),
      lost: count(({ lost }) => lost.some(({ isOwn }) => !isOwn)),
    };
    for (const [what, plays] of Object.entries(counts)) assert.ok(plays > 0, `${what}: ${JSON.stringify(counts)}`);
  });
});

describe("a listener whose own connections can't be told from others closes", () => {
  /** How long it takes, where connections are accepted so long after each other, so many of them. */
  const wait = async (gapMs: number, count: number): Promise<number> => {
    const clock = new VirtualClock();
    let accepted = 0;
    for (let i = 0; i < count; i++) clock.after(gapMs * (i + 1), () => accepted++);
    let tookMs = NaN;
    acceptedAll(() => accepted, clock).then(() => tookMs = clock.nowMs());
    await clock.advance(2 * EMPTYING_LIMIT_MS);
    return tookMs;
  };

  test("when none was accepted in three turns of 2 ms", async () => {
    assert.equal(await wait(0, 0), 6);
    assert.equal(await wait(7, 1), 6, "what comes later is not waited for");
  });

  test("only behind the last of those that come in quick succession", async () => {
    assert.equal(await wait(5, 1), 12);
    assert.equal(await wait(5, 10), 60);
  });

  test("when the time is over, however many come", async () => {
    assert.equal(await wait(5, 200), 504);
  });
});

describe("a listener at every address", () => {
  test("is reached at this machine's own, by IPv4 first", () => {
    const at = (hostname: string, failures: number): string =>
      reachable({ transport: "tcp", hostname, port: 1 }, failures).hostname;
    assert.deepEqual([at("::", 0), at("::", 1), at("0.0.0.0", 0), at("0.0.0.0", 1)], [
      "127.0.0.1",
      "::1",
      "127.0.0.1",
      "127.0.0.1",
    ]);
    assert.equal(at("192.0.2.1", 0), "192.0.2.1");
  });
});
