/**
 * A runtime made of memory: no sockets, and time that moves when a test says so.
 *
 * It keeps the contracts of `src/runtime.ts` and `src/transport.ts` to the letter, and where they leave room it is as
 * unkind as a real transport may be: a borrowed view is overwritten as soon as its event returns.
 *
 * @module
 */

import { builtinCodecs } from "../../runtime/builtin_codecs.ts";
import { tracingChannels } from "../../runtime/tracing.ts";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Clock, Files, Host, ParentThread, ResponseContents, Runtime } from "../../src/runtime.ts";
import type {
  Address,
  Listener,
  ListenOptions,
  TlsInfo,
  TransportConnection,
  TransportEvents,
  TransportSession,
} from "../../src/transport.ts";
// What a file takes to load is no virtual time; test/websocket/over_sockets_test.ts has servers that load it
// themselves.
import "../../src/websocket/socket_upgrades.ts";
import { type MemoryThread, MemoryThreadEnds } from "./memory_threads.ts";
import { decodeLatin1, latin1 } from "./parse_requests.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** Bytes that wait on the server's side before `write` returns false. */
const HIGH_WATER_BYTES = 16 * 1024;
/** Bytes a peer that does not read still takes: the buffers of both kernels. */
const RECEIVE_WINDOW_BYTES = 64 * 1024;
/** What a borrowed view is overwritten with. */
const STALE_BYTE = 0xaa;
/** What stands behind the bytes of a read: what would end a head, a chunk or a line, were it looked at. */
const STALE_TAIL = latin1("\r\n\r\n0\r\n\r\nGET /stale HTTP/1.1\r\nHost: stale\r\n\r\n");

/** A peer's end of a connection. */
export interface MemoryPeer {
  /** Sends bytes, or the char codes of a string. */
  send(content: string | Uint8Array): void;
  /** Everything that was received, as char codes. */
  received(): string;
  /** Sends FIN. */
  end(): void;
  /** Resets the connection. */
  reset(): void;
  /** Stops taking bytes once the window is full; with a number, that is when so many more have come. */
  stopReading(windowBytes?: number): void;
  /** Takes bytes again; with a number, only so many more. */
  read(bytes?: number): void;
  /** What the server has done to the connection. */
  readonly serverSide: "open" | "ended" | "closed";
  /** Whether the server has reset the connection, so that what came can't be taken for everything. */
  readonly wasCutOff: boolean;
  /** Whether the server has the system ask whether this peer is still there. */
  readonly isWatchedByServer: boolean;
  /** Whether the server has stopped reading. */
  readonly isPausedByServer: boolean;
  /** Bytes received. */
  readonly receivedBytes: number;
}

/** A runtime without an operating system. */
export interface MemoryRuntime extends Runtime {
  readonly clock: VirtualClock;
  /** Every thread that was started, in order; also those that have ended. */
  readonly threads: readonly MemoryThread[];
  /** Every line that was printed. */
  readonly printed: string[];
  /** Connects to the one listener. */
  connect(remoteAddress?: Address, negotiatedProtocol?: string): MemoryPeer;
  /** Makes accepting fail once. */
  failAccept(cause: Error): void;
}

/** The runtime within a thread, whose listener is its own. */
export type MemoryThreadRuntime = Omit<MemoryRuntime, "clock"> & { readonly clock: Clock };

/** What a runtime in memory may be given. */
export interface MemoryRuntimeOptions {
  /**
   * What a thread does instead of running its module. It is given the runtime within the thread, and the module's URL.
   * What it throws ends the thread. Without it no thread can be started.
   */
  readonly thread?: (runtime: MemoryThreadRuntime, entry: string) => void | Promise<void>;
  /** What `whyNotShared` says of TCP; `null` unless given. */
  readonly whyNotShared?: string | null;
  /** What `descriptorLimit` says; `null` unless given. */
  readonly descriptorLimit?: number | null;
  /** What a listener does that is to read its certificates anew; nothing has changed, unless given. */
  readonly reloadTls?: () => Promise<boolean>;
  /** What is told of responses of the runtime's own class; all that can be, unless given. */
  readonly responseContents?: ResponseContents;
}

