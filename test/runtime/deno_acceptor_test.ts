/** How Deno's adapter accepts: at once, or in turns with others who accept at the same port. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Acceptor } from "../../runtime/deno_acceptor.ts";

/** A queue of connections, as the system keeps it for all threads that listen at a port. */
class Port {
  #waiting = 0;
  #accepts: ((conn: Deno.Conn) => void)[] = [];

  /** So many connections come at once. One thread is awake and sees them; the others have to wake up. */
  receive(count: number): void {
    this.#waiting += count;
    const [first, ...others] = this.#accepts;
    this.#accepts = [];
    if (first !== undefined) this.#accept(first);
    setTimeout(() => others.forEach((accept) => this.#accept(accept)), 0);
  }

  /** What Deno would return for one that listens. */
  listen(): Deno.Listener {
    const accept = () => new Promise<Deno.Conn>((resolve) => this.#accept(resolve));
    return { accept, close() {} } as Partial<Deno.Listener> as Deno.Listener;
  }

  #accept(resolve: (conn: Deno.Conn) => void): void {
    if (this.#waiting === 0) {
      this.#accepts.push(resolve);
    } else {
      this.#waiting--;
      resolve({} as Deno.Conn);
    }
  }
}

const NO_EVENTS = {
  onOpen() {},
  onSecure() {},
  onData() {},
  onDrain() {},
  onEnd() {},
  onClose() {},
  onAcceptError() {},
};
const DEADLINE_MS = 20_000;

/** Acceptors at one port, each with how many connections it took. */
function startAcceptors(count: number, isShared: boolean): { port: Port; taken: number[]; close: () => void } {
  const port = new Port();
  const taken = Array<number>(count).fill(0);
  const acceptors = taken.map((_, i) => new Acceptor(port.listen(), () => void taken[i]++, NO_EVENTS, isShared, 1));
  for (const acceptor of acceptors) acceptor.accept();
  return { port, taken, close: () => acceptors.forEach((acceptor) => acceptor.close()) };
}

const sumOf = (taken: number[]): number => taken.reduce((sum, count) => sum + count, 0);

async function until(isTrue: () => boolean): Promise<void> {
  for (const deadlineMs = performance.now() + DEADLINE_MS; !isTrue();) {
    assert.ok(performance.now() < deadlineMs, "it takes too long");
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
  }
}

describe("accepting on Deno", () => {
  for (const [acceptors, burst, most] of [[2, 16, 10], [4, 16, 7], [2, 200, 140]]) {
    test(`a burst of ${burst} is dealt out to ${acceptors} who share the port`, async () => {
      const { port, taken, close } = startAcceptors(acceptors, true);
      const mostTaken: number[] = [];
      for (let round = 1; round <= 9; round++) {
        taken.fill(0);
        await new Promise<void>((resolve) => setTimeout(resolve, 30));
        port.receive(burst);
        await until(() => sumOf(taken) === burst);
        mostTaken.push(Math.max(...taken));
      }
      // On a busy machine one of them may miss its turn now and then.
      assert.ok(mostTaken.toSorted((a, b) => a - b)[4] <= most, `one took ${mostTaken} of ${burst}`);
      close();
    });
  }

  test("a port that is never quiet is accepted from as fast as turns can get", async () => {
    const { port, taken, close } = startAcceptors(1, true);
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    port.receive(5_000);
    await until(() => taken[0] === 5_000);
    clearInterval(counting);
    // One a turn would take 5,000 of them; turns of a busy machine are long, not many.
    assert.ok(turns < 1_000, `${turns} turns`);
    close();
  });

  test("a port that is not shared is accepted from without a rest", async () => {
    const { port, taken, close } = startAcceptors(1, false);
    port.receive(500);
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(taken[0], 500);
    close();
  });
});
