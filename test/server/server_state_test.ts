/** The states of a server: the table of transitions, the diagram drawn from it, and a server on its way through them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import type { ServerState } from "../../src/api/stats.ts";
import { SERVER_PHASES, type ServerPhase, SHOWN_STATES } from "../../src/server/server_state.ts";
import { createGate, createMemoryServer, get, type MemoryServer, text } from "../support/memory_server.ts";
import { createMemoryRuntime, type MemoryRuntime } from "../support/memory_runtime.ts";
import { withoutRecording } from "../support/record_transitions.ts";
import { drawStateDiagram, endsOf, transitionsOf } from "../support/state_diagram.ts";
import { createThreadServer } from "../support/thread_server.ts";

const SERVER_TRANSITIONS = transitionsOf(SERVER_PHASES);
const { states, first, last } = endsOf(SERVER_TRANSITIONS);

/** The states that can be reached from one, it among them. */
function reachableFrom(from: string): Set<string> {
  const reached = new Set([from]);
  for (const state of reached) {
    for (const transition of SERVER_TRANSITIONS) {
      if (transition.from === state) reached.add(transition.to);
    }
  }
  return reached;
}

describe("the table of transitions", () => {
  test("begins with loading and ends with stopped or failed, which have no way out", () => {
    assert.deepEqual([first, last], [["loading"], ["stopped", "failed"]]);
  });

  test("reaches every phase from the first, and an end from every phase", () => {
    assert.deepEqual(reachableFrom("loading"), new Set(states));
    for (const phase of states) assert.ok(last.some((end) => reachableFrom(phase).has(end)), phase);
  });

  test("goes round in no circle: what was left is not entered again", () => {
    for (const { from, to } of SERVER_TRANSITIONS) assert.ok(!reachableFrom(to).has(from), `${from} to ${to}`);
  });

  test("has each way once, and says when it is gone", () => {
    const ways = SERVER_TRANSITIONS.map(({ from, to }) => `${from} to ${to}`);
    assert.equal(new Set(ways).size, ways.length);
    for (const { when } of SERVER_TRANSITIONS) assert.match(when, /^[a-z]/);
  });

  test("is the only way a state is entered: any other throws", () => {
    for (const from of Object.keys(SERVER_PHASES.ways) as ServerPhase[]) {
      for (const to of Object.keys(SERVER_PHASES.ways) as ServerPhase[]) {
        const isListed = SERVER_TRANSITIONS.some((way) => way.from === from && way.to === to);
        const enter = () => withoutRecording(() => SERVER_PHASES.enter(from, to));
        if (isListed) assert.equal(enter(), to);
        else assert.throws(enter, { name: "NoWayError" });
      }
    }
  });

  test("shows users the order of the states that they know", () => {
    const order: ServerState[] = ["starting", "listening", "draining", "joining", "stopped"];
    for (const { from, to } of SERVER_TRANSITIONS) {
      const [before, after] = [from, to].map((phase) => order.indexOf(SHOWN_STATES[phase as ServerPhase]));
      assert.ok(before >= 0 && before <= after, `${from} to ${to}`);
    }
  });
});

describe("the drawing of a table", () => {
  test("has each way, where it begins and where it ends", () => {
    const drawn = drawStateDiagram([
      { from: "green", to: "yellow", when: "a minute is over" },
      { from: "yellow", to: "red", when: "nobody crosses" },
    ]);
    assert.equal(
      drawn,
      [
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> green",
        "    green --> yellow: a minute is over",
        "    yellow --> red: nobody crosses",
        "    red --> [*]",
        "```",
      ].join("\n"),
    );
  });
});

/** Makes a server whose state a test reads. */
function create(runtime: MemoryRuntime = createMemoryRuntime(), options: ServeOptions = {}): MemoryServer {
  return createMemoryServer(runtime, options, () => text("hello"));
}

/** The states of a server, as often as it was looked at, without repetitions. */
function watch({ server }: MemoryServer): { look(): void; seen: ServerState[] } {
  const seen: ServerState[] = [];
  const look = (): void => {
    const { state, draining } = server.stats();
    assert.equal(draining, state === "draining");
    if (seen.at(-1) !== state) seen.push(state);
  };
  look();
  return { look, seen };
}

function assertNoTimer({ clock }: MemoryServer): void {
  assert.equal(clock.pendingCount, 0);
}

