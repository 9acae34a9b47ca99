/**
 * A client that holds thousands of connections, some of which are slow: a request head comes on them byte by byte.
 *
 * Told in lines, it says how its connections stand: `grow N` opens some until there are N, `trickle` begins to send on the
 * slow ones, and `finish` completes every head and waits for the answers. Of `holder.ts <port> half` every other
 * connection is slow, and each has had one request answered; of `holder.ts <port> slow` all are slow from the start, and
 * one that the server has ended is opened anew.
 */

import { obey } from "../servers/launch.ts";
import { get, WireConnection } from "../../test/support/wire_connection.ts";

/** Connections that are open, requests that were answered on each, at least, and how many the server has ended. */
export type HolderReport = Readonly<Record<"open" | "answered" | "ended", number>>;

const LIFETIME_MS = 120_000;
/** Connections that are being opened at the same time, below every backlog of a listener. */
const OPENING_AT_ONCE = 100;
/** Time between two bytes on one slow connection; they send in so many groups, one after another. */
const INTERVAL_MS = 5_000;
const GROUPS = 50;
const REQUEST = get("/");
/** More bytes than are ever sent of it before the end. */
const SLOW_HEAD = get("/", `X-Slow: ${"a".repeat(200)}`).slice(0, -4);

const [port, kind] = [Number(Deno.args[0]), Deno.args[1]];
const all: Held[] = [];
let ended = 0;
let group = 0;

class Held {
  answered = 0;
  connection: WireConnection | null = null;
  /** Of a slow one: its response, which comes early where the server gives it up. */
  #response: Promise<void> = Promise.resolve();
  #sentBytes = 0;
  readonly #isSlow = kind === "slow" || all.length % 2 === 0;

  async open(): Promise<void> {
    this.connection = await WireConnection.open(port).catch(() => null);
    if (this.connection === null) return void ended++;
    if (kind === "half") await this.#ask();
    if (this.#isSlow) this.#response = this.#settle();
    if (kind === "slow") this.trickle();
  }

  trickle(): void {
    if (!this.#isSlow) return;
    if (this.connection !== null) this.connection.send(SLOW_HEAD[this.#sentBytes++]);
    else if (kind === "slow") this.open();
  }

  async finish(): Promise<void> {
    if (!this.#isSlow) return await this.#ask();
    this.connection?.send(`${SLOW_HEAD.slice(this.#sentBytes)}\r\n\r\n`);
    await this.#response;
  }

  async #ask(): Promise<void> {
    this.connection?.send(REQUEST);
    await this.#settle();
  }

  async #settle(): Promise<void> {
    const outcome = await this.connection?.finalResponse(LIFETIME_MS);
    if (outcome?.kind === "answered" && outcome.persists) return void this.answered++;
    this.connection?.close();
    this.connection = null;
    this.#sentBytes = 0;
    ended++;
  }
}

function trickle(): void {
  setInterval(() => {
    for (let i = group; i < all.length; i += GROUPS) all[i].trickle();
    group = (group + 1) % GROUPS;
  }, INTERVAL_MS / GROUPS);
}

function report(): HolderReport {
  const open = all.filter(({ connection }) => connection !== null).length;
  return { open, answered: Math.min(...all.map(({ answered }) => answered)), ended };
}

if (kind === "slow") trickle();
obey({
  async grow(count) {
    await Promise.all(Array.from({ length: OPENING_AT_ONCE }, async () => {
      while (all.length < Number(count)) {
        const held = new Held();
        all.push(held);
        await held.open();
      }
    }));
    return report();
  },
  trickle() {
    trickle();
    return report();
  },
  async finish() {
    await Promise.all(all.map((held) => held.finish()));
    return report();
  },
}, LIFETIME_MS);
