/**
 * Node: `node:net` and `node:tls` behind the contract of `src/runtime.ts`.
 *
 * Translation only. The modules of Node are loaded when they are needed, because importing them costs Deno 50 ms and
 * this file is imported everywhere.
 *
 * @module
 */

import type { AddressInfo, Server, Socket } from "node:net";
import type { Address, Listener, ListenOptions, ResponseContents, Runtime } from "../src/runtime.ts";
import type { TcpAddress, TlsOptions, TransportEvents } from "../src/runtime.ts";
import { reachable, turnsOver } from "./accept_queue.ts";
import { tcpAddress } from "./addresses.ts";
import { bufferCodecs } from "./buffer_codecs.ts";
import { builtinCodecs } from "./builtin_codecs.ts";
import { createSystemClock } from "./clock.ts";
import { readDescriptorLimit } from "./descriptor_limit.ts";
import { createFiles } from "./files.ts";
import { HANDSHAKE_LIMITS } from "./handshakes.ts";
import { NamedSocketConnection } from "./named_socket_connection.ts";
import { ProcessHost } from "./process_host.ts";
import { whyNotBalanced } from "./sharing.ts";
import type { CloseManner } from "./socket_connection.ts";
import { createThreads } from "./threads.ts";
import { tracingChannels } from "./tracing.ts";

/** Bytes that wait in a socket before `write` returns false. Node's own 16 KiB is less than most single responses. */
const HIGH_WATER_BYTES = 128 * 1024;
/** Room for one read, as much as Node itself gives one. */
const READ_BYTES = 64 * 1024;
/** The first versions of Node that can share a port. */
const REUSE_PORT_SINCE = [[22, 12], [23, 1]];

/** Makes the adapter. */
export function createNodeRuntime(): Runtime {
  return {
    name: "node",
    version: process.versions.node,
    clock: createSystemClock((handle) => (handle as { unref(): void }).unref()),
    host: new ProcessHost(process.argv.slice(2), process.argv[1]),
    files: createFiles(),
    availableCores,
    descriptorLimit: () => readDescriptorLimit(process.getBuiltinModule?.("node:fs").readFileSync),
    listen,
    whyNotShared,
    ...createThreads({ canEndBusyThreads: true, limitsThreadMemory: true, searchesMessages: false }),
    ...bufferCodecs(),
    ...builtinCodecs(),
    ...tracingChannels(),
    responseContents: () => STREAMS_ONLY,
  };
}

/**
 * Nothing public tells what a Response was made of: Node 20 and 22 keep that in undocumented objects and 24 in private
 * fields; printing it shows the same byte stream for text, bytes, a Blob and a form, as does reading from it; cloning,
 * posting it to another thread and `v8.serialize` tell no more. Its streams give text and bytes of any length, and forms
 * of text, within the turn, so that their length is known all the same; from Node 24 on that of a Blob tells its end in the
 * next one.
 */
const STREAMS_ONLY: ResponseContents = { takeWhole: () => null, namesTextType: true, streamTurns: 2, decodes };

/** Codings that fetch knows, also several; Zstandard since Node 24. */
function decodes(codings: string): boolean {
  const hasZstandard = Number.parseInt(process.versions.node) >= 24;
  return codings.split(",").every((coding) => {
    return /^(?:x-gzip|gzip|deflate|br)$/.test(coding.trim()) || (hasZstandard && coding.trim() === "zstd");
  });
}

async function listen(options: ListenOptions, events: TransportEvents): Promise<Listener> {
  const { hostname: host, port, unixPath: path, tcpBacklog: backlog, reusePort, tls } = options;
  if (reusePort && whyCannotReusePort() !== null) {
    throw Object.assign(new Error(`${whyCannotReusePort()}.`), { code: "ERR_REUSE_PORT_UNSUPPORTED" });
  }
  const attach = (socket: Socket): NodeConnection => new NodeConnection(socket, events, listener.address);
  const server = tls === undefined ? await createTcpServer(attach) : await createTlsServer(tls, attach);
  const { connect } = await import("node:net");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path === undefined ? { host, port, backlog, reusePort } as object : { path, backlog }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // libuv closes a connection it has no descriptor for and goes on, so that there is nothing to wait for here.
  server.on("error", (cause: Error) => events.onAcceptError(cause));
  const address = toListenAddress(server.address());
  const close = (): void => void server.close();
  const listener: Listener = {
    address,
    close,
    closeWhenEmpty: async () => {
      if (address.transport === "tcp" && !reusePort) await emptyQueue(server, reachable(address), connect);
      else await turnsOver();
      close();
    },
    ref: () => void server.ref(),
    unref: () => void server.unref(),
  };
  return listener;
}

/** How often it is tried to take the one place of the queue; each time a client was faster. */
const MAX_FILL_TRIES = 50;

/**
 * Has everything accepted that is in the queue of a listener, and leaves it in a state in which closing it loses nothing:
 * with a queue of one place (Linux refuses nobody beyond it, but does not answer, and clients ask again a second later),
 * which a connection of our own has taken. Node accepts all there is in each turn of its loop, and the place is taken
 * within one, so that nothing stands in the queue beside it.
 */
