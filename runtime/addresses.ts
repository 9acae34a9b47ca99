/**
 * The addresses of sockets in the form of the contract. Translation only.
 *
 * @module
 */

import type { Address, TcpAddress } from "../src/transport.ts";

/** The prefix of the address of an IPv4 peer at a listener for IPv6 (RFC 4291 section 2.5.5.2). */
const IPV4_MAPPED = "::ffff:";

/** What sockets of Node and Bun tell of their addresses: nothing once they are closed, or when they have no port. */
export interface NamedSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** The address of one end of TCP. An IPv4 address is given as such, however the system writes it. */
export function tcpAddress(hostname: string, port: number): TcpAddress {
  const isMapped = hostname.startsWith(IPV4_MAPPED) && hostname.includes(".");
  return { transport: "tcp", hostname: isMapped ? hostname.slice(IPV4_MAPPED.length) : hostname, port };
}

/** The peer's address. */
export function remoteAddressOf({ remoteAddress, remotePort }: NamedSocket, listener: Address): Address {
  if (remoteAddress !== undefined && remotePort !== undefined) return tcpAddress(remoteAddress, remotePort);
  if (listener.transport === "unix") return { transport: "unix", path: "" };
  // The peer was gone before its address could be asked for. This address stands for none.
  return { transport: "tcp", hostname: "0.0.0.0", port: 0 };
}

/** The address at which a connection was accepted. */
export function localAddressOf({ localAddress, localPort }: NamedSocket, listener: Address): Address {
  if (localAddress !== undefined && localPort !== undefined) return tcpAddress(localAddress, localPort);
  return listener;
}

/** An address as Deno tells it. */
export function addressOf(address: Deno.Addr): Address {
  if (address.transport === "unix") return { transport: "unix", path: address.path ?? "" };
  const { hostname, port } = address as Deno.NetAddr;
  return tcpAddress(hostname, port);
}
