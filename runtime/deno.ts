/**
 * Deno behind the contract of `src/runtime.ts`, and `Deno.listen` behind that of `src/transport.ts`; for TLS and
 * handed-over descriptors `node_net.ts`.
 *
 * Translation only. Deno pulls where the contract pushes: each connection has one read under way, and at most one
 * write.
 *
 * @module
 */

import type { Host, Runtime } from "../src/runtime.ts";
import type { Address, Listener, ListenOptions, TransportEvents } from "../src/transport.ts";
import { addressOf } from "./addresses.ts";
import { scheduleApart } from "./async_context.ts";
import { bufferCodecs, builtinCodecs } from "./builtin_codecs.ts";
import { WriteBacklog } from "./backlog.ts";
import { createSystemClock } from "./clock.ts";
import { Acceptor, closeQuietly, openLibrary, portsAreFree, prepareForShortage } from "./deno_acceptor.ts";
import { createDenoResponseContents } from "./deno_responses.ts";
import { LoopTurns } from "./deno_loop_turns.ts";
import { readDescriptorLimit } from "./descriptor_limit.ts";
import { createFiles } from "./files.ts";
import { toFileUrl } from "./file_urls.ts";
import { listenOverNet, type NetTraits } from "./node_net.ts";
import { Output, Outputs, type OutputWriter } from "./output.ts";
import { ReadTurns, type TurnTaker } from "./deno_read_turns.ts";
import { runWatched } from "./watching.ts";
import { whyNotBalanced } from "./sharing.ts";
import { listenAtPath } from "./unix_path.ts";
import { SocketConnection } from "./socket_connection.ts";
import { createThreads } from "./threads.ts";
import { tracingChannels } from "./tracing.ts";

/**
 * A read under way holds its buffer. It is small while a connection is idle (ten thousand of them have 40 MB), grows
 * when reads fill it and shrinks when they don't. At its largest it takes what is most often sent at once, 64 KiB and a
 * head.
 */
const MIN_READ_BYTES = 4 * 1024;
const MAX_READ_BYTES = 72 * 1024;
/** Buffers of connections that are closed, kept for others. */
const MAX_SPARE_BUFFERS = 64;
/** What fits in one segment on any path (RFC 9293 section 3.7.1). */
const MAX_LONE_SEGMENT_BYTES = 536;

/**
 * How far the system still holds back a segment that is not full while another is on its way (Nagle's algorithm). That
 * never concerns the only segment of a connection, so that one which sends no more is spared the system call.
 */
type Nagle = "untouched" | "one-segment" | "off";

/** Makes the adapter. */
export function createDenoRuntime(): Runtime {
  return {
    name: "deno",
    version: Deno.version.deno,
    clock: { ...createSystemClock((handle) => Deno.unrefTimer(handle as number)), defer: loopTurns.defer },
    host: new DenoHost(),
    files: createFiles(),
    availableCores: () => navigator.hardwareConcurrency,
    descriptorLimit: () => readDescriptorLimit(readDeniableFile),
    listen,
    whyNotShared,
    ...createThreads({ canEndBusyThreads: false, limitsThreadMemory: false, searchesMessages: true }),
    ...bufferCodecs(),
    ...builtinCodecs(),
    ...tracingChannels(),
    responseContents: createDenoResponseContents,
  };
}

const NET_TRAITS: NetTraits = {
  ownsHandles: false,
  readsBelowTls: true,
  resetsTls: false,
  stopsAcceptingAtLimit: true,
  openLibrary,
};

function listen(options: ListenOptions, events: TransportEvents): Listener | Promise<Listener> {
  // `Deno.listen` takes no descriptor.
  if (options.tls !== undefined || options.descriptor !== undefined) {
    prepareForShortage();
    return listenAtPath(options, () => listenOverNet(options, events, NET_TRAITS));
  }
  return listenAtPath(options, () => {
    try {
      return listenNow(options, events);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      return portsAreFree().then(() => listenNow(options, events));
    }
  });
}

function listenNow(options: ListenOptions, events: TransportEvents): Listener {
  const listener = bind(options);
  const onConnection = (conn: Deno.Conn) => new DenoConnection(conn, events).open();
  const acceptor = new Acceptor(listener, onConnection, events, options.reusePort, countDescriptors(options));
  acceptor.accept();
  return {
    address: addressOf(listener.addr),
    reloadTls: () => Promise.resolve(false),
    close: () => acceptor.close(),
    closeWhenEmpty: () => acceptor.closeWhenEmpty(),
    ref: () => listener.ref(),
    unref: () => listener.unref(),
  };
}

function bind({ hostname, port, unixPath, tcpBacklog, reusePort }: ListenOptions): Deno.Listener {
  if (unixPath !== undefined) return Deno.listen({ transport: "unix", path: unixPath });
  return Deno.listen({ hostname, port, tcpBacklog, ...(reusePort ? sharing(hostname, port) : {}) });
}