async function emptyQueue(
  server: Server,
  { hostname: host, port }: TcpAddress,
  connect: typeof import("node:net").connect,
): Promise<void> {
  const { _handle: listening } = server as ServerWithHandle;
  if (typeof listening?.listen !== "function" || listening.listen(0) !== 0) return;
  for (let i = 0; i < MAX_FILL_TRIES && server.listening; i++) {
    await turnsOver();
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

function whyNotShared(options: ListenOptions): string | null {
  return whyNotBalanced(options, process.platform) ?? whyCannotReusePort();
}

/** Makes the connection of a socket. */
type Attach = (socket: Socket) => NodeConnection;

/**
 * Node gives each read 64 KiB of fresh memory and leaves them to the collector. All connections can read into the same
 * buffer instead, because what was read is used or copied before the next read begins; but `onread`, which says so, is
 * an option of sockets and not of servers. So the descriptor of an accepted socket is handed to one with that option.
 */
async function createTcpServer(attach: Attach): Promise<Server> {
  const { createServer, Socket } = await import("node:net");
  const options = { allowHalfOpen: true, highWaterMark: HIGH_WATER_BYTES };
  const buffer = new Uint8Array(READ_BYTES);
  const server = createServer({ ...options, noDelay: true, pauseOnConnect: true });
  return server.on("connection", (accepted: AcceptedSocket) => {
    const { _handle: handle } = accepted;
    if (handle === null || handle === undefined) return openEventful(accepted, attach);
    accepted._handle = null;
    const callback = (readBytes: number): boolean => {
      connection.takeData(buffer.subarray(0, readBytes));
      return true;
    };
    const connection = attach(new Socket({ ...options, handle, onread: { buffer, callback } } as object));
    connection.open();
  });
}

async function createTlsServer(tls: TlsOptions, attach: Attach): Promise<Server> {
  const { createServer } = await import("node:tls");
  const server = createServer({
    ...tls,
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: tls.ca !== undefined,
    ALPNProtocols: ["http/1.1"],
    allowHalfOpen: true,
    noDelay: true,
    highWaterMark: HIGH_WATER_BYTES,
    handshakeTimeout: HANDSHAKE_LIMITS.timeoutMs,
  } as object);
  let handshakes = 0;
  server.on("connection", (socket: Socket) => {
    if (++handshakes > HANDSHAKE_LIMITS.maxAtOnce) socket.destroy();
  });
  // A peer that can't shake hands is no error of this server; Node destroys its socket only if that is still open.
  server.on("tlsClientError", (_error, socket) => {
    handshakes--;
    socket.destroy();
  });
  return server.on("secureConnection", (socket) => {
    handshakes--;
    openEventful(socket, attach);
  });
}

/** Opens a connection whose socket tells what it reads in events, as those for TLS do. */
function openEventful(socket: Socket, attach: Attach): void {
  const connection = attach(socket);
  socket.on("data", (bytes: Uint8Array) => connection.takeData(bytes));
  connection.open();
}

/** What a server and a socket wrap, as far as a queue is emptied by it; Node documents none of it. */
interface ServerWithHandle extends Server {
  _handle?: { listen?(backlog: number): number } | null;
}
interface SocketWithHandle extends Socket {
  _handle?: { getpeername?(into: object): number } | null;
}

/** A socket of Node with what it wraps, which Node documents nowhere and its own modules hand on like this. */
interface AcceptedSocket extends Socket {
  _handle?: object | null;
  /** The TCP socket below one for TLS. */
  _parent?: Socket | null;
}

/** Resets a connection, unless it is gone or of a kind that has no reset. */
function resetSocket(socket: AcceptedSocket): void {
  try {
    (socket._parent ?? socket).resetAndDestroy();
  } catch {
    // It is a Unix domain socket; it has yet to be destroyed.
  }
}

class NodeConnection extends NamedSocketConnection<Socket> {
  #cause: Error | undefined;

  open(): void {
    this.socket
      .on("drain", () => this.#takeDrain())
      .on("end", () => this.inputEnded())
      .on("error", (error) => this.#cause = error)
      .on("close", () => this.#takeClose());
    this.opened();
    // Without a listener for what it reads a socket has to be told to.
    if (this.input === "flowing") this.socket.resume();
  }

  write(bytes: Uint8Array, start = 0, end = bytes.byteLength): boolean {
    // After the peer's reset a write would be told as another error of the socket.
    if (this.output !== "open" || this.isClosed || !this.socket.writable) return false;
    return this.socket.write(bytes.subarray(start, end));
  }

  writeAll(pieces: readonly Uint8Array[]): boolean {
    let isFree = false;
    // A corked socket hands over everything at once, for one writev.
    this.socket.cork();
    for (const piece of pieces) isFree = this.write(piece);
    this.socket.uncork();
    return isFree;
  }

  protected endSocket(): void {
    this.socket.once("finish", () => this.outputEnded()).end();
  }

  protected destroySocket(manner: CloseManner): void {
    if (manner === "cut-off") resetSocket(this.socket);
    this.socket.destroy();
  }

  /** What was read; the bytes are the core's until it returns. */
  takeData(bytes: Uint8Array): void {
    if (!this.isClosed) this.events.onData(this, bytes);
  }

  #takeDrain(): void {
    if (!this.isClosed) this.events.onDrain(this);
  }

  #takeClose(): void {
    // A socket closes by itself when both directions have ended, even if the core has yet to be told of the FIN.
    const mustTellEnd = this.input === "end-held" || this.input === "end-due";
    if (this.#cause === undefined && this.output === "ended" && mustTellEnd) return;
    this.close(this.#cause);
  }
}

/** Node 20 has no navigator, and no way to its modules without waiting before 20.16. */
function availableCores(): number {
  return process.getBuiltinModule?.("node:os").availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

function whyCannotReusePort(): string | null {
  const { node: version } = process.versions;
  const [major, minor] = version.split(".").map(Number);
  const can = REUSE_PORT_SINCE.some(([since, sinceMinor]) => major === since && minor >= sinceMinor) || major > 23;
  return can ? null : `Node ${version} can't share a port; Node 22.12 and newer can`;
}

function toListenAddress(address: AddressInfo | string | null): Address {
  if (address === null || typeof address === "string") return { transport: "unix", path: address ?? "" };
  return tcpAddress(address.address, address.port);
}
