/**
 * Bun behind the contract of `src/runtime.ts`, and `Bun.listen` behind that of `src/transport.ts`; for TLS and
 * handed-over descriptors `node_net.ts`.
 *
 * Translation only.
 *
 * @module
 */

import type { ResponseContents, Runtime } from "../src/runtime.ts";
import type { Address, Listener, ListenOptions, TcpAddress, TransportEvents } from "../src/transport.ts";
import { acceptedAll, AcceptQueue, type Dialled } from "./accept_queue.ts";
import { localAddressOf, type NamedSocket, remoteAddressOf, tcpAddress } from "./addresses.ts";
import { bufferCodecs, builtinCodecs } from "./builtin_codecs.ts";
import { WriteBacklog } from "./backlog.ts";
import { createSystemClock } from "./clock.ts";
import { createBunResponseContents, STREAMS_ONLY } from "./bun_responses.ts";
import { readDescriptorLimit } from "./descriptor_limit.ts";
import { createFiles } from "./files.ts";
import { hotReload } from "./hot_reload.ts";
import { acceptLast, SYSTEM_CALLS, type SystemCalls } from "./listen_filter.ts";
import { listenOverNet } from "./node_net.ts";
import { NamedSocketConnection } from "./named_socket_connection.ts";
import { ProcessHost } from "./process_host.ts";
import { whyNotBalanced } from "./sharing.ts";
import { listenAtPath } from "./unix_path.ts";
import type { CloseManner } from "./socket_connection.ts";
import { createThreads } from "./threads.ts";
import { tracingChannels } from "./tracing.ts";

/** What this adapter uses of a socket of Bun. */
interface BunSocket extends NamedSocket {
  data: BunConnection;
  /** Returns how many bytes were taken; less than all when the peer does not keep up, -1 when the socket is closed. */
  write(bytes: Uint8Array, start?: number, byteLength?: number): number;
  /** Sends FIN. */
  shutdown(): void;
  /** Closes, and what the system holds is still sent. */
  end(): void;
  /** Closes with a reset. */
  terminate(): void;
  pause(): void;
  resume(): void;
  setKeepAlive(isOn: boolean): boolean;
}

