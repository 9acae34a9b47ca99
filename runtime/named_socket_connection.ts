/**
 * What the connections of `node:net` and `Bun.listen` have in common beyond those of `Deno.listen`: sockets that know
 * their addresses and are paused and resumed. Translation only.
 *
 * @module
 */

import type { Address, TransportEvents } from "../src/transport.ts";
import { localAddressOf, type NamedSocket, remoteAddressOf } from "./addresses.ts";
import { SocketConnection } from "./socket_connection.ts";

/** A socket that tells its addresses and reads by itself until it is paused. */
interface PausableSocket extends NamedSocket {
  pause(): unknown;
  resume(): unknown;
  setKeepAlive(isOn: boolean): unknown;
}

/** A connection over such a socket. */
export abstract class NamedSocketConnection<Socket extends PausableSocket> extends SocketConnection {
  protected socket: Socket;
  readonly #listener: Address;

  /**
   * @param socket The runtime's socket.
   * @param events Are told what happens.
   * @param listener Where the connection was accepted, for sockets that have no port.
   */
  constructor(socket: Socket, events: TransportEvents, listener: Address) {
    super(events);
    this.socket = socket;
    this.#listener = listener;
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

  protected keepAliveSocket(): void {
    this.socket.setKeepAlive(true);
  }
}
