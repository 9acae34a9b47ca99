/**
 * Bun: `Bun.listen` behind the contract of `src/runtime.ts`.
 *
 * Translation only.
 *
 * @module
 */

import type { Address, Host, Listener, ListenOptions, Runtime } from "../src/runtime.ts";
import type { TransportConnection, TransportEvents } from "../src/runtime.ts";
import { WriteBacklog } from "./backlog.ts";
import { createSystemClock } from "./clock.ts";

/** What this adapter uses of a socket of Bun. */
interface BunSocket {
  data: BunConnection | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Returns how many bytes were taken; less than all when the peer does not keep up, -1 when the socket is closed. */
  write(bytes: Uint8Array): number;
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** The callbacks of a listening socket. */
interface BunSocketHandlers {
  open(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
  error(socket: BunSocket, error: Error): void;
  handshake?(socket: BunSocket, success: boolean, error: Error | null): void;
}

/** What this adapter uses of Bun; the package depends on no type declarations but TypeScript's own. */
interface BunGlobal {
  readonly version: string;
  readonly argv: readonly string[];
  listen(options: Record<string, unknown>): BunListener;
  pathToFileURL(path: string): URL;
  file(path: string): { exists(): Promise<boolean> };
}

interface BunListener {
  readonly hostname: string;
  readonly port: number;
  stop(closesConnections: boolean): void;
  ref(): void;
  unref(): void;
}

/** Makes the adapter. */
export function createBunRuntime(): Runtime {
  const bun = (globalThis as unknown as { Bun: BunGlobal }).Bun;
  const latin1Slice = (Buffer.prototype as unknown as { latin1Slice(start: number, end: number): string }).latin1Slice;
  return {
    name: "bun",
    version: bun.version,
    clock: createSystemClock((handle) => (handle as { unref(): void }).unref()),
    host: createHost(bun),
    availableCores: () => navigator.hardwareConcurrency,
    listen: (options, events) => listen(bun, options, events),
    decodeLatin1: (bytes, start, end) => latin1Slice.call(bytes, start, end),
  };
}

function listen(bun: BunGlobal, options: ListenOptions, events: TransportEvents): Listener {
  const { hostname, port, unixPath, tcpBacklog: backlog, reusePort, tls } = options;
  const where = unixPath === undefined ? { hostname, port, backlog, reusePort } : { unix: unixPath };
  const security = tls === undefined
    ? {}
    : { tls: { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: tls.ca !== undefined } };
  const socket = createHandlers(events, tls !== undefined);
  // Without allowHalfOpen Bun closes a connection as soon as the peer has sent FIN, and the response is lost.
  const listener = bun.listen({ ...where, ...security, allowHalfOpen: true, socket });
  const address: Address = unixPath === undefined
    ? { transport: "tcp", hostname: listener.hostname, port: listener.port }
    : { transport: "unix", path: unixPath };
  return {
    address,
    close: () => listener.stop(false),
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  };
}

/** One set of callbacks for all connections of a listener. */
function createHandlers(events: TransportEvents, isTls: boolean): BunSocketHandlers {
  const open = (socket: BunSocket): void => {
    const connection = new BunConnection(socket, events);
    socket.data = connection;
    events.onOpen(connection);
  };
  return {
    open: isTls ? () => {} : open,
    ...(isTls ? { handshake: (socket, success) => success ? open(socket) : socket.terminate() } : {}),
    data: (socket, bytes) => socket.data?.takeData(bytes),
    drain: (socket) => socket.data?.takeDrain(),
    end: (socket) => socket.data?.takeEnd(),
    close: (socket, error) => socket.data?.takeClose(error),
    error: (socket, error) => socket.data?.takeError(error),
  };
}

class BunConnection implements TransportConnection {
  session: unknown = undefined;
  readonly #socket: BunSocket;
  readonly #events: TransportEvents;
  readonly #backlog = new WriteBacklog();
  #sending: "open" | "ending" | "ended" = "open";
  #peerHasEnded = false;
  #isClosed = false;
  #cause: Error | undefined;
  #remoteAddress: Address | null = null;
  #localAddress: Address | null = null;

  constructor(socket: BunSocket, events: TransportEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  get remoteAddress(): Address {
    return this.#remoteAddress ??= toAddress(this.#socket.remoteAddress, this.#socket.remotePort);
  }

  get localAddress(): Address {
    return this.#localAddress ??= toAddress(this.#socket.localAddress, this.#socket.localPort);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#sending !== "open" || this.#isClosed) return false;
    if (this.#backlog.byteLength > 0) return this.#backlog.add(bytes);
    const writtenBytes = this.#socket.write(bytes);
    if (writtenBytes === bytes.byteLength) return true;
    return this.#backlog.add(writtenBytes > 0 ? bytes.subarray(writtenBytes) : bytes);
  }

  pause(): void {
    if (!this.#isClosed) this.#socket.pause();
  }

  resume(): void {
    if (!this.#isClosed) this.#socket.resume();
  }

  end(): void {
    if (this.#sending !== "open" || this.#isClosed) return;
    this.#sending = "ending";
    if (this.#backlog.byteLength === 0) this.#sendEnd();
  }

  abort(): void {
    this.#close(undefined);
  }

  takeData(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#events.onData(this, bytes);
  }

  takeDrain(): void {
    const backlog = this.#backlog;
    while (backlog.byteLength > 0) {
      const next = backlog.next();
      const writtenBytes = this.#socket.write(next);
      if (writtenBytes > 0) backlog.advance(writtenBytes);
      if (writtenBytes < next.byteLength) return;
    }
    if (this.#sending === "ending") {
      this.#sendEnd();
    } else if (backlog.owesDrain && !this.#isClosed) {
      backlog.owesDrain = false;
      this.#events.onDrain(this);
    }
  }

  takeEnd(): void {
    if (this.#isClosed) return;
    this.#peerHasEnded = true;
    this.#events.onEnd(this);
    this.#closeIfBothEnded();
  }

  takeError(error: Error): void {
    this.#cause = error;
  }

  takeClose(error: Error | undefined): void {
    this.#close(error ?? this.#cause);
  }

  /** `end()` of Bun closes both directions; this one closes ours. */
  #sendEnd(): void {
    this.#sending = "ended";
    this.#socket.shutdown();
    this.#closeIfBothEnded();
  }

  #closeIfBothEnded(): void {
    if (this.#peerHasEnded && this.#sending === "ended") this.#close(undefined);
  }

  #close(cause: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#backlog.clear();
    // Bun tells of the close within this call; the flag above keeps that from being told twice.
    this.#socket.terminate();
    queueMicrotask(() => this.#events.onClose(this, cause));
  }
}

function toAddress(hostname: string | undefined, port: number | undefined): Address {
  if (hostname === undefined || port === undefined) return { transport: "unix", path: "" };
  return { transport: "tcp", hostname, port };
}

function createHost(bun: BunGlobal): Host {
  return {
    args: bun.argv.slice(2),
    print: (line) => console.log(line),
    printError: (line) => console.error(line),
    onStopSignal(callback) {
      process.on("SIGINT", callback).on("SIGTERM", callback);
      return () => void process.off("SIGINT", callback).off("SIGTERM", callback);
    },
    exit: (code) => process.exit(code),
    locate: async (path) => await bun.file(path).exists() ? bun.pathToFileURL(path).href : null,
  };
}
