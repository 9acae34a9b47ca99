/**
 * Listening over `node:net`: Node's own way, and that of Deno and Bun for TLS and for a descriptor that was handed
 * over.
 *
 * Translation only. The modules of Node are loaded when they are needed, because importing them costs Deno 50 ms and
 * this file is imported everywhere.
 *
 * @module
 */

import type { AddressInfo, Server, Socket, SocketConstructorOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Address, Listener, ListenOptions, TcpAddress, TlsInfo, TransportEvents } from "../src/transport.ts";
import { acceptedAll, AcceptQueue, type Dialled, EMPTYING_LIMIT_MS, reachable } from "./accept_queue.ts";
import { remoteAddressOf, tcpAddress } from "./addresses.ts";
import { copyAside, giveStorage } from "./backlog.ts";
import { acceptLast, type SystemCalls } from "./listen_filter.ts";
import { NamedSocketConnection } from "./named_socket_connection.ts";
import type { CloseManner } from "./socket_connection.ts";
import type { HandshakeEvents, TlsAcceptor } from "./tls_acceptor.ts";

/** Bytes that wait in a socket before `write` returns false. Node's own 16 KiB is less than most single responses. */
const HIGH_WATER_BYTES = 128 * 1024;
/** The peer's FIN does not end what is being sent to it. */
const SOCKET_OPTIONS = { allowHalfOpen: true, highWaterMark: HIGH_WATER_BYTES };
/** Room for one read, as much as Node itself gives one. */
const READ_BYTES = 64 * 1024;
/** How often a listener is told to listen again that may have stopped accepting. */
const RELISTEN_MS = 500;
/** The length of a queue that is not asked for, as `node:net` has it. */
const DEFAULT_BACKLOG = 511;

const CONNECTION = Symbol("connection");

/** In what `node:net` differs between the runtimes. */
export interface NetTraits {
  /**
   * Whether handles are Node's own: what a listener accepts can be given to a socket of ours, and the listener be told
   * how long its queue is.
   */
  readonly ownsHandles: boolean;
  /**
   * Whether a listener that has met the limit on descriptors accepts nothing any more, and does not tell, as on Deno
   * 2.9. It goes on when its handle is told to listen again.
   */
  readonly stopsAcceptingAtLimit: boolean;
  /** Opens a C library by its name; throws where that can't be done, as on Node. */
  readonly openLibrary: (library: string) => SystemCalls;
  /**
   * Whether pausing a socket for TLS does not stop the one below it, as on Deno 2.9: its handle has to be told, or what
   * the peer sends is read on and kept without bound.
   */
  readonly readsBelowTls: boolean;
  /** Whether a socket for TLS can be reset itself, as on Bun; elsewhere the one below it can. */
  readonly resetsTls: boolean;
}

