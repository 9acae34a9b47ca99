/**
 * Deno: `Deno.listen` and `Deno.listenTls` behind the contract of `src/runtime.ts`.
 *
 * Translation only. Deno pulls where the contract pushes: each connection has one read under way, and at most one write.
 *
 * @module
 */

import type { Address, Host, Listener, ListenOptions, Runtime } from "../src/runtime.ts";
import type { TransportConnection, TransportEvents } from "../src/runtime.ts";
import { WriteBacklog } from "./backlog.ts";
import { createSystemClock } from "./clock.ts";

/**
 * A read under way holds its buffer. It is small while a connection is idle (ten thousand of them have 40 MB), grows when
 * reads fill it and shrinks when they don't.
 */
const MIN_READ_BYTES = 4 * 1024;
const MAX_READ_BYTES = 64 * 1024;
/** After an error of accept; it doubles until one succeeds. */
const MIN_ACCEPT_DELAY_MS = 5;
const MAX_ACCEPT_DELAY_MS = 1_000;
/** A TLS handshake that takes longer is given up. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Makes the adapter. */
export function createDenoRuntime(): Runtime {
  const { Buffer } = process.getBuiltinModule("node:buffer");
  const latin1Slice = (Buffer.prototype as unknown as { latin1Slice(start: number, end: number): string }).latin1Slice;
  return {
    name: "deno",
    version: Deno.version.deno,
    clock: createSystemClock((handle) => Deno.unrefTimer(handle as number)),
    host: createHost(),
    availableCores: () => navigator.hardwareConcurrency,
    listen,
    decodeLatin1: (bytes, start, end) => latin1Slice.call(bytes, start, end),
  };
}

function listen(options: ListenOptions, events: TransportEvents): Listener {
  const listener = bind(options);
  const acceptor = new Acceptor(listener, events);
  acceptor.accept();
  return {
    address: toAddress(listener.addr),
    close: () => acceptor.close(),
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  };
}

function bind(options: ListenOptions): Deno.Listener {
  const { hostname, port, unixPath, tcpBacklog, reusePort, tls } = options;
  if (unixPath !== undefined) return Deno.listen({ transport: "unix", path: unixPath });
  // `reusePort` needs --unstable-net; `loadBalanced` asks for the same and needs no flag, but is not documented.
  const where = { hostname, port, tcpBacklog, ...(reusePort ? { loadBalanced: true } : {}) };
  if (tls === undefined) return Deno.listen(where);
  if (tls.ca !== undefined) {
    const message = "Deno can't ask for client certificates, so that tls.ca can't be used on it.";
    throw Object.assign(new Error(message), { code: "ERR_TLS_CA_UNSUPPORTED" });
  }
  return Deno.listenTls({ ...where, cert: tls.cert, key: tls.key, alpnProtocols: ["http/1.1"] });
}

/** Accepts connections one after another, and rests when that fails. */
class Acceptor {
  readonly #listener: Deno.Listener;
  readonly #events: TransportEvents;
  readonly #onAccepted = (conn: Deno.Conn): void => this.#take(conn);
  readonly #onFailure = (cause: unknown): void => this.#fail(cause);
  #isClosed = false;
  #delayMs = MIN_ACCEPT_DELAY_MS;

  constructor(listener: Deno.Listener, events: TransportEvents) {
    this.#listener = listener;
    this.#events = events;
  }

  accept(): void {
    if (!this.#isClosed) this.#listener.accept().then(this.#onAccepted, this.#onFailure);
  }

  close(): void {
    // Deno throws when a listener is closed twice.
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
  }

  #take(conn: Deno.Conn): void {
    this.#delayMs = MIN_ACCEPT_DELAY_MS;
    if ("handshake" in conn) shakeHands(conn as Deno.TlsConn, () => this.#open(conn));
    else this.#open(conn);
    this.accept();
  }

  #open(conn: Deno.Conn): void {
    if (conn.remoteAddr.transport === "tcp") setNoDelay(conn as Deno.TcpConn);
    new DenoConnection(conn, this.#events).open();
  }

  #fail(cause: unknown): void {
    if (this.#isClosed) return;
    this.#events.onAcceptError(cause as Error);
    setTimeout(() => this.accept(), this.#delayMs);
    this.#delayMs = Math.min(2 * this.#delayMs, MAX_ACCEPT_DELAY_MS);
  }
}

/** A peer that can't shake hands, or does not in time, is nobody's error. */
function shakeHands(conn: Deno.TlsConn, onDone: () => void): void {
  const timer = setTimeout(() => conn.close(), HANDSHAKE_TIMEOUT_MS);
  conn.handshake().then(() => {
    clearTimeout(timer);
    onDone();
  }, () => {
    clearTimeout(timer);
    closeQuietly(conn);
  });
}

function setNoDelay(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay(true);
  } catch {
    // The peer has reset the connection already; the first read tells so. A TLS connection has no such method.
  }
}

/** Deno throws when a connection is closed twice. */
function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed, which is what was asked for.
  }
}

