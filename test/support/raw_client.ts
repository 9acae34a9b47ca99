/**
 * A client that speaks bytes, on `node:net`, which Deno, Bun and Node have alike.
 *
 * It knows nothing of HTTP. Bytes are strings of char codes 0 to 255. Every wait has a deadline, and what was received
 * until then is in the message of the error, because that is what one wants to see when a test fails.
 *
 * @module
 */

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Long enough for a busy machine; a test that passes never waits for it. */
const DEADLINE_MS = 10_000;
/** Of what was received, what the message of an error shows. */
const SHOWN_CHARS = 2_000;

/** Certificates of a TLS client, in PEM. */
export interface RawTlsOptions {
  /** The authority that signed the server's certificate; absent, any certificate will do. */
  readonly ca?: string;
  /** The client's own certificate. */
  readonly cert?: string;
  /** The key of the client's own certificate. */
  readonly key?: string;
}

/** Where to connect: a port or the path of a Unix domain socket. */
export interface RawClientOptions {
  /** The port. */
  readonly port?: number;
  /** 127.0.0.1 unless given. */
  readonly hostname?: string;
  /** The path of a Unix domain socket, instead of port and hostname. */
  readonly path?: string;
  /** Set, the connection is TLS. */
  readonly tls?: RawTlsOptions;
  /** How long to wait for the connection. */
  readonly deadlineMs?: number;
}

/**
 * Connects.
 *
 * @throws {Error} When the connection is refused, the TLS handshake fails, or either takes too long.
 */
export function connectRaw(options: RawClientOptions): Promise<RawClient> {
  const { port = 0, hostname: host = "127.0.0.1", path, tls, deadlineMs = DEADLINE_MS } = options;
  const where = { ...(path === undefined ? { port, host } : { path }), allowHalfOpen: true };
  const security = { ...tls, rejectUnauthorized: tls?.ca !== undefined, servername: "localhost" };
  const socket: Socket = tls === undefined ? connectTcp(where) : connectTls({ ...where, ...security });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`No connection within ${deadlineMs} ms.`));
    }, deadlineMs);
    const client = new RawClient(socket);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once("error", fail);
    socket.once("close", () => fail(new Error("The connection was closed before it was open.")));
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(client);
    });
  });
}

/** One connection. What was received waits in it until one of the `receive` methods takes it. */
export class RawClient {
  readonly #socket: Socket;
  #waiting = "";
  #hasEnded = false;
  #isClosed = false;
  #cause: Error | undefined;
  /** Looks again whether a wait is over; there is at most one wait at a time. */
  #onChange: () => void = () => {};

  /** @param socket A socket that is connected or about to be. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: { toString(encoding: "latin1"): string }) => {
      this.#waiting += bytes.toString("latin1");
      this.#onChange();
    });
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#onChange();
    });
    socket.on("error", (cause: Error) => void (this.#cause = cause));
    socket.on("close", () => {
      this.#isClosed = true;
      this.#onChange();
    });
  }

  /** This end's port. */
  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  /** Whether the peer's FIN has come. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether the connection is gone in both directions. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Why the connection failed, such as with the code ECONNRESET. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** Sends bytes, or the char codes of a string. What the peer does not take waits. */
  send(content: string | Uint8Array): void {
    if (typeof content === "string") this.#socket.write(content, "latin1");
    else this.#socket.write(content);
  }

  /**
   * Waits for a text and takes everything up to its end; for a number of bytes and takes just these; or until a predicate
   * holds for everything that waits, and takes that.
   *
   * @throws {Error} When the deadline passes or the connection ends before.
   */
  async receiveUntil(end: string | number | ((text: string) => boolean), deadlineMs = DEADLINE_MS): Promise<string> {
    const lengthOf = (): number => {
      if (typeof end === "number") return this.#waiting.length >= end ? end : -1;
      if (typeof end === "function") return end(this.#waiting) ? this.#waiting.length : -1;
      const at = this.#waiting.indexOf(end);
      return at < 0 ? -1 : at + end.length;
    };
    await this.#until(() => lengthOf() >= 0, deadlineMs, "what was waited for");
    const length = lengthOf();
    return this.#take(length);
  }

  /**
   * Waits until the peer has sent FIN or the connection is gone, and takes everything. A reset does not throw, because
   * what a peer sends before it aborts may well be the test: {@linkcode cause} tells.
   *
   * @throws {Error} When the deadline passes before.
   */
  async receiveAll(deadlineMs = DEADLINE_MS): Promise<string> {
    await this.#until(() => this.#hasEnded || this.#isClosed, deadlineMs, "the end");
    return this.#take(this.#waiting.length);
  }

  /**
   * Waits until the connection is gone in both directions.
   *
   * @throws {Error} When the deadline passes before.
   */
  async closed(deadlineMs = DEADLINE_MS): Promise<void> {
    await this.#until(() => this.#isClosed, deadlineMs, "the close");
  }

  /** Takes what waits now. */
  received(): string {
    return this.#take(this.#waiting.length);
  }

  /** Stops reading, so that the peer's writes get stuck once the kernel's buffers are full. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume();
  }

  /** Sends what is left and FIN, and keeps reading. */
  end(): void {
    this.#socket.end();
  }

  /** Closes both directions at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes with RST; a TLS connection, whose FIN then comes without close_notify, just closes. */
  reset(): void {
    // Node throws for a TLS socket, which is not a plain handle of the system.
    if ("encrypted" in this.#socket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #take(length: number): string {
    const taken = this.#waiting.slice(0, length);
    this.#waiting = this.#waiting.slice(length);
    return taken;
  }

  #until(isOver: () => boolean, deadlineMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (reason: string | null): void => {
        clearTimeout(timer);
        this.#onChange = () => {};
        if (reason === null) resolve();
        else reject(this.#failure(`${reason} before ${what} came`));
      };
      const timer = setTimeout(() => settle(`${deadlineMs} ms passed`), deadlineMs);
      this.#onChange = () => {
        if (isOver()) settle(null);
        else if (this.#isClosed || (this.#hasEnded && what !== "the close")) settle("The connection ended");
      };
      this.#onChange();
    });
  }

  #failure(reason: string): Error {
    const { length } = this.#waiting;
    const shown = JSON.stringify(this.#waiting.slice(-SHOWN_CHARS));
    const message = `${reason}; ${length} bytes had come${length > SHOWN_CHARS ? ", in the end" : ""}: ${shown}`;
    return new Error(message, { cause: this.#cause });
  }
}