/** Listens. */
export async function listenOverNet(
  options: ListenOptions,
  events: TransportEvents,
  traits: NetTraits,
): Promise<Listener> {
  const { hostname: host, port, unixPath: path, descriptor, tcpBacklog: backlog, reusePort, tls } = options;
  const acceptor = tls === undefined ? null : await (await import("./tls_acceptor.ts")).TlsAcceptor.create(tls);
  let acceptedCount = 0;
  const attach = (socket: Socket): NetConnection => {
    acceptedCount++;
    return new NetConnection(socket, events, listener.address, acceptor, traits);
  };
  const queue = new AcceptQueue();
  const { connect, createServer, Socket } = await import("node:net");
  const server = createServer({ ...SOCKET_OPTIONS, noDelay: true, pauseOnConnect: true }, (socket) => {
    const open = (): void => attach(socket).openEventful();
    if (!queue.isEmptying) open();
    else queue.hold(remoteAddressOf(socket, listener.address), open, () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const atAddress = path === undefined ? { host, port, backlog, reusePort } as object : { path, backlog };
    server.listen(descriptor === undefined ? atAddress : { fd: descriptor, backlog }, resolve);
  });
  // libuv closes a connection it has no descriptor for and goes on, so that there is nothing to wait for here.
  server.on("error", (cause: Error) => events.onAcceptError(cause));
  if (traits.stopsAcceptingAtLimit) keepAccepting(server, backlog);
  if (traits.ownsHandles && acceptor === null) takeHandles(server, (options) => attach(new Socket(options)));
  const address = toListenAddress(server.address());
  const close = (): void => void server.close();
  const listener: Listener = {
    address,
    reloadTls: () => acceptor === null ? Promise.resolve(false) : acceptor.reload(),
    close,
    closeWhenEmpty: async () => {
      // The process that has bound a socket which was handed over keeps it, and what is in its queue.
      if (descriptor !== undefined || !server.listening) return close();
      const countAccepted = (): number => acceptedCount;
      if (address.transport === "unix") await acceptedAll(countAccepted);
      else if (await acceptLast(traits.openLibrary, address.port, countAccepted, options.listeners ?? 1)) {
        return close();
      } else if (reusePort) {
        // Clients beyond one place are not answered, and ask again a second later.
        if (traits.ownsHandles) (server as ServerWithHandle)._handle?.listen?.(0);
        await acceptedAll(countAccepted);
      } else if (traits.ownsHandles) {
        await emptyQueue(server, reachable(address), connect);
      } else {
        await queue.empty({ close, dial: (to) => dial(connect, to), acceptsRest: false }, address);
      }
      close();
    },
    ref: () => void server.ref(),
    unref: () => void server.unref(),
  };
  return listener;
}

/** Has a listener go on accepting when there are descriptors again. */
function keepAccepting(server: ServerWithHandle, backlog: number = DEFAULT_BACKLOG): void {
  const timer = setInterval(() => void server._handle?.listen?.(backlog), RELISTEN_MS);
  timer.unref();
  server.once("close", () => clearInterval(timer));
}

/**
 * Has everything accepted that is in the queue of a listener, and leaves it in a state in which closing it loses
 * nothing: with a queue of one place (Linux refuses no client beyond it, but does not answer, and clients ask again a
 * second later), which a connection of our own has taken. That it is established shows that nothing else is in the
 * queue, since Node accepts one connection in each turn of its loop, and our own is made and looked at within one.
 */
async function emptyQueue(
  server: Server,
  { hostname: host, port }: TcpAddress,
  connect: typeof import("node:net").connect,
): Promise<void> {
  const { _handle: listening } = server as ServerWithHandle;
  if (typeof listening?.listen !== "function" || listening.listen(0) !== 0) return;
  const untilMs = performance.now() + EMPTYING_LIMIT_MS;
  while (server.listening && performance.now() < untilMs) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    const own = connect({ host, port }).on("error", () => {});
    // Node connects in the next tick, on this machine at once.
    await new Promise<void>((resolve) => process.nextTick(process.nextTick, resolve));
    const { _handle: handle } = own as SocketWithHandle;
    const isFull = handle?.getpeername?.({}) === 0;
    if (isFull) server.close();
    own.destroy();
    if (isFull) return;
  }
}

/** Connects to a listener of our own. */
function dial(connect: typeof import("node:net").connect, { hostname: host, port }: TcpAddress): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => {
      const address = tcpAddress(socket.localAddress!, socket.localPort!);
      resolve({ address, close: () => socket.destroy() });
    });
    socket.on("error", reject);
  });
}

/**
 * Node gives each read 64 KiB of fresh memory and leaves them to the collector. All connections can read into the same
 * buffer instead, because what was read is used or copied before the next read begins; but `onread`, which says so, is
 * an option of sockets and not of servers. So what the listener accepts is given to a socket with that option before
 * the server makes one of its own. Where Node does not hand it out like this, the server does.
 */