/** The callbacks of a listening socket. */
interface BunSocketHandlers {
  open(socket: BunSocket): void;
  data(socket: BunSocket, bytes: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  close(socket: BunSocket, error?: Error): void;
  error(socket: BunSocket, error: Error): void;
}

/** What this adapter uses of Bun; the package depends on no type declarations but TypeScript's own. */
interface BunGlobal {
  readonly version: string;
  readonly argv: readonly string[];
  listen(options: Record<string, unknown>): BunListener;
  connect(options: Record<string, unknown>): Promise<BunSocket>;
  readonly main: string;
  peek(promise: Promise<unknown>): unknown;
  inspect(value: unknown): string;
}

/** What it uses of `bun:ffi`. */
interface BunFfi {
  dlopen(library: string, symbols: Record<string, { args: readonly string[]; returns: string }>): {
    symbols: Omit<SystemCalls, "addressOf">;
  };
  ptr(bytes: Uint8Array): number;
}

interface BunListener {
  /** Fills in where the listener listens, as an IP address and a port. */
  getsockname(into: object): void;
  stop(closesConnections: boolean): void;
  ref(): void;
  unref(): void;
}

/** Makes the adapter. */
export function createBunRuntime(): Runtime {
  const bun = (globalThis as unknown as { Bun: BunGlobal }).Bun;
  return {
    name: "bun",
    version: bun.version,
    clock: createSystemClock((handle) => (handle as { unref(): void }).unref()),
    host: new ProcessHost(bun.argv.slice(2), bun.main),
    files: createFiles(),
    availableCores: () => navigator.hardwareConcurrency,
    descriptorLimit: () => readDescriptorLimit(process.getBuiltinModule("node:fs").readFileSync),
    listen: (options, events) => listenAtPath(options, () => listen(bun, options, events)),
    whyNotShared: (options) => whyNotBalanced(options, process.platform),
    ...createThreads({ canEndBusyThreads: true, limitsThreadMemory: false, searchesMessages: false }),
    ...bufferCodecs(),
    ...builtinCodecs(),
    ...tracingChannels(),
    ...hotReload(process.execArgv),
    responseContents: (native) => responseContents(bun, native),
  };
}

function responseContents(bun: BunGlobal, native: typeof Response): ResponseContents {
  // An import of it would not load on other runtimes, and this file is loaded on each.
  const jsc = process.getBuiltinModule("bun:jsc") as { estimateShallowMemoryUsageOf?: (value: object) => number };
  const sizeOf = jsc?.estimateShallowMemoryUsageOf;
  if (sizeOf === undefined) return STREAMS_ONLY;
  const { isAscii, isUtf8 } = process.getBuiltinModule("node:buffer");
  return createBunResponseContents({ peek: bun.peek, inspect: bun.inspect, isAscii, isUtf8 }, sizeOf, native);
}

function listen(bun: BunGlobal, options: ListenOptions, events: TransportEvents): Listener | Promise<Listener> {
  const { hostname, port, unixPath, tcpBacklog: backlog, reusePort, tls } = options;
  // `Bun.listen` takes no descriptor.
  if (tls !== undefined || options.descriptor !== undefined) {
    return listenOverNet(options, events, {
      ownsHandles: false,
      readsBelowTls: false,
      resetsTls: true,
      stopsAcceptingAtLimit: false,
      openLibrary,
    });
  }
  const where = unixPath === undefined ? { hostname, port, backlog, reusePort } : { unix: unixPath };
  let address: Address = { transport: "unix", path: unixPath ?? "" };
  const queue = new AcceptQueue();
  let acceptedCount = 0;
  const socket: BunSocketHandlers = {
    open(socket) {
      acceptedCount++;
      const connection = socket.data = new BunConnection(socket, events, address);
      if (!queue.isEmptying) {
        connection.open();
        return;
      }
      socket.pause();
      queue.hold(remoteAddressOf(socket, address), () => connection.open(true), () => socket.terminate());
    },
    data: (socket, bytes) => socket.data.takeData(bytes),
    drain: (socket) => socket.data.takeDrain(),
    end: (socket) => socket.data.takeEnd(),
    close: (socket, error) => socket.data.takeClose(error),
    error: (socket, error) => socket.data.takeError(error),
  };
  // Without allowHalfOpen Bun closes a connection as soon as the peer has sent FIN, and the response is lost.
  const listener = bun.listen({ ...where, allowHalfOpen: true, socket });
  if (unixPath === undefined) {
    const name = { address: "", port: 0 };
    listener.getsockname(name);
    address = tcpAddress(name.address, name.port);
  }
  let isClosed = false;
  const close = (): void => {
    isClosed = true;
    listener.stop(false);
  };
  return {
    address,
    reloadTls: () => Promise.resolve(false),
    close,
    closeWhenEmpty: async () => {
      const owner = { close, dial: (to: TcpAddress) => dial(bun, to), acceptsRest: false };
      if (isClosed) return;
      const countAccepted = (): number => acceptedCount;
      if (address.transport === "unix") await acceptedAll(countAccepted);
      else if (await acceptLast(openLibrary, address.port, countAccepted, options.listeners ?? 1)) return close();
      else if (reusePort) await acceptedAll(countAccepted);
      else await queue.empty(owner, address);
      close();
    },
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  };
}

/** The calls of a C library. */
function openLibrary(library: string): SystemCalls {
  const { dlopen, ptr } = process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
  const symbols = Object.entries(SYSTEM_CALLS).map(([name, parameters]) => {
    return [name, { args: parameters.map((type) => type === "int" ? "i32" : "ptr"), returns: "i32" }] as const;
  });
  return { ...dlopen(library, Object.fromEntries(symbols)).symbols, addressOf: ptr };
}

/** Connects to a listener of our own. */
async function dial(bun: BunGlobal, { hostname, port }: TcpAddress): Promise<Dialled> {
  const ignore = (): void => {};
  const socket = { open: ignore, data: ignore, drain: ignore, end: ignore, close: ignore, error: ignore };
  const made = await bun.connect({ hostname, port, socket });
  return { address: localAddressOf(made, { transport: "unix", path: "" }), close: () => made.terminate() };
}

class BunConnection extends NamedSocketConnection<BunSocket> {
  /** What Bun has not taken, while there is any: a connection whose peer keeps up has none. */
  #backlog: WriteBacklog | null = null;
  #isGone = false;
  /** Whether the core knows of the connection. */
  #isOpened = false;
  #cause: Error | undefined;