/**
 * What makes a port shared. `reusePort` ends the whole process unless Deno was started with --unstable-net, of which
 * only the presence of `Deno.listenDatagram` tells. `loadBalanced` needs no flag, but is not documented, and does not
 * share a port that the system chose; such a port is found out first.
 */
function sharing(hostname: string, port: number): object {
  if (canReusePort()) return { reusePort: true };
  if (port !== 0) return { loadBalanced: true };
  const probe = Deno.listen({ hostname, port });
  probe.close();
  return { loadBalanced: true, port: probe.addr.port };
}

function canReusePort(): boolean {
  return "listenDatagram" in Deno;
}

/** Listeners with `loadBalanced` are copies of one descriptor, which Deno keeps beside them. */
function countDescriptors({ reusePort, listeners = 1 }: ListenOptions): number {
  return reusePort && !canReusePort() ? listeners + 1 : listeners;
}

function whyNotShared(options: ListenOptions): string | null {
  return whyNotBalanced(options, Deno.build.os);
}

const NO_BUFFER = new Uint8Array(0);
/** Small buffers for reading that are not in use. */
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];

const loopTurns = new LoopTurns();
const readTurns = new ReadTurns(loopTurns);

class DenoConnection extends SocketConnection implements TurnTaker {
  lastRound = 0;
  readonly #conn: Deno.Conn;
  readonly #backlog = new WriteBacklog();
  readonly #onRead = (readBytes: number | null): void => this.#takeRead(readBytes);
  readonly #onWritten = (writtenBytes: number): void => this.#takeWritten(writtenBytes);
  readonly #onFailure = (cause: unknown): void => this.close(cause as Error);
  #readBuffer = spareBuffers.pop() ?? new Uint8Array(MIN_READ_BYTES);
  /** Whether the read before had no need of a buffer as large as it is. */
  #wasSmallRead = false;
  /** Whether the read buffer is Deno's to write to or, until onData returns, the core's to read from. */
  #isReading = false;
  #isWriting = false;
  #nagle: Nagle = "untouched";

  constructor(conn: Deno.Conn, events: TransportEvents) {
    super(events);
    this.#conn = conn;
  }

  open(): void {
    readTurns.openConnections++;
    this.opened();
    this.readOn();
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    if (this.output !== "open" || this.isClosed) return false;
    const isFree = this.#backlog.add(bytes.subarray(start, end));
    if (!this.#isWriting && this.#backlog.byteLength > 0) this.#writeNext();
    return isFree;
  }

  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.output !== "open" || this.isClosed) return false;
    const isFree = this.#backlog.addCopy(bytes, start, end);
    if (!this.#isWriting && this.#backlog.byteLength > 0) this.#writeNext();
    return isFree;
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.output !== "open" || this.isClosed) return false;
    let isFree = true;
    for (const piece of pieces) isFree = this.#backlog.add(piece);
    if (!this.#isWriting && this.#backlog.byteLength > 0) this.#writeNext();
    return isFree;
  }