function takeHandles(server: ServerWithHandle, attach: (options: SocketConstructorOpts) => NetConnection): void {
  const { _handle: listening } = server;
  const makeSocket = listening?.onconnection;
  if (typeof makeSocket !== "function") return;
  const buffer = new Uint8Array(READ_BYTES);
  listening!.onconnection = function (status, handle) {
    if (status !== 0 || handle === undefined) return makeSocket.call(this, status, handle);
    handle.setNoDelay?.(true);
    const callback = (readBytes: number): boolean => {
      connection.takeData(buffer, readBytes);
      return true;
    };
    const connection = attach({ ...SOCKET_OPTIONS, handle, onread: { buffer, callback } } as SocketConstructorOpts);
    connection.open();
  };
}

/** What a server and a socket wrap, as far as it is used here; Node documents none of it. */
interface ServerWithHandle extends Server {
  _handle?: ListeningHandle | null;
}
interface ListeningHandle {
  listen?(backlog: number): number;
  /** Called with what was accepted, or with the number of an error. */
  onconnection?(this: ListeningHandle, status: number, handle?: { setNoDelay?(isOn: boolean): unknown }): void;
}
interface SocketWithHandle extends Socket {
  _handle?: { getpeername?(into: object): number } | null;
}

/** A socket of Node with what it wraps, and the connection that stands on it. */
interface AcceptedSocket extends Socket {
  _handle?: { readStart(): void; readStop(): void } | null;
  /** The TCP socket below one for TLS. */
  _parent?: Socket | null;
  [CONNECTION]?: NetConnection;
}

/** Resets a connection, unless it is gone or of a kind that has no reset. */
function resetSocket(socket: AcceptedSocket, { resetsTls }: NetTraits): void {
  try {
    (resetsTls ? socket : socket._parent ?? socket).resetAndDestroy();
  } catch {
    // A Unix domain socket has no reset; the caller destroys it.
  }
}

class NetConnection extends NamedSocketConnection<Socket> implements HandshakeEvents {
  readonly #acceptor: TlsAcceptor | null;
  readonly #traits: NetTraits;
  /** Takes what is read where that is told in events. */
  #reader: ((bytes: Uint8Array) => void) | null = null;
  #security: "none" | "begun" | "done" = "none";
  #tls: TlsInfo | null = null;
  #cause: Error | undefined;

  constructor(
    socket: Socket,
    events: TransportEvents,
    listener: Address,
    acceptor: TlsAcceptor | null,
    traits: NetTraits,
  ) {
    super(socket, events, listener);
    this.#acceptor = acceptor;
    this.#traits = traits;
  }