  /** @param wasPaused Whether its socket was, until it was known whose it is; it may be gone since. */
  open(wasPaused = false): void {
    if (this.#isGone) return;
    this.#isOpened = true;
    this.opened();
    if (wasPaused && this.input === "flowing") this.socket.resume();
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    const takenBytes = this.#take(bytes, start, end);
    if (takenBytes === end - start) return true;
    return takenBytes >= 0 && (this.#backlog ??= new WriteBacklog()).add(bytes.subarray(start + takenBytes, end));
  }

  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean {
    const takenBytes = this.#take(bytes, start, end);
    if (takenBytes === end - start) return true;
    return takenBytes >= 0 && (this.#backlog ??= new WriteBacklog()).addCopy(bytes, start + takenBytes, end);
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.output !== "open" || this.isClosed) return false;
    const mustWait = this.#backlog !== null;
    const backlog = this.#backlog ??= new WriteBacklog();
    let isFree = true;
    for (const piece of pieces) isFree = backlog.add(piece);
    if (mustWait) return isFree;
    if (!this.#writeBacklog(backlog)) return this.#breakOff();
    if (backlog.byteLength > 0) return isFree;
    this.#backlog = null;
    return true;
  }

  protected endSocket(): void {
    if (this.#backlog === null) this.#shutDown();
  }

  protected destroySocket(manner: CloseManner): void {
    this.#backlog = null;
    // Bun tells of the close within these calls, when isClosed is set already. terminate() resets the connection, and
    // what the system had not sent yet would be lost, which must not be once the last of it was handed over.
    if (manner === "orderly" || (manner === "aborted" && this.output === "ended")) this.socket.end();
    else this.socket.terminate();
  }

  takeData(bytes: Uint8Array): void {
    if (!this.isClosed) this.events.onData(this, bytes, bytes.byteLength);
  }

  takeDrain(): void {
    const backlog = this.#backlog;
    if (backlog === null) return;
    if (!this.#writeBacklog(backlog)) {
      this.#breakOff();
      return;
    }
    if (backlog.byteLength > 0) return;
    this.#backlog = null;
    if (this.output === "ending") this.#shutDown();
    else if (backlog.owesDrain && !this.isClosed) this.events.onDrain(this);
  }

  takeEnd(): void {
    if (this.#isOpened) this.inputEnded();
    else this.socket.terminate();
  }

  takeError(error: Error): void {
    this.#cause = error;
  }

  takeClose(error: Error | undefined): void {
    this.#isGone = true;
    if (!this.#isOpened) return;
    const cause = error ?? this.#cause;
    // After shutdown() Bun closes at the peer's FIN without telling of it.
    if (cause === undefined && this.output === "ended") this.inputEnded();
    else this.close(cause ?? brokenPipe());
  }

  /** Has the socket take what it can. Returns how many bytes that were; -1 where none ever will be. */
  #take(bytes: Uint8Array, start: number, end: number): number {
    if (this.output !== "open" || this.isClosed) return -1;
    if (this.#backlog !== null) return 0;
    const takenBytes = this.socket.write(bytes, start, end - start);
    if (takenBytes < 0) this.#breakOff();
    return takenBytes;
  }

  /** Writes as much as the socket takes. Returns false when the socket is closed. */
  #writeBacklog(backlog: WriteBacklog): boolean {
    while (backlog.byteLength > 0) {
      const next = backlog.next();
      const writtenBytes = this.socket.write(next);
      if (writtenBytes < 0) return false;
      backlog.advance(writtenBytes);
      if (writtenBytes < next.byteLength) break;
    }
    return true;
  }

  /**
   * A write has met a reset. That uses up the system's error: Bun tells nothing more, or takes the reset for FIN. The
   * close is told a microtask later, because this may be a call of the core.
   */
  #breakOff(): false {
    queueMicrotask(() => this.close(brokenPipe()));
    return false;
  }

  /** `end()` of Bun closes both directions; this one closes ours. */
  #shutDown(): void {
    this.socket.shutdown();
    this.outputEnded();
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error("The connection broke."), { code: "EPIPE" });
}