/** Makes a runtime for one server. */
export function createMemoryRuntime(options: MemoryRuntimeOptions = {}): MemoryRuntime {
  return createRuntime(options, new VirtualClock(), () => Promise.resolve(null));
}

function createRuntime<C extends Clock>(
  { thread, whyNotShared = null, responseContents, descriptorLimit = null, reloadTls }: MemoryRuntimeOptions,
  clock: C,
  parentThread: () => Promise<ParentThread | null>,
): Omit<MemoryRuntime, "clock"> & { readonly clock: C } {
  const threads: MemoryThread[] = [];
  const printed: string[] = [];
  let events: TransportEvents | null = null;
  const needEvents = (): TransportEvents => {
    if (events === null) throw new Error("There is no listener.");
    return events;
  };
  return {
    name: "memory",
    version: "1.0.0",
    clock,
    host: createHost(printed),
    printed,
    threads,
    availableCores: () => 1,
    descriptorLimit: () => descriptorLimit,
    decodeLatin1,
    encodeUtf8: (text, bytes, start) => new TextEncoder().encodeInto(text, bytes.subarray(start)).written,
    utf8Length: (text) => new TextEncoder().encode(text).byteLength,
    ...builtinCodecs(),
    ...tracingChannels(),
    listen(options: ListenOptions, listenerEvents: TransportEvents): Listener {
      events = listenerEvents;
      return {
        address: { transport: "tcp", hostname: options.hostname, port: options.port === 0 ? 1 : options.port },
        reloadTls: () => reloadTls === undefined ? Promise.resolve(false) : reloadTls(),
        close: () => void (events = null),
        closeWhenEmpty: () => void (events = null),
        ref: () => {},
        unref: () => {},
      };
    },
    connect: (remoteAddress, negotiatedProtocol) =>
      new MemoryConnection(needEvents(), remoteAddress, negotiatedProtocol).peer,
    failAccept: (cause) => needEvents().onAcceptError(cause),
    whyNotShared: ({ unixPath }) => unixPath === undefined ? whyNotShared : "a Unix domain socket is not shared",
    startThread(entry, events) {
      if (thread === undefined) return Promise.reject(new Error("There is nothing that a thread could do."));
      const ends = new MemoryThreadEnds(entry, events, clock, async (inside) => {
        await thread(
          createRuntime(
            { thread, whyNotShared, responseContents, descriptorLimit, reloadTls },
            inside.clock,
            inside.parentThread,
          ),
          entry,
        );
      });
      threads.push(ends);
      return Promise.resolve(ends);
    },
    limitsThreadMemory: true,
    files: MEMORY_FILES,
    parentThread,
    responseContents: (native) => responseContents ?? detectRuntime().responseContents(native),
  };
}

/** The disk is outside of the virtual clock: every module is there, and no other file. */
const MEMORY_FILES: Files = {
  kindOf: () => Promise.resolve("file"),
  realUrl: () => Promise.resolve(null),
  open: () => Promise.resolve(null),
};

function createHost(printed: string[]): Host {
  return {
    args: [],
    pid: 1,
    environment: () => null,
    print: (line) => void printed.push(line),
    printError: (line) => void printed.push(line),
    droppedLines: 0,
    output: {
      write: (text) => void printed.push(...text.slice(0, -1).split("\n")),
      flushed: () => Promise.resolve(),
    },
    terminal: null,
    openLog: () => Promise.reject(new Error("There are no files.")),
    onStopSignal: () => () => {},
    exit: () => {},
    mainModule: null,
    isWatched: false,
    workingFolder: "file:///",
    exitOrAwaitChange: () => {},
    checkSyntax: () => Promise.resolve(null),
    runWatched: () => Promise.resolve(0),
  };
}

