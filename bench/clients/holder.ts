/**
 * A client that holds thousands of connections: half of them idle, half of them slow.
 *
 * Each has had one request answered when the first line is printed. From "trickle" on the slow ones send one byte of a
 * request head every now and then. With "finish" the slow ones complete their heads and the idle ones ask again, and all
 * wait for their answer. It says what it did in lines of JSON, and ends when its standard input ends.
 *
 * Usage: `holder.ts <port> <connections>`
 *
 * @module
 */

/** How many connections have been answered, and how many were closed by the server. */
export interface HolderReport {
  readonly answered: number;
  readonly closed: number;
}

const LIFETIME_MS = 120_000;
/** Connections that are being opened at the same time, below every backlog of a listener. */
const OPENING_AT_ONCE = 100;
/** Time between two bytes on one slow connection. */
const TRICKLE_INTERVAL_MS = 2_000;
/** The slow connections send in this many groups, one after another. */
const GROUPS = 20;

const encoder = new TextEncoder();
const REQUEST = encoder.encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
/** More bytes than are ever sent of it before the end. */
const SLOW_HEAD = encoder.encode(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"a".repeat(200)}`);
const HEAD_END = encoder.encode("\r\n\r\n");
/** The last bytes of every answer. */
const ANSWER_END = 0x21;

/** One connection. */
class Held {
  answered = 0;
  isClosed = false;
  readonly #conn: Deno.TcpConn;
  readonly #buffer = new Uint8Array(512);
  #sentBytes = 0;
  #onAnswer: () => void = () => {};

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    conn.setNoDelay(true);
    this.#read();
  }

  /** Sends bytes that complete a request, and waits for its answer. */
  async complete(bytes: Uint8Array): Promise<void> {
    if (this.isClosed) return;
    const answered = new Promise<void>((resolve) => this.#onAnswer = resolve);
    await this.#conn.write(bytes).catch(() => this.#close());
    await answered;
  }

  /** Sends one byte more of a head. */
  trickle(): void {
    if (this.isClosed) return;
    this.#conn.write(SLOW_HEAD.subarray(this.#sentBytes, ++this.#sentBytes)).catch(() => this.#close());
  }

  /** What is missing of the head. */
  get rest(): Uint8Array {
    return new Uint8Array([...SLOW_HEAD.subarray(this.#sentBytes), ...HEAD_END]);
  }

  async #read(): Promise<void> {
    for (;;) {
      const readBytes = await this.#conn.read(this.#buffer).catch(() => null);
      if (readBytes === null) return this.#close();
      if (this.#buffer[readBytes - 1] !== ANSWER_END) continue;
      this.answered++;
      this.#onAnswer();
    }
  }

  #close(): void {
    this.isClosed = true;
    this.#onAnswer();
  }
}

async function openAll(port: number, count: number): Promise<Held[]> {
  const all: Held[] = [];
  let begun = 0;
  const openNext = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      const held = new Held(await Deno.connect({ port, hostname: "127.0.0.1" }));
      all.push(held);
      await held.complete(REQUEST);
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openNext));
  return all;
}

function report(all: readonly Held[], times: number): void {
  const answered = all.filter((held) => held.answered === times).length;
  const closed = all.filter(({ isClosed }) => isClosed).length;
  console.log(JSON.stringify({ answered, closed } satisfies HolderReport));
}

async function main(port: number, count: number): Promise<void> {
  setTimeout(() => Deno.exit(1), LIFETIME_MS);
  const all = await openAll(port, count);
  const slow = all.filter((_, index) => index % 2 === 0);
  const idle = all.filter((_, index) => index % 2 === 1);
  report(all, 1);
  let group = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    if (line === "trickle\n") {
      timer = setInterval(() => {
        for (let i = group; i < slow.length; i += GROUPS) slow[i].trickle();
        group = (group + 1) % GROUPS;
      }, TRICKLE_INTERVAL_MS / GROUPS);
      report(all, 1);
    } else if (line === "finish\n") {
      clearInterval(timer);
      await Promise.all([
        ...slow.map((held) => held.complete(held.rest)),
        ...idle.map((held) => held.complete(REQUEST)),
      ]);
      report(all, 2);
    }
  }
  Deno.exit(0);
}

await main(Number(Deno.args[0]), Number(Deno.args[1]));
