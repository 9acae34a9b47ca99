/**
 * The client's end of a real connection, byte by byte.
 *
 * It decides nothing about HTTP: it sends what it is told and keeps what came. Every wait has a deadline, and its error
 * shows what had been received by then. It uses node:net on every runtime, so that one client judges all servers alike.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import net from "node:net";
import tls from "node:tls";

/** Where to connect, and how. */
export interface RawClientOptions {
  /** The TCP port. */
  readonly port?: number;
  /** The host, `127.0.0.1` by default. */
  readonly hostname?: string;
  /** Set, connects to this Unix domain socket and not to a port. */
  readonly unixPath?: string;
  /** Set, speaks TLS; in PEM. */
  readonly tls?: {
    /** The authority that has signed the server's certificate. */
    readonly ca: string;
    /** The client's own certificate and its key, where the server asks for them. */
    readonly cert?: string;
    readonly key?: string;
  };
  /** How long connecting may take, 5,000 by default. */
  readonly deadlineMs?: number;
}

/** How far a connection has come, as the client sees it. */
export type RawClientState = "open" | "half-closed" | "closed";

const DEFAULT_DEADLINE_MS = 20_000;
/** How much of what came an error shows. */
const SHOWN_CHARS = 2_000;

interface Wait {
  isOver(): boolean;
  end(): void;
}

/** One connection to a server. Made by {@linkcode connectRaw}. */
export class RawClient {
  readonly #socket: net.Socket;
  readonly #chunks: Uint8Array[] = [];
  readonly #waits = new Set<Wait>();
  #receivedBytes = 0;
  #hasPeerEnded = false;
  #isClosed = false;
  #cause: Error | null = null;
  readonly #reader: { pause(): void; resume(): void };

  /**
   * @param socket A socket that is connected.
   * @param reader What reads from the system.
   */
  constructor(socket: net.Socket, reader: { pause(): void; resume(): void } = socket) {
    this.#socket = socket;
    this.#reader = reader;
    socket.on("data", (bytes: Uint8Array) => {
      this.#chunks.push(new Uint8Array(bytes));
      this.#receivedBytes += bytes.byteLength;
      this.#look();
    });
    socket.on("end", () => {
      this.#hasPeerEnded = true;
      this.#look();
    });
    socket.on("error", (cause) => this.#cause = cause);
    socket.on("close", () => {
      this.#isClosed = true;
      this.#look();
    });
  }

  /** `half-closed` once the server's FIN came, `closed` once nothing goes either way. */
  get state(): RawClientState {
    if (this.#isClosed) return "closed";
    return this.#hasPeerEnded ? "half-closed" : "open";
  }

  /** Why the connection broke, or `null` when it did not. */
  get cause(): Error | null {
    return this.#cause;
  }

  /** The port on the client's side, or `undefined` where there is none. */
  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  /** How many bytes have been received. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Everything that was received, as bytes. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#receivedBytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.byteLength;
    }
    // The next call has less to put together.
    this.#chunks.splice(0, this.#chunks.length, all);
    return all;
  }

  /** Everything that was received, as char codes. */
  received(): string {
    const { buffer, byteOffset, byteLength } = this.bytes();
    return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
  }

  /** Sends bytes, or the char codes of a string. */
  send(content: string | Uint8Array): void {
    this.#socket.write(typeof content === "string" ? Buffer.from(content, "latin1") : content);
  }

  /** Sends FIN, and goes on receiving. */
  end(): void {
    this.#socket.end();
  }

  /** Closes at once, in both directions. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes at once, and the server sees a reset. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Receives nothing, so that the system's buffers fill and the server has to wait. */
  pause(): void {
    this.#reader.pause();
  }

  /** Receives again. */
  resume(): void {
    this.#reader.resume();
  }

  /**
   * Waits until so many bytes have come in all, or until what came fulfils a condition.
   *
   * @param goal A number of bytes, or a condition on the char codes of all that came.
   * @param deadlineMs How long that may take.
   * @returns All that came.
   * @throws {Error} When the deadline passes or the connection ends before.
   */
  async receiveUntil(
    goal: number | ((received: string) => boolean),
    deadlineMs: number = DEFAULT_DEADLINE_MS,
  ): Promise<string> {
    const isReached = typeof goal === "number" ? () => this.#receivedBytes >= goal : () => goal(this.received());
    await this.#wait(() => isReached() || this.state !== "open", deadlineMs);
    if (!isReached()) throw this.#failure("The server ended the connection too early");
    return this.received();
  }

  /**
   * Waits until the server has ended or closed the connection.
   *
   * @param deadlineMs How long that may take.
   * @returns All that came.
   * @throws {Error} When the deadline passes or the connection breaks.
   */
  async receiveAll(deadlineMs: number = DEFAULT_DEADLINE_MS): Promise<string> {
    await this.#wait(() => this.state !== "open", deadlineMs);
    if (this.#cause !== null) throw this.#failure("The connection broke");
    return this.received();
  }

  /**
   * Waits until the connection is gone in both directions.
   *
   * @param deadlineMs How long that may take.
   * @throws {Error} When the deadline passes.
   */
  closed(deadlineMs: number = DEFAULT_DEADLINE_MS): Promise<void> {
    return this.#wait(() => this.#isClosed, deadlineMs);
  }

  #wait(isOver: () => boolean, deadlineMs: number): Promise<void> {
    if (isOver()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waits.delete(wait);
        reject(this.#failure(`Nothing more came within ${deadlineMs} ms`));
      }, deadlineMs);
      const end = () => {
        clearTimeout(timer);
        resolve();
      };
      const wait: Wait = { isOver, end };
      this.#waits.add(wait);
    });
  }

