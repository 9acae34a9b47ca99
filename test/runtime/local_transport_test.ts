/** A connection within the process keeps the contract of `src/transport.ts`. */

import { describe } from "node:test";
import type { TransportEvents } from "../../src/transport.ts";
import { type LocalClient, LocalConnection } from "../../src/server/local/local_connection.ts";
import { decodeLatin1, latin1 } from "../support/parse_requests.ts";
import { testTransport, type TransportHarness, type TransportPeer } from "./transport_rules.ts";

/** Far more turns of the event loop than anything in memory takes. */
const MAX_TURNS = 10_000;
/** What a client that does not read takes, before the transport is congested. */
const HIGH_WATER_BYTES = 16 * 1024;

describe("the transport within the process", () =>
  testTransport({ listen, congestingBytes: 1 << 20, systemBytes: 0, canReset: true, canCutOff: false }));

function listen(events: TransportEvents): TransportHarness {
  const peers: Peer[] = [];
  return {
    connect() {
      const peer = new Peer(events);
      peers.push(peer);
      peer.connection.open();
      return Promise.resolve(peer);
    },
    close() {
      for (const { connection } of peers) connection.reset();
    },
  };
}

class Peer implements TransportPeer, LocalClient {
  readonly connection: LocalConnection;
  #received = "";
  #takenBytes = 0;
  /** What came while it did not read; it is lost with the connection. */
  #waiting = "";
  #reads = true;
  #hasEnded = false;
  #isClosed = false;

  constructor(events: TransportEvents) {
    const told: TransportEvents = {
      onOpen: (connection) => events.onOpen(connection),
      onSecure: (connection) => events.onSecure(connection),
      onData: (connection, borrowed, end) => events.onData(connection, borrowed, end),
      onDrain: (connection) => events.onDrain(connection),
      onEnd: (connection) => events.onEnd(connection),
      onClose: (connection, cause) => {
        this.#isClosed = true;
        events.onClose(connection, cause);
      },
      onAcceptError: (cause) => events.onAcceptError(cause),
    };
    const address = { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const;
    this.connection = new LocalConnection(told, this, address, (callback) => void setImmediate(callback));
  }

  onBytes(bytes: Uint8Array): boolean {
    const text = decodeLatin1(bytes, 0, bytes.byteLength);
    if (this.#reads) this.#received += text;
    else this.#waiting += text;
    return this.#waiting.length <= HIGH_WATER_BYTES;
  }

  onEnd(): void {
    this.#hasEnded = true;
  }

  send(content: string): void {
    this.connection.send(latin1(content));
  }

  async receive(byteLength: number): Promise<string> {
    await until(() => this.#received.length - this.#takenBytes >= byteLength);
    return this.#take(byteLength);
  }

  async receiveAll(): Promise<string> {
    await until(() => this.#hasEnded);
    return this.#take(Infinity);
  }

  sawReset(): boolean {
    return false;
  }

  closed(): Promise<void> {
    return until(() => this.#isClosed);
  }

  pause(): void {
    this.#reads = false;
  }

  resume(): void {
    this.#reads = true;
    if (!this.#isClosed) this.#received += this.#waiting;
    this.#waiting = "";
    this.connection.wantsMore();
  }

  end(): void {
    this.connection.endOfClient();
  }

  reset(): void {
    this.connection.reset();
  }

  #take(byteLength: number): string {
    const taken = this.#received.slice(this.#takenBytes, this.#takenBytes + byteLength);
    this.#takenBytes += taken.length;
    return taken;
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; !isTrue(); turn++) {
    if (turn === MAX_TURNS) throw new Error(`Nothing came within ${MAX_TURNS} turns of the event loop.`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