/** A runtime that listens when a gate is opened. */
function listeningLater(): { runtime: MemoryRuntime; listen: () => void; fail: (error: Error) => void } {
  const memory = createMemoryRuntime();
  const gate = createGate();
  const runtime: MemoryRuntime = {
    ...memory,
    listen: (options, events) => gate.opened.then(() => memory.listen(options, events)),
  };
  return { runtime, listen: () => gate.open(), fail: (error) => gate.fail(error) };
}

describe("a server", () => {
  test("starts, listens, drains and stops", async () => {
    const gate = createGate();
    const memory = createMemoryServer(createMemoryRuntime(), {}, async () => {
      await gate.opened;
      return text("hello");
    });
    const { server, clock, send } = memory;
    const { look, seen } = watch(memory);
    await server.ready();
    look();
    const peer = await send(get());
    const stopped = server.shutdown();
    look();
    gate.open();
    peer.end();
    await clock.settle();
    look();
    await stopped;
    assert.deepEqual(seen, ["listening", "draining", "stopped"], "it listens at once, and has no thread to wait for");
  });

  test("with threads goes every step, and waits for them at both ends", async () => {
    const started = createThreadServer(() => text("hello"), { model: "hybrid", threads: 2 });
    const { server, clock } = started;
    const { look, seen } = watch(started);
    await server.ready();
    look();
    await clock.settle();
    const peer = await started.send(get());
    started.threads[0].freeze();
    const stopped = server.shutdown();
    look();
    peer.end();
    await clock.settle();
    look();
    await clock.advance(500);
    look();
    await stopped;
    assert.deepEqual(seen, ["starting", "listening", "draining", "joining", "stopped"]);
  });

  test("stays where it is when it is told to stop a second time", async () => {
    const memory = create();
    await memory.server.ready();
    await memory.server.stop();
    const { look, seen } = watch(memory);
    await memory.server.stop();
    look();
    await memory.server.shutdown();
    look();
    assert.deepEqual(seen, ["stopped"]);
  });

  test("that is stopped before it listens does not listen", async () => {
    const { runtime, listen } = listeningLater();
    const memory = create(runtime);
    const { look, seen } = watch(memory);
    const stopped = memory.server.shutdown();
    look();
    listen();
    await memory.clock.settle();
    look();
    assert.deepEqual(await stopped, { drained: 0, aborted: 0, durationMs: 0 });
    assert.deepEqual(seen, ["starting", "draining", "stopped"]);
    assert.throws(() => runtime.connect(), /There is no listener/);
    assert.equal(await memory.server.ready(), memory.server);
    await memory.server.finished;
    assertNoTimer(memory);
  });

  test("that can't listen stops", async () => {
    const { runtime, fail } = listeningLater();
    const memory = create(runtime);
    const { look, seen } = watch(memory);
    fail(new Error("The port is taken."));
    await assert.rejects(memory.server.ready(), { code: "listen-failed" });
    look();
    assert.deepEqual(seen, ["starting", "stopped"]);
    await assert.rejects(memory.server.finished, { code: "listen-failed" });
    assertNoTimer(memory);
  });

  test("that can't listen and is stopped meanwhile stops", async () => {
    const { runtime, fail } = listeningLater();
    const memory = create(runtime);
    const { look, seen } = watch(memory);
    const outcomes = Promise.allSettled([memory.server.ready(), memory.server.shutdown(), memory.server.finished]);
    look();
    fail(new Error("The port is taken."));
    await memory.clock.settle();
    look();
    await outcomes;
    assert.deepEqual(seen, ["starting", "draining", "stopped"]);
    assertNoTimer(memory);
  });

  test("whose module can't be loaded stops", async () => {
    const memory = createMemoryServer(createMemoryRuntime(), { module: "./missing.ts", model: "blocking" });
    const { look, seen } = watch(memory);
    await assert.rejects(memory.server.ready(), { code: "module-invalid" });
    look();
    assert.deepEqual(seen, ["starting", "stopped"]);
    assertNoTimer(memory);
  });

  test("whose signal has aborted before is stopped before it listens", async () => {
    const memory = create(createMemoryRuntime(), { signal: AbortSignal.abort() });
    await memory.clock.settle();
    assert.equal(memory.server.stats().state, "stopped");
    await memory.server.finished;
  });
});
