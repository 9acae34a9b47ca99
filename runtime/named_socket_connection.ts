/**
 * What the connections of Node and Bun have in common beyond those of Deno: sockets that know their addresses and are
 * paused and resumed.
 *
 * @module
 */

import type { Address, TransportEvents } from "../src/runtime.ts";
import { localAddressOf, type NamedSocket, remoteAddressOf } from "./addresses.ts";
import { SocketConnection } from "./socket_connection.ts";

/** A socket that tells its addresses and reads by itself until it is paused. */
interface PausableSocket extends NamedSocket {
  /** What TLS has agreed on; Bun and Node say `false` where that is nothing. */
  readonly alpnProtocol?: string | false | null;
  pause(): unknown;
  resume(): unknown;
}

/** A connection over such a socket. */
export abstract class NamedSocketConnection<Socket extends PausableSocket> extends SocketConnection {
  protected readonly socket: Socket;
  readonly #listener: Address;

  /**
   * @param socket The runtime's socket.
   * @param events Who is told what happens.
   * @param listener Where the connection was accepted, for sockets that have no port.
   */
  constructor(socket: Socket, events: TransportEvents, listener: Address) {
    super(events);
    this.socket = socket;
    this.#listener = listener;
  }

  override get negotiatedProtocol(): string | null {
    return this.socket.alpnProtocol || null;
  }

  protected findRemoteAddress(): Address {
    return remoteAddressOf(this.socket, this.#listener);
  }

  protected findLocalAddress(): Address {
    return localAddressOf(this.socket, this.#listener);
  }

  protected pauseSocket(): void {
    this.socket.pause();
  }

  protected resumeSocket(): void {
    this.socket.resume();
  }
}
