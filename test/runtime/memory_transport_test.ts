/** The in-memory transport keeps the contract of `src/transport.ts`. */

import { describe } from "node:test";
import type { TransportEvents } from "../../src/transport.ts";
import { createMemoryRuntime, type MemoryPeer } from "../support/memory_runtime.ts";
import { AT_ANY_PORT } from "./event_recorder.ts";
import { testTransport, type TransportHarness, type TransportPeer } from "./transport_rules.ts";

/** Far more turns of the event loop than anything in memory takes. */
const MAX_TURNS = 10_000;

describe("the transport in memory", () =>
  testTransport({ listen, congestingBytes: 1 << 20, systemBytes: 0, canReset: true, canCutOff: true }));

async function listen(events: TransportEvents): Promise<TransportHarness> {
  const runtime = createMemoryRuntime();
  const listener = await runtime.listen(AT_ANY_PORT, events);
  return {
    connect: () => Promise.resolve(createPeer(runtime.connect())),
    close: () => listener.close(),
  };
}

function createPeer(peer: MemoryPeer): TransportPeer {
  let takenBytes = 0;
  const take = (byteLength = Infinity): string => {
    const taken = peer.received().slice(takenBytes, takenBytes + byteLength);
    takenBytes += taken.length;
    return taken;
  };
  return {
    send: (content) => peer.send(content),
    async receive(byteLength) {
      await until(() => peer.receivedBytes - takenBytes >= byteLength);
      return take(byteLength);
    },
    async receiveAll() {
      await until(() => peer.serverSide !== "open");
      return take();
    },
    sawReset: () => peer.wasCutOff,
    closed: () => until(() => peer.serverSide === "closed"),
    pause: () => peer.stopReading(),
    resume: () => peer.read(),
    end: () => peer.end(),
    reset: () => peer.reset(),
  };
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; !isTrue(); turn++) {
    if (turn === MAX_TURNS) throw new Error(`Nothing came within ${MAX_TURNS} turns of the event loop.`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