  protected findRemoteAddress(): Address {
    return addressOf(this.#conn.remoteAddr);
  }

  protected findLocalAddress(): Address {
    return addressOf(this.#conn.localAddr);
  }

  /** The read under way goes on: what it brings is the one onData that may follow. */
  protected pauseSocket(): void {}

  /** A handler may have asked for more: all that is read later must not be told in its async context. */
  protected resumeSocket(): void {
    if (!this.#isReading) scheduleApart(readOn, this);
  }

  protected keepAliveSocket(): void {
    (this.#conn as Deno.TcpConn).setKeepAlive(true);
  }

  readOn(): void {
    if (this.#isReading || this.input !== "flowing" || this.isClosed) return;
    this.#isReading = true;
    this.#conn.read(this.#readBuffer).then(this.#onRead, this.#onFailure);
  }

  protected endSocket(): void {
    if (!this.#isWriting) this.#closeWrite();
  }

  /**
   * There is no reset: `close` of what `Deno.listen` has accepted shuts down writing first, which sends FIN, and a peer
   * that has seen that is not told of a reset behind it. It was tried to set SO_LINGER (`TCP.openFromRid` and `reset`
   * of the handles behind `node:net`), and to leave bytes of the peer unread; both come after the FIN.
   */
  protected destroySocket(): void {
    readTurns.openConnections--;
    this.#backlog.clear();
    closeQuietly(this.#conn);
    this.#spareReadBuffer();
  }

  #takeRead(readBytes: number | null): void {
    if (this.isClosed) return;
    if (readBytes === null) {
      this.#isReading = false;
      this.inputEnded();
      return;
    }
    // Deno may report a read of nothing, which is not the end.
    if (readBytes > 0) {
      this.events.onData(this, this.#readBuffer, readBytes);
      this.#fitReadBuffer(readBytes);
    }
    // Only now, so that a resume() in onData does not have the next bytes written over those being looked at.
    this.#isReading = false;
    readTurns.goOn(this, readBytes >= MIN_READ_BYTES);
  }

  #fitReadBuffer(readBytes: number): void {
    const { byteLength } = this.#readBuffer;
    const isSmallRead = readBytes < MIN_READ_BYTES;
    if (readBytes === byteLength && byteLength < MAX_READ_BYTES) {
      this.#readBuffer = new Uint8Array(Math.min(byteLength * 4, MAX_READ_BYTES));
    } else if (isSmallRead && this.#wasSmallRead && byteLength > MIN_READ_BYTES) {
      this.#readBuffer = new Uint8Array(MIN_READ_BYTES);
    }
    // A single small read may be a head whose content comes next: it is the second that shrinks the buffer.
    this.#wasSmallRead = isSmallRead;
  }

  /** A buffer that Deno may still write to is left to the collector. */
  #spareReadBuffer(): void {
    if (this.#isReading || this.#readBuffer.byteLength !== MIN_READ_BYTES) return;
    if (spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(this.#readBuffer);
    this.#readBuffer = NO_BUFFER;
  }

  #writeNext(): void {
    const bytes = this.#backlog.next();
    if (this.#nagle !== "off") this.#settleNagle(bytes.byteLength);
    this.#isWriting = true;
    this.#conn.write(bytes).then(this.#onWritten, this.#onFailure);
  }

  /** Deno refuses this while a write is under way. */
  #settleNagle(byteLength: number): void {
    if (this.#nagle === "untouched" && byteLength <= MAX_LONE_SEGMENT_BYTES) {
      this.#nagle = "one-segment";
      return;
    }
    this.#nagle = "off";
    if (!("setNoDelay" in this.#conn)) return;
    try {
      (this.#conn as Deno.TcpConn).setNoDelay(true);
    } catch {
      // The peer has reset the connection already; the write tells so.
    }
  }

  #takeWritten(writtenBytes: number): void {
    this.#isWriting = false;
    if (this.isClosed) return;
    const backlog = this.#backlog;
    backlog.advance(writtenBytes);
    if (backlog.byteLength > 0) {
      this.#writeNext();
    } else if (this.output === "ending") {
      this.#closeWrite();
    } else if (backlog.owesDrain) {
      backlog.owesDrain = false;
      this.events.onDrain(this);
    }
  }

  #closeWrite(): void {
    this.#conn.closeWrite().then(() => this.outputEnded(), this.#onFailure);
  }
}

function readOn(connection: DenoConnection): void {
  connection.readOn();
}

/** The standard outputs, which all runtimes that are made in this thread share. */
const output = new Output(createWriter(() => Deno.stdout));
const errors = new Output(createWriter(() => Deno.stderr));

class DenoHost extends Outputs implements Host {
  readonly args: readonly string[] = Deno.args;

  constructor() {
    super(output, errors, (code) => Deno.exit(code));
  }

  get terminal(): Host["terminal"] {
    return Deno.stdout.isTerminal() ? { takesColour: !Deno.noColor } : null;
  }

  readonly pid: number = Deno.pid;

  environment(name: string): string | null {
    // Reading without permission would ask for it, in a dialogue.
    const { state } = Deno.permissions.querySync({ name: "env", variable: name });
    return state === "granted" ? Deno.env.get(name) ?? null : null;
  }

  runWatched(args: readonly string[]): Promise<number> {
    // A program that may run others may do everything: no permission is added here.
    return runWatched(["run", "--allow-all", "--watch"], Deno.mainModule, args);
  }

  checkSyntax(): Promise<null> {
    return Promise.resolve(null);
  }

  get mainModule(): string {
    return Deno.mainModule;
  }

  /** Deno waits for half a second. */
  get isWatched(): boolean {
    return false;
  }

  get workingFolder(): string {
    return `${toFileUrl(Deno.cwd(), Deno.build.os)}/`;
  }

  onStopSignal(callback: (signal: "SIGINT" | "SIGTERM") => void): () => void {
    const onInterrupt = () => callback("SIGINT");
    const onTerminate = () => callback("SIGTERM");
    Deno.addSignalListener("SIGINT", onInterrupt);
    Deno.addSignalListener("SIGTERM", onTerminate);
    return () => {
      Deno.removeSignalListener("SIGINT", onInterrupt);
      Deno.removeSignalListener("SIGTERM", onTerminate);
    };
  }
}

/** `write` of Deno waits for a full pipe outside of the event loop; `console` and `writeSync` wait within it. */
function createWriter(getStream: () => typeof Deno.stdout): OutputWriter {
  const writeWhole = async (text: string): Promise<void> => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.byteLength;) at += await getStream().write(bytes.subarray(at));
  };
  return (text, onDone) => void writeWhole(text).then(() => onDone(true), () => onDone(false));
}

function readDeniableFile(path: string): string {
  // Reading without permission would ask for it, in a dialogue.
  const { state } = Deno.permissions.querySync({ name: "read", path });
  return state === "granted" ? Deno.readTextFileSync(path) : "";
}
