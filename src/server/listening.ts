/**
 * Where a server listens: how its listener is opened, and what that place is called.
 *
 * It decides which address is tried and what a failure is told as. It must not know when a server listens.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { ResolvedOptions } from "../api/resolve_options.ts";
import { toTlsError } from "./certificates.ts";
import { composeAuthority } from "../http/ip_address.ts";
import type { Runtime } from "../runtime.ts";
import type { Address, Listener, ListenOptions, TlsOptions, TransportEvents } from "../transport.ts";

/** Opens the listener that the options ask for; at once, or as a promise, as the runtime has it. */
export function openListener(
  options: ResolvedOptions,
  runtime: Runtime,
  events: TransportEvents,
  listeners: number,
): Listener | Promise<Listener> {
  const { hostname, port, unix: unixPath, unixMode, fd: descriptor, tcpBacklog, tls } = options;
  const isShared = listeners > 1;
  const reusePort = options.reusePort || isShared;
  const at = (hostname: string): ListenOptions => {
    return { hostname, port, unixPath, unixMode, descriptor, tcpBacklog, reusePort, listeners, tls };
  };
  if (hostname === undefined) return listenAnywhere((any) => listenAt(at(any)));
  return listenAt(at(hostname));

  function listenAt(where: ListenOptions): Listener | Promise<Listener> {
    const listen = (): Listener | Promise<Listener> => runtime.listen(where, events);
    // Loops share the port with each other, and with another server only if that was asked for. A socket that may share
    // its port does not notice who else does; one that may not fails then.
    if (!isShared || options.reusePort || port === 0) return listen();
    return probe(runtime, { ...where, reusePort: false, tls: undefined }).then(listen);
  }
}

/** What a system says that has no IPv6. */
const WITHOUT_IPV6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT", "EINVAL"];

/** Every address, of both families where the system has IPv6. */
function listenAnywhere(listenAt: (hostname: string) => Listener | Promise<Listener>): Listener | Promise<Listener> {
  const withoutIpv6 = (cause: unknown): Listener | Promise<Listener> => {
    const { code } = cause as { code?: unknown };
    if (!WITHOUT_IPV6.includes(String(code))) throw cause;
    return listenAt("0.0.0.0");
  };
  try {
    const listening = listenAt("::");
    return listening instanceof Promise ? listening.catch(withoutIpv6) : listening;
  } catch (cause) {
    return withoutIpv6(cause);
  }
}

/** Fails as listening does at an address that is taken, and leaves it as it was. */
async function probe(runtime: Runtime, where: ListenOptions): Promise<void> {
  const ignored: TransportEvents = {
    // A client that comes within the probe is cut off: a moment before it would have found no server.
    onOpen: (transport) => transport.abort(),
    onSecure: ignore,
    onData: ignore,
    onDrain: ignore,
    onEnd: ignore,
    onClose: ignore,
    onAcceptError: ignore,
  };
  const listener = await runtime.listen(where, ignored);
  await listener.close();
}

/** What is told of a server that can't listen. */
export function listenFailed({ hostname, port, unix, fd }: ResolvedOptions, cause: unknown): TrivetError {
  const tlsError = toTlsError(cause);
  if (tlsError !== null) return tlsError;
  const where = fd !== undefined
    ? `the descriptor ${fd}`
    : unix ?? (hostname === undefined ? `port ${port}` : composeAuthority(hostname, port));
  const reason = reasonOf(cause);
  const advices = unix === undefined ? PORT_ADVICE : PATH_ADVICE;
  const advice = advices[codeOf(cause, hostname)];
  const message = `Can't listen at ${where}: ${reason}`;
  const text = advice === undefined ? message : `${message.replace(/\.$/, "")}. ${advice}`;
  const error = new TrivetError("listen-failed", text, { cause });
  // Nothing of the user's is on this stack, and it is what a runtime prints of a start that nothing awaits.
  error.stack = `${error.name}: ${error.message}`;
  return error;
}

/** The code of the system. Deno and Bun give none where a hostname can't be resolved, nor a class that would tell. */
function codeOf(cause: unknown, hostname: string | undefined): string {
  const { code, name } = (cause ?? {}) as { code?: unknown; name?: unknown };
  return String(code ?? (name === "Error" && hostname !== undefined ? "ENOTFOUND" : ""));
}

/** What to do where a port can't be had, by the code of the system. */
const PORT_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: "Something listens there already: stop it, or choose another port, such as 0 for any that is free.",
  EACCES: "Ports below 1024 need a privilege.",
  EADDRNOTAVAIL: "The hostname is an address of this machine; without one the server listens at every address.",
  ENOTFOUND: "The hostname is an address of this machine; without one the server listens at every address.",
};

/** What to do where the path of a Unix domain socket can't be had. A folder that is missing is EACCES on Node. */
const PATH_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: "Something listens there already, or what is there is no socket: choose another path, or remove it.",
  EACCES: "The folder of the path must be there, and must be one that can be written to.",
  ENOENT: "The folder of the path must be there, and must be one that can be written to.",
};

/** The URL of an address. One at which every interface is meant can't be connected to by that name everywhere. */
export function urlOf(address: Address, tls: TlsOptions | undefined): string {
  const scheme = tls === undefined ? "http" : "https";
  if (address.transport === "unix") return `${scheme}+unix://${encodeURIComponent(address.path)}/`;
  const isAny = address.hostname === "0.0.0.0" || address.hostname === "::";
  return `${scheme}://${composeAuthority(isAny ? "localhost" : address.hostname, address.port)}/`;
}

/** The runtime's own words; not every runtime names the code of the system's error in them. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as { code?: unknown };
  const isNamed = typeof code !== "string" || cause.message.includes(code);
  return isNamed ? cause.message : `${cause.message} (${code})`;
}

function ignore(): void {}