class DenoConnection implements TransportConnection {
  session: unknown = undefined;
  readonly #conn: Deno.Conn;
  readonly #events: TransportEvents;
  readonly #backlog = new WriteBacklog();
  readonly #onRead = (readBytes: number | null): void => this.#takeRead(readBytes);
  readonly #onWritten = (writtenBytes: number): void => this.#takeWritten(writtenBytes);
  readonly #onFailure = (cause: unknown): void => this.#close(cause as Error);
  #readBuffer = new Uint8Array(MIN_READ_BYTES);
  #isReading = false;
  #isWriting = false;
  #isPaused = false;
  #sending: "open" | "ending" | "ended" = "open";
  #peerHasEnded = false;
  #isClosed = false;
  #remoteAddress: Address | null = null;
  #localAddress: Address | null = null;

  constructor(conn: Deno.Conn, events: TransportEvents) {
    this.#conn = conn;
    this.#events = events;
  }

  get remoteAddress(): Address {
    return this.#remoteAddress ??= toAddress(this.#conn.remoteAddr);
  }

  get localAddress(): Address {
    return this.#localAddress ??= toAddress(this.#conn.localAddr);
  }

  open(): void {
    this.#events.onOpen(this);
    this.#read();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#sending !== "open" || this.#isClosed) return false;
    const isFree = this.#backlog.add(bytes);
    if (!this.#isWriting) this.#writeNext();
    return isFree;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#read();
  }

  end(): void {
    if (this.#sending !== "open" || this.#isClosed) return;
    this.#sending = "ending";
    if (!this.#isWriting) this.#sendEnd();
  }

  abort(): void {
    this.#close(undefined);
  }

  #read(): void {
    if (this.#isReading || this.#isPaused || this.#peerHasEnded || this.#isClosed) return;
    this.#isReading = true;
    this.#conn.read(this.#readBuffer).then(this.#onRead, this.#onFailure);
  }

  #takeRead(readBytes: number | null): void {
    this.#isReading = false;
    if (this.#isClosed) return;
    if (readBytes === null) {
      this.#peerHasEnded = true;
      this.#events.onEnd(this);
      this.#closeIfBothEnded();
      return;
    }
    // Deno may report a read of nothing, which is not the end.
    if (readBytes > 0) {
      this.#events.onData(this, this.#readBuffer.subarray(0, readBytes));
      this.#fitReadBuffer(readBytes);
    }
    this.#read();
  }

  #fitReadBuffer(readBytes: number): void {
    const { byteLength } = this.#readBuffer;
    if (readBytes === byteLength && byteLength < MAX_READ_BYTES) this.#readBuffer = new Uint8Array(byteLength * 4);
    else if (readBytes < MIN_READ_BYTES && byteLength > MIN_READ_BYTES) {
      this.#readBuffer = new Uint8Array(MIN_READ_BYTES);
    }
  }

  #writeNext(): void {
    this.#isWriting = true;
    this.#conn.write(this.#backlog.next()).then(this.#onWritten, this.#onFailure);
  }

  #takeWritten(writtenBytes: number): void {
    this.#isWriting = false;
    if (this.#isClosed) return;
    const backlog = this.#backlog;
    backlog.advance(writtenBytes);
    if (backlog.byteLength > 0) {
      this.#writeNext();
    } else if (this.#sending === "ending") {
      this.#sendEnd();
    } else if (backlog.owesDrain) {
      backlog.owesDrain = false;
      this.#events.onDrain(this);
    }
  }

  #sendEnd(): void {
    this.#sending = "ended";
    this.#conn.closeWrite().then(() => this.#closeIfBothEnded(), this.#onFailure);
  }

  #closeIfBothEnded(): void {
    if (this.#peerHasEnded && this.#sending === "ended") this.#close(undefined);
  }

  #close(cause: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#backlog.clear();
    closeQuietly(this.#conn);
    queueMicrotask(() => this.#events.onClose(this, cause));
  }
}

function toAddress(address: Deno.Addr): Address {
  if (address.transport === "unix") return { transport: "unix", path: address.path ?? "" };
  const { hostname, port } = address as Deno.NetAddr;
  return { transport: "tcp", hostname, port };
}

function createHost(): Host {
  return {
    args: Deno.args,
    print: (line) => console.log(line),
    printError: (line) => console.error(line),
    onStopSignal(callback) {
      const onInterrupt = () => callback("SIGINT");
      const onTerminate = () => callback("SIGTERM");
      Deno.addSignalListener("SIGINT", onInterrupt);
      Deno.addSignalListener("SIGTERM", onTerminate);
      return () => {
        Deno.removeSignalListener("SIGINT", onInterrupt);
        Deno.removeSignalListener("SIGTERM", onTerminate);
      };
    },
    exit: (code) => Deno.exit(code),
    async locate(path) {
      const { existsSync } = await import("node:fs");
      const { pathToFileURL } = await import("node:url");
      return existsSync(path) ? pathToFileURL(path).href : null;
    },
  };
}
