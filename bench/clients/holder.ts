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

const encoder = new TextEncoder();
const REQUEST = encoder.encode("GET /light HTTP/1.1\r\nHost: localhost\r\n\r\n");
/** More bytes than are ever sent of it before the end. */
const SLOW_HEAD = encoder.encode(`GET /light HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"a".repeat(200)}`);
const HEAD_END = encoder.encode("\r\n\r\n");
/** The last bytes of every answer to the handler "hello". */
const ANSWER_END = 0x21;

const [port, kind] = [Number(Deno.args[0]), Deno.args[1]];

/** One connection. */
class Held {
  static ended = 0;
  answered = 0;
  #conn: Deno.TcpConn | null = null;
  readonly #isSlow: boolean;
  #sentBytes = 0;
  #onAnswer: () => void = () => {};

  constructor(isSlow: boolean) {
    this.#isSlow = isSlow;
  }

  get isOpen(): boolean {
    return this.#conn !== null;
  }

  /** Connects, and sends what its kind does first. */
  async open(): Promise<void> {
    try {
      this.#conn = await Deno.connect({ port, hostname: "127.0.0.1" });
    } catch {
      Held.ended++;
      return;
    }
    this.#conn.setNoDelay(true);
    this.#sentBytes = 0;
    this.#read(this.#conn);
    if (kind === "slow") this.trickle();
    else await this.#complete(REQUEST);
  }

  /** Sends one byte more of a head, or begins anew. */
  trickle(): void {
    if (!this.#isSlow) return;
    if (this.#conn !== null) this.#write(SLOW_HEAD.subarray(this.#sentBytes, ++this.#sentBytes));
    else if (kind === "slow") this.open();
  }

  /** Completes a request, and waits for its answer. */
  async finish(): Promise<void> {
    const rest = [...SLOW_HEAD.subarray(this.#sentBytes), ...HEAD_END];
    await this.#complete(this.#isSlow ? new Uint8Array(rest) : REQUEST);
  }

  async #complete(bytes: Uint8Array): Promise<void> {
    if (this.#conn === null) return;
    const answered = new Promise<void>((resolve) => this.#onAnswer = resolve);
    this.#write(bytes);
    await answered;
  }

  #write(bytes: Uint8Array): void {
    const conn = this.#conn!;
    conn.write(bytes).catch(() => this.#end(conn));
  }

  /** Whatever the server says is read to its end. */
  async #read(conn: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(512);
    for (;;) {
      const readBytes = await conn.read(buffer).catch(() => null);
      if (readBytes === null) return this.#end(conn);
      if (buffer[readBytes - 1] !== ANSWER_END) continue;
      this.answered++;
      this.#onAnswer();
    }
  }

  #end(conn: Deno.TcpConn): void {
    if (this.#conn !== conn) return;
    this.#conn = null;
    Held.ended++;
    conn.close();
    this.#onAnswer();
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
    ended: Held.ended,
  };
  console.log(JSON.stringify(report));
}
Deno.exit(0);
