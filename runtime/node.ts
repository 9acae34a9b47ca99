/**
 * Node: `node:net` and `node:tls` behind the contract of `src/runtime.ts`.
 *
 * Translation only. The modules of Node are loaded when they are needed, because importing them costs Deno 50 ms and
 * this file is imported everywhere.
 *
 * @module
 */

import type { AddressInfo, Server, Socket } from "node:net";
import type { Address, Host, Listener, ListenOptions, Runtime } from "../src/runtime.ts";
import type { TransportConnection, TransportEvents } from "../src/runtime.ts";
import { createSystemClock } from "./clock.ts";

/** Bytes that wait in a socket before `write` returns false. Node's own 16 KiB is less than most single responses. */
const HIGH_WATER_BYTES = 128 * 1024;
/** A TLS handshake that takes longer is given up; Node's own default is 120 s. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** The first versions of Node that can share a port. */
const REUSE_PORT_SINCE = [[22, 12], [23, 1]];

/** Makes the adapter. */
export function createNodeRuntime(): Runtime {
  const latin1Slice = (Buffer.prototype as unknown as { latin1Slice(start: number, end: number): string }).latin1Slice;
  return {
    name: "node",
    version: process.versions.node,
    clock: createSystemClock((handle) => (handle as { unref(): void }).unref()),
    host: createHost(),
    availableCores: () => globalThis.navigator?.hardwareConcurrency ?? 1,
    listen,
    decodeLatin1: (bytes, start, end) => latin1Slice.call(bytes, start, end),
  };
}

async function listen(options: ListenOptions, events: TransportEvents): Promise<Listener> {
  if (options.reusePort && !canReusePort(process.versions.node)) {
    const message = `Node ${process.versions.node} can't share a port; Node 22.12 and newer can.`;
    throw Object.assign(new Error(message), { code: "ERR_REUSE_PORT_UNSUPPORTED" });
  }
  const server = options.tls === undefined ? await createTcpServer(events) : await createTlsServer(options.tls, events);
  const { hostname: host, port, unixPath: path, tcpBacklog: backlog, reusePort } = options;
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
  return { address, close: () => void server.close(), ref: () => void server.ref(), unref: () => void server.unref() };
}

async function createTcpServer(events: TransportEvents): Promise<Server> {
  const { createServer } = await import("node:net");
  const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATER_BYTES });
  return server.on("connection", (socket) => attach(socket, events));
}

async function createTlsServer(tls: NonNullable<ListenOptions["tls"]>, events: TransportEvents): Promise<Server> {
  const { createServer } = await import("node:tls");
  const server = createServer({
    ...tls,
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: tls.ca !== undefined,
    ALPNProtocols: ["http/1.1"],
    allowHalfOpen: true,
    noDelay: true,
    highWaterMark: HIGH_WATER_BYTES,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  } as object);
  // A peer that can't shake hands is nobody's error; its socket is destroyed by Node after this event only if it is still open.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server.on("secureConnection", (socket) => attach(socket, events));
}

function attach(socket: Socket, events: TransportEvents): void {
  const connection = new NodeConnection(socket);
  let cause: Error | undefined;
  socket.on("data", (bytes: Uint8Array) => events.onData(connection, bytes));
  socket.on("drain", () => connection.isOpen && events.onDrain(connection));
  socket.on("end", () => connection.isOpen && events.onEnd(connection));
  socket.on("error", (error) => cause = error);
  socket.on("close", () => events.onClose(connection, connection.isOpen ? cause : undefined));
  events.onOpen(connection);
}

class NodeConnection implements TransportConnection {
  session: unknown = undefined;
  /** False once it was aborted: from then on only its close is told. */
  isOpen = true;
  readonly #socket: Socket;
  #remoteAddress: Address | null = null;
  #localAddress: Address | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get remoteAddress(): Address {
    return this.#remoteAddress ??= toAddress(this.#socket.remoteAddress, this.#socket.remotePort);
  }

  get localAddress(): Address {
    return this.#localAddress ??= toAddress(this.#socket.localAddress, this.#socket.localPort);
  }

  write(bytes: Uint8Array): boolean {
    // A write that was not allowed would be told as an error of the socket, and close it.
    if (!this.#socket.writable) return false;
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  abort(): void {
    this.isOpen = false;
    this.#socket.destroy();
  }
}

function canReusePort(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return REUSE_PORT_SINCE.some(([since, sinceMinor]) => major === since && minor >= sinceMinor) || major > 23;
}

/** Node has an address without a port for Unix domain sockets, and none for their clients. */
function toAddress(hostname: string | undefined, port: number | undefined): Address {
  if (hostname === undefined || port === undefined) return { transport: "unix", path: "" };
  return { transport: "tcp", hostname, port };
}

function toListenAddress(address: AddressInfo | string | null): Address {
  if (address === null || typeof address === "string") return { transport: "unix", path: address ?? "" };
  return { transport: "tcp", hostname: address.address, port: address.port };
}

function createHost(): Host {
  return {
    args: process.argv.slice(2),
    print: (line) => void process.stdout.write(`${line}\n`),
    printError: (line) => void process.stderr.write(`${line}\n`),
    onStopSignal(callback) {
      process.on("SIGINT", callback).on("SIGTERM", callback);
      return () => void process.off("SIGINT", callback).off("SIGTERM", callback);
    },
    exit: (code) => void process.exit(code),
    async locate(path) {
      const [{ existsSync }, { pathToFileURL }] = await Promise.all([import("node:fs"), import("node:url")]);
      return existsSync(path) ? pathToFileURL(path).href : null;
    },
  };
}
