/**
 * A client that holds thousands of connections, some of which are slow: a request head comes on them byte by byte.
 *
 * It is told what to do in lines, and says in a line of JSON how its connections stand when it is done. "grow N" opens
 * connections until there are N. "trickle" begins to send on the slow ones, from then on; "finish" completes every head
 * and waits for the answers. It ends when its standard input does, and after its lifetime in any case.
 *
 * Usage: `holder.ts <port> half|slow`: of the first kind every other connection is slow, and each has had one request
 * answered; of the second kind all are slow from the start, and one that the server has ended is opened anew.
 *
 * @module
 */

import { WireConnection } from "./wire_connection.ts";

/** How the connections stand. */
export interface HolderReport {
  readonly open: number;
  /** Requests that were answered on each connection, at least. */
  readonly answered: number;
  /** How many the server has ended since the start. */
  readonly ended: number;
}

const LIFETIME_MS = 120_000;
/** Connections that are being opened at the same time, below every backlog of a listener. */
const OPENING_AT_ONCE = 100;
/** Time between two bytes on one slow connection. */
const INTERVAL_MS = 5_000;
/** They send in this many groups, one after another. */
const GROUPS = 50;
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/** More bytes than are ever sent of it before the end. */
const SLOW_HEAD = `GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"a".repeat(200)}`;

const [port, kind] = [Number(Deno.args[0]), Deno.args[1]];
let ended = 0;

/** One connection. */
class Held {
  answered = 0;
  #connection: WireConnection | null = null;
  /** Of a slow one: its response, which comes early where the server gives it up. */
  #response: Promise<void> = Promise.resolve();
  #sentBytes = 0;
  readonly #isSlow: boolean;

  constructor(isSlow: boolean) {
    this.#isSlow = isSlow;
  }

  get isOpen(): boolean {
    return this.#connection !== null;
  }

  /** Connects, and sends what its kind does first. */
  async open(): Promise<void> {
    try {
      this.#connection = await WireConnection.open(port);
    } catch {
      ended++;
      return;
    }
    if (kind === "half") await this.#ask();
    if (this.#isSlow) this.#response = this.#settle();
    if (kind === "slow") this.trickle();
  }

  /** Sends one byte more of a head, or begins anew. */
  trickle(): void {
    if (!this.#isSlow) return;
    if (this.#connection !== null) this.#connection.send(SLOW_HEAD[this.#sentBytes++]);
    else if (kind === "slow") this.open();
  }

  /** Completes a request, and waits for its answer. */
  async finish(): Promise<void> {
    if (!this.#isSlow) return await this.#ask();
    this.#connection?.send(`${SLOW_HEAD.slice(this.#sentBytes)}\r\n\r\n`);
    await this.#response;
  }

  async #ask(): Promise<void> {
    this.#connection?.send(REQUEST);
    await this.#settle();
  }

  /** Waits for a response, and sees whether the connection is left. */
  async #settle(): Promise<void> {
    const outcome = await this.#connection?.finalResponse(LIFETIME_MS);
    if (outcome?.kind === "answered" && outcome.persists) return void this.answered++;
    this.#connection?.close();
    this.#connection = null;
    this.#sentBytes = 0;
    ended++;
  }
}

const all: Held[] = [];

async function grow(count: number): Promise<void> {
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, async () => {
    while (all.length < count) {
      const held = new Held(kind === "slow" || all.length % 2 === 0);
      all.push(held);
      await held.open();
    }
  }));
}

let group = 0;
function trickle(): void {
  setInterval(() => {
    for (let i = group; i < all.length; i += GROUPS) all[i].trickle();
    group = (group + 1) % GROUPS;
  }, INTERVAL_MS / GROUPS);
}

setTimeout(() => Deno.exit(1), LIFETIME_MS);
if (kind === "slow") trickle();
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const [command, count] = text.trim().split(" ");
  if (command === "grow") await grow(Number(count));
  else if (command === "trickle") trickle();
  else await Promise.all(all.map((held) => held.finish()));
  const report: HolderReport = {
    open: all.filter(({ isOpen }) => isOpen).length,
    answered: Math.min(...all.map(({ answered }) => answered)),
    ended,
  };
  console.log(JSON.stringify(report));
}
Deno.exit(0);