  open(): void {
    this.#listenTo(this.socket);
    this.opened();
    // Without a listener for what it reads a socket has to be told to.
    if (this.input === "flowing" && this.#security === "none") this.socket.resume();
  }

  /** Opens a connection whose socket tells what it reads in events, as all do that were not made for `onread`. */
  openEventful(): void {
    this.#listenTo(this.socket);
    this.opened();
    if (this.#security === "none") this.#readFrom(this.socket);
  }

  override get negotiatedProtocol(): string | null {
    return this.#security === "done" ? (this.socket as TLSSocket).alpnProtocol || null : null;
  }

  override get tls(): TlsInfo | null {
    if (this.#security !== "done") return null;
    return this.#tls ??= this.#acceptor!.describe(this.socket as TLSSocket);
  }

  override startTls(rest: Uint8Array): void {
    if (this.#acceptor === null) return super.startTls(rest);
    if (this.isClosed) return;
    const { socket } = this;
    this.#security = "begun";
    if (this.#reader !== null) socket.off("data", this.#reader).pause();
    if (rest.byteLength > 0) socket.unshift(rest.slice());
    this.#acceptor.accept(socket, this);
  }

  onSecured(socket: TLSSocket): void {
    if (this.isClosed) {
      socket.destroy();
      return;
    }
    this.#security = "done";
    this.socket = socket;
    this.#listenTo(socket);
    this.events.onSecure(this);
    if (!this.isClosed) this.#readFrom(socket);
  }

  onHandshakeFailed(cause: Error): void {
    this.close(cause);
  }

  /** Listens without a closure for each connection: Node calls what listens as methods of the socket. */
  #listenTo(socket: AcceptedSocket): void {
    socket[CONNECTION] = this;
    socket.on("drain", onDrain).on("end", onEnd).on("finish", onFinish).on("error", onError).on("close", onClose);
  }

  #readFrom(socket: Socket): void {
    this.#reader = (bytes) => this.takeData(bytes, bytes.byteLength);
    socket.on("data", this.#reader);
    if (this.input === "flowing") socket.resume();
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    return this.#isWritable && this.socket.write(bytes.subarray(start, end));
  }

  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#isWritable) return false;
    const aside = copyAside(bytes, start, end);
    if (aside === null) return this.socket.write(bytes.slice(start, end));
    return this.socket.write(aside.copy, () => giveStorage(aside.storage));
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    let isFree = false;
    // A corked socket hands over everything at once, for one writev.
    this.socket.cork();
    for (const piece of pieces) isFree = this.write(piece);
    this.socket.uncork();
    return isFree;
  }

  /** After the peer's reset a write would be told as another error of the socket. */
  get #isWritable(): boolean {
    return this.output === "open" && !this.isClosed && this.socket.writable;
  }

  protected endSocket(): void {
    this.socket.end();
  }

  protected destroySocket(manner: CloseManner): void {
    if (manner === "cut-off") resetSocket(this.socket, this.#traits);
    this.socket.destroy();
  }

  protected override pauseSocket(): void {
    super.pauseSocket();
    if (this.#traits.readsBelowTls) this.#handleBelow()?.readStop();
  }

  protected override resumeSocket(): void {
    if (this.#traits.readsBelowTls) this.#handleBelow()?.readStart();
    super.resumeSocket();
  }

  #handleBelow(): AcceptedSocket["_handle"] {
    return this.#security === "done" ? ((this.socket as AcceptedSocket)._parent as AcceptedSocket)._handle : null;
  }

  /** What was read; the bytes are the core's until it returns. */
  takeData(bytes: Uint8Array, end: number): void {
    if (!this.isClosed) this.events.onData(this, bytes, end);
  }

  // What the sockets tell. Once a TLS socket stands in the place of the plain one, that tells of nothing but an error.

  takeDrain(socket: Socket): void {
    if (this.socket === socket && !this.isClosed) this.events.onDrain(this);
  }

  takeEnd(socket: Socket): void {
    if (this.socket === socket && this.#security !== "begun") this.inputEnded();
  }

  takeFinish(socket: Socket): void {
    if (this.socket === socket && this.output === "ending") this.outputEnded();
  }

  takeError(socket: Socket, cause: Error): void {
    this.#cause = cause;
    // A plain socket closes then. One for TLS stays open behind a record that can't be read.
    if (this.socket === socket && this.#security === "done") this.close(cause);
  }

  takeClose(socket: Socket): void {
    if (this.socket !== socket) return;
    // A socket closes by itself when both directions have ended, even if the core has yet to be told of the FIN.
    const mustTellEnd = this.input === "end-held" || this.input === "end-due";
    if (this.#cause === undefined && this.output === "ended" && mustTellEnd) return;
    this.close(this.#cause);
  }
}

function onDrain(this: AcceptedSocket): void {
  this[CONNECTION]!.takeDrain(this);
}

function onEnd(this: AcceptedSocket): void {
  this[CONNECTION]!.takeEnd(this);
}

function onFinish(this: AcceptedSocket): void {
  this[CONNECTION]!.takeFinish(this);
}

function onError(this: AcceptedSocket, cause: Error): void {
  this[CONNECTION]!.takeError(this, cause);
}

function onClose(this: AcceptedSocket): void {
  this[CONNECTION]!.takeClose(this);
}

function toListenAddress(address: AddressInfo | string | null): Address {
  if (address === null || typeof address === "string") return { transport: "unix", path: address ?? "" };
  return tcpAddress(address.address, address.port);
}
