/** How the queue of a listener is emptied where the system can't be told to leave new clients unanswered. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  AcceptQueue,
  type Dialled,
  EMPTYING_LIMIT_MS,
  type QueueOwner,
  reachable,
  ROUND_MS,
} from "../../runtime/accept_queue.ts";
import type { TcpAddress } from "../../src/runtime.ts";

const LISTENER: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 8000 };
const OWN: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 50_001 };
const CLIENT: TcpAddress = { transport: "tcp", hostname: "127.0.0.1", port: 50_002 };

/** Empties a queue in which a client is, and tells what was done. */
async function empty(dial: (accept: (peer: TcpAddress) => void) => Promise<Dialled>): Promise<string[]> {
  const queue = new AcceptQueue();
  const done: string[] = [];
  const accept = (peer: TcpAddress): void => {
    const name = peer === OWN ? "own" : "client";
    const open = (): void => void done.push(`${name} opened`);
    if (queue.isEmptying) queue.hold(peer, open, () => void done.push(`${name} discarded`));
    else open();
  };
  let isClosed = false;
  const close = (): void => {
    if (!isClosed) done.push("closed");
    isClosed = true;
  };
  const owner: QueueOwner = { acceptsRest: true, close, dial: () => dial(accept) };
  await queue.empty(owner, LISTENER);
  accept(CLIENT);
  return done;
}

describe("emptying the queue of a listener", () => {
  const made: Dialled = { address: OWN, close: () => {} };

  test("closes it when a connection of its own was accepted, which the core does not hear of", async () => {
    const done = await empty((accept) => {
      accept(CLIENT);
      accept(OWN);
      return Promise.resolve(made);
    });
    assert.deepEqual(done, ["closed", "own discarded", "client opened", "client opened"]);
  });

  test("knows its own also when it is accepted after it was made", async () => {
    const done = await empty((accept) => {
      accept(CLIENT);
      setTimeout(() => accept(OWN), 1);
      return Promise.resolve(made);
    });
    assert.deepEqual(done.toSorted(), ["client opened", "client opened", "closed", "own discarded"]);
  });

  test("knows its own also when it is accepted after its round is over", async () => {
    let dialledCount = 0;
    const done = await empty((accept) => {
      if (dialledCount++ > 0) return new Promise(() => {});
      setTimeout(() => accept(OWN), 2 * ROUND_MS);
      return Promise.resolve(made);
    });
    assert.deepEqual(done, ["own discarded", "closed", "client opened"]);
  });

  test("knows its own also when it is told of it after its round is over", async () => {
    let dialledCount = 0;
    const done = await empty((accept) => {
      if (dialledCount++ > 0) return Promise.resolve({ address: CLIENT, close: () => {} });
      accept(OWN);
      return new Promise((resolve) => setTimeout(() => resolve(made), 2 * ROUND_MS));
    });
    assert.deepEqual(done.toSorted(), ["client opened", "closed", "own discarded"]);
  });

  test("closes it all the same when it can't be connected to, and opens what came", async () => {
    const done = await empty((accept) => {
      accept(CLIENT);
      return Promise.reject(new Error("It is not permitted."));
    });
    assert.deepEqual(done.filter((each) => each === "closed").length, 1);
    assert.deepEqual(done.filter((each) => each === "client opened").length, 3);
  });

  test("closes it when the time is over in which none of its own was accepted", async () => {
    const beganAtMs = performance.now();
    assert.deepEqual(await empty(() => Promise.resolve(made)), ["closed", "client opened"]);
    assert.ok(performance.now() - beganAtMs >= EMPTYING_LIMIT_MS);
  });
});

describe("a listener at every address", () => {
  test("is reached at this machine's own, by IPv4 first", () => {
    const at = (hostname: string, failures: number): string =>
      reachable({ transport: "tcp", hostname, port: 1 }, failures).hostname;
    assert.deepEqual([at("::", 0), at("::", 1), at("0.0.0.0", 0), at("0.0.0.0", 1)], [
      "127.0.0.1",
      "::1",
      "127.0.0.1",
      "127.0.0.1",
    ]);
    assert.equal(at("192.0.2.1", 0), "192.0.2.1");
  });
});