class MemoryConnection implements TransportConnection {
  session: TransportSession | undefined = undefined;
  negotiatedProtocol: string | null;
  tls: TlsInfo | null = null;
  readonly localAddress: Address = { transport: "tcp", hostname: "10.0.0.1", port: 80 };
  readonly remoteAddress: Address;
  readonly peer: MemoryPeer;
  readonly #events: TransportEvents;
  /** What came since {@linkcode MemoryPeer.received} was last asked. */
  #undecoded: Uint8Array[] = [];
  #decoded = "";
  #receivedBytes = 0;
  #toServer: Uint8Array[] = [];
  #toPeer: Uint8Array[] = [];
  #waitingBytes = 0;
  #windowBytes = Infinity;
  #isPaused = false;
  #peerHasEnded = false;
  #endWasTold = false;
  #serverSide: "open" | "ending" | "ended" | "closed" = "open";
  #owesDrain = false;
  #pumpIsScheduled = false;
  #isOpened = false;
  #isShakingHands = false;
  #closeCause: Error | undefined;
  #closeWasTold = false;
  #wasCutOff = false;
  #isPeerWatched = false;

  constructor(events: TransportEvents, remoteAddress?: Address, negotiatedProtocol: string | null = null) {
    this.#events = events;
    this.negotiatedProtocol = negotiatedProtocol;
    this.remoteAddress = remoteAddress ?? { transport: "tcp", hostname: "10.0.0.2", port: 50_000 };
    this.peer = this.#createPeer();
    this.#schedule();
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    if (this.#serverSide !== "open") return false;
    this.#toPeer.push(bytes.subarray(start, end));
    this.#waitingBytes += end - start;
    this.#moveToPeer();
    if (this.#waitingBytes <= HIGH_WATER_BYTES) return true;
    this.#owesDrain = true;
    return false;
  }

  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean {
    return this.write(bytes.slice(start, end));
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    let isFree = false;
    for (const piece of pieces) isFree = this.write(piece);
    return isFree;
  }

  startTls(rest: Uint8Array): void {
    this.#isShakingHands = true;
    if (rest.byteLength > 0) this.#toServer.unshift(rest.slice());
    this.#schedule();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  watchPeer(): void {
    this.#isPeerWatched = true;
  }

  end(): void {
    if (this.#serverSide !== "open") return;
    this.#serverSide = "ending";
    this.#owesDrain = false;
    this.#schedule();
  }

  abort(): void {
    this.#close(undefined);
  }

  cutOff(): void {
    if (this.#serverSide !== "closed") this.#wasCutOff = true;
    this.#close(undefined);
  }

  #createPeer(): MemoryPeer {
    // deno-lint-ignore no-this-alias -- The getters below belong to another object.
    const connection = this;
    return {
      send: (content) => {
        const bytes = typeof content === "string" ? latin1(content) : content.slice();
        if (bytes.byteLength > 0) this.#toServer.push(bytes);
        this.#schedule();
      },
      received: () => {
        for (const bytes of this.#undecoded) this.#decoded += decodeLatin1(bytes, 0, bytes.byteLength);
        this.#undecoded = [];
        return this.#decoded;
      },
      end: () => {
        this.#peerHasEnded = true;
        this.#schedule();
      },
      reset: () => this.#close(new Error("The peer has reset the connection.")),
      stopReading: (windowBytes = RECEIVE_WINDOW_BYTES) => void (this.#windowBytes = windowBytes),
      read: (bytes = Infinity) => {
        this.#windowBytes += bytes;
        this.#moveToPeer();
        this.#schedule();
      },
      get serverSide() {
        return connection.#serverSide === "ending" ? "open" : connection.#serverSide;
      },
      get wasCutOff() {
        return connection.#wasCutOff;
      },
      get isWatchedByServer() {
        return connection.#isPeerWatched;
      },
      get isPausedByServer() {
        return connection.#isPaused;
      },
      get receivedBytes() {
        return connection.#receivedBytes;
      },
    };
  }

  #moveToPeer(): void {
    while (this.#toPeer.length > 0 && this.#windowBytes > 0) {
      const first = this.#toPeer[0];
      const taken = first.slice(0, Math.min(first.byteLength, this.#windowBytes));
      this.#undecoded.push(taken);
      this.#receivedBytes += taken.byteLength;
      this.#windowBytes -= taken.byteLength;
      this.#waitingBytes -= taken.byteLength;
      if (taken.byteLength === first.byteLength) this.#toPeer.shift();
      else this.#toPeer[0] = first.subarray(taken.byteLength);
    }
  }

  #close(cause: Error | undefined): void {
    if (this.#serverSide === "closed") return;
    this.#serverSide = "closed";
    this.#closeCause = cause;
    this.#toServer = [];
    this.#toPeer = [];
    this.#schedule();
  }

  /** Events never happen inside a call of the core. */
  #schedule(): void {
    if (this.#pumpIsScheduled) return;
    this.#pumpIsScheduled = true;
    queueMicrotask(() => {
      this.#pumpIsScheduled = false;
      if (this.#pump()) this.#schedule();
    });
  }

  /** Makes at most one event; returns whether there may be another. */
  #pump(): boolean {
    if (!this.#isOpened) {
      this.#isOpened = true;
      this.#events.onOpen(this);
      return true;
    }
    if (this.#serverSide === "closed") {
      if (this.#closeWasTold) return false;
      this.#closeWasTold = true;
      this.#events.onClose(this, this.#closeCause);
      return false;
    }
    if (this.#waitingBytes === 0 && this.#owesDrain) {
      this.#owesDrain = false;
      this.#events.onDrain(this);
      return true;
    }
    if (this.#serverSide === "ending" && this.#waitingBytes === 0) {
      this.#serverSide = "ended";
      return true;
    }
    return this.#pumpInput();
  }

  /** In place of a handshake the peer sends a line that names a protocol; one that begins with "!" fails. */
  #shakeHands(): boolean {
    const line = this.#toServer.map((bytes) => decodeLatin1(bytes, 0, bytes.byteLength)).join("");
    const end = line.indexOf("\n");
    if (end < 0) {
      if (this.#peerHasEnded) this.#close(undefined);
      return this.#peerHasEnded;
    }
    this.#isShakingHands = false;
    const alpnProtocol = line.slice(0, end);
    if (alpnProtocol.startsWith("!")) {
      this.#close(new Error("The handshake has failed."));
      return true;
    }
    this.#toServer = end + 1 < line.length ? [latin1(line.slice(end + 1))] : [];
    this.negotiatedProtocol = alpnProtocol;
    this.tls = {
      protocol: "TLSv1.3",
      cipher: "TLS_AES_128_GCM_SHA256",
      alpnProtocol,
      serverName: "a.test",
      peerCertificate: null,
    };
    this.#events.onSecure(this);
    return true;
  }

  #pumpInput(): boolean {
    if (this.#isShakingHands) return this.#shakeHands();
    if (this.#toServer.length > 0) {
      if (this.#isPaused) return false;
      const bytes = this.#toServer.shift()!;
      const end = bytes.byteLength;
      // What lies behind the end in the buffer of an adapter is left from other reads, and must never be looked at.
      const buffer = new Uint8Array(end + STALE_TAIL.byteLength);
      buffer.set(bytes);
      buffer.set(STALE_TAIL, end);
      this.#events.onData(this, buffer, end);
      buffer.fill(STALE_BYTE);
      return true;
    }
    if (this.#peerHasEnded && !this.#endWasTold) {
      if (this.#isPaused) return false;
      this.#endWasTold = true;
      this.#events.onEnd(this);
      return true;
    }
    if (this.#endWasTold && this.#serverSide === "ended") {
      this.#close(undefined);
      return true;
    }
    return false;
  }
}
