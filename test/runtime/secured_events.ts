/**
 * Connections that speak TLS from their first byte on, in the eyes of a test: the handshake is begun as soon as they are
 * open, and they are told of when it is done.
 *
 * @module
 */

import type { TransportConnection, TransportEvents } from "../../src/transport.ts";

const NO_BYTES = new Uint8Array(0);

/** Passes the events of connections on to `events` that have done their handshake. */
export function securing(events: TransportEvents): TransportEvents {
  const secured = new WeakSet<TransportConnection>();
  return {
    onOpen: (transport) => transport.startTls(NO_BYTES),
    onSecure(transport) {
      secured.add(transport);
      events.onOpen(transport);
    },
    onData: (transport, borrowed, end) => events.onData(transport, borrowed, end),
    onDrain: (transport) => events.onDrain(transport),
    onEnd: (transport) => events.onEnd(transport),
    onClose(transport, cause) {
      if (secured.has(transport)) events.onClose(transport, cause);
    },
    onAcceptError: (cause) => events.onAcceptError(cause),
  };
}