  #look(): void {
    for (const wait of this.#waits) {
      if (!wait.isOver()) continue;
      this.#waits.delete(wait);
      wait.end();
    }
  }

  #failure(what: string): Error {
    const received = JSON.stringify(this.received().slice(0, SHOWN_CHARS));
    const because = this.#cause === null ? "" : ` (${this.#cause.message})`;
    return new Error(`${what}${because}. It is ${this.state}; ${this.#receivedBytes} bytes came: ${received}`);
  }
}

/**
 * Connects.
 *
 * @param options Where to, and how.
 * @throws {Error} When nobody answers, or not in time, or the TLS handshake fails.
 */
export async function connectRaw(options: RawClientOptions): Promise<RawClient> {
  const { port = 0, hostname: host = "127.0.0.1", unixPath: path, tls: security } = options;
  const where = path === undefined ? { port, host } : { path };
  if (security === undefined) return await open(net.connect({ ...where, allowHalfOpen: true }), "connect", options);
  const relay = "Deno" in globalThis ? await openRelay(where) : undefined;
  const tlsOptions = { ...where, ...relay?.where, ...security, servername: "localhost", allowHalfOpen: true };
  return await open(tls.connect(tlsOptions as tls.ConnectionOptions), "secureConnect", options, relay);
}

interface Relay {
  readonly where: { readonly port: number; readonly host: string };
  pause(): void;
  resume(): void;
}

function open(socket: net.Socket, event: string, options: RawClientOptions, relay?: Relay): Promise<RawClient> {
  const { deadlineMs = DEFAULT_DEADLINE_MS } = options;
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(cause);
    };
    const failClosed = (): void => fail(new Error("The connection was closed before it was open."));
    const timer = setTimeout(() => fail(new Error(`No connection within ${deadlineMs} ms.`)), deadlineMs);
    socket.once("error", fail).once("close", failClosed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off("error", fail).off("close", failClosed);
      socket.setNoDelay(true);
      resolve(new RawClient(socket, relay));
    });
  });
}

/**
 * A TLS socket of node:tls on Deno 2.9 reads on while it is paused, and never tells of a FIN that came meanwhile. So its
 * bytes pass through a plain socket that can be paused.
 */
async function openRelay(where: net.NetConnectOpts): Promise<Relay> {
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const far = net.connect({ ...where, allowHalfOpen: true, noDelay: true });
  // Nobody may listen there; then the TLS socket is closed before it is open.
  far.on("error", () => {});
  const join = (from: net.Socket, to: net.Socket): void => {
    from.on("data", (bytes: Uint8Array) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on("drain", () => {
      if (from !== far || !isPaused) from.resume();
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroySoon());
  };
  let isPaused = false;
  listener.once("connection", (near) => {
    listener.close();
    if (far.destroyed) near.destroy();
    join(near, far);
    join(far, near);
  });
  return {
    where: { port: (listener.address() as net.AddressInfo).port, host: "127.0.0.1" },
    pause() {
      isPaused = true;
      far.pause();
    },
    resume() {
      isPaused = false;
      far.resume();
    },
  };
}
