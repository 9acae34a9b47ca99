/**
 * Whatever becomes of a start or a stop, `ready()`, `finished`, `shutdown()` and `stop()` settle. The server is the real
 * one; the model under it fails, or never answers, where a row of the table says so.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import { resolveOptions } from "../../src/api/resolve_options.ts";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Scheduler } from "../../src/models/scheduler.ts";
import type { Listener, ListenOptions, TransportEvents } from "../../src/transport.ts";
import { SERVER_PHASES } from "../../src/server/server_state.ts";
import { transitionRecorder } from "../../src/states.ts";
import { Warnings } from "../../src/api/warnings.ts";
import { assembleServer } from "../../src/server/create_server.ts";
import { Reports } from "../../src/server/reports.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer } from "../support/memory_server.ts";
import { transitionsOf } from "../support/state_diagram.ts";

const taken = new Set<string>();
const recordForAll = transitionRecorder.record;
transitionRecorder.record = (table, from, to): void => {
  recordForAll?.(table, from, to);
  if (table === SERVER_PHASES.name) taken.add(`${from} to ${to}`);
};

/** What a server asks of others, in order; each may be asked to fail, or to say nothing for ever. */
const STEPS = ["prepare", "start", "listen", "listening", "closeWhenEmpty", "drained", "close", "stop"] as const;
type Step = (typeof STEPS)[number];
/** What happens before the server listens. */
const STARTING: readonly Step[] = ["prepare", "start", "listen", "listening"];

type Behaviour = "rejects" | "never settles";

/** A server whose every step can be made to fail. */
function createServer(
  behaviours: Partial<Record<Step, Behaviour>> = {},
  given: ServeOptions = {},
  awaited: Partial<Record<Step, Promise<void>>> = {},
) {
  const reported: TrivetError[] = [];
  const asked: Step[] = [];
  const step = <T>(name: Step, value: T): Promise<T> => {
    asked.push(name);
    if (behaviours[name] === "rejects") return Promise.reject(new Error(`${name} has failed`));
    if (behaviours[name] === "never settles") return new Promise(() => {});
    return (awaited[name] ?? Promise.resolve()).then(() => value);
  };
  const memory = createMemoryRuntime();
  const references: string[] = [];
  const runtime = {
    ...memory,
    listen(options: ListenOptions, events: TransportEvents): Promise<Listener> {
      const listener = memory.listen(options, events) as Listener;
      return step("listen", {
        ...listener,
        close: () => {
          listener.close();
          return step("close", undefined);
        },
        closeWhenEmpty: () => {
          listener.close();
          return step("closeWhenEmpty", undefined);
        },
        ref: () => void references.push("ref"),
        unref: () => void references.push("unref"),
      });
    },
  };
  const scheduler: Scheduler = {
    admit: (connection) => connection.serve(),
    run: () => {},
    mayPersist: () => true,
    release: () => {},
    start: () => step("start", undefined),
    listening: () => step("listening", undefined),
    drained: () => step("drained", { drained: 0, aborted: 0 }),
    stop: () => step("stop", undefined),
  };
  const options = resolveOptions(
    { onListen: () => {}, onError: (error) => void reported.push(error), ...given },
    { cores: 1, descriptorLimit: null },
    ["event-driven"],
  );
  const reports = new Reports(options.onError, runtime.host);
  const prepare = (): Promise<void> => step("prepare", undefined);
  const warnings = new Warnings(runtime.clock, runtime.host, undefined);
  const server = assembleServer({ options, runtime, scheduler, reports, warnings, prepare });
  return { server, clock: memory.clock, reported, asked, references, printed: memory.printed };
}

/** What has become of each promise, by name: "resolved", the code of an error, or "pending". */
function watch(promises: Record<string, Promise<unknown>>): Record<string, string> {
  const outcomes: Record<string, string> = {};
  for (const [name, promise] of Object.entries(promises)) {
    outcomes[name] = "pending";
    promise.then(() => outcomes[name] = "resolved", (error) => outcomes[name] = (error as TrivetError).code);
  }
  return outcomes;
}

const CODES: Readonly<Partial<Record<Step, string>>> = { listen: "listen-failed" };

describe("a start that fails", () => {
  for (const step of STARTING) {
    for (const stopping of [null, "stop", "drained", "close"] as const) {
      const behaviours: Partial<Record<Step, Behaviour>> = { [step]: "rejects" };
      if (stopping !== null) behaviours[stopping] = "never settles";
      const but = stopping === null ? "" : `, though ${stopping} never settles`;
      test(`in ${step} rejects everything${but}`, async () => {
        const { server, clock } = createServer(behaviours);
        const outcomes = watch({
          ready: server.ready(),
          finished: server.finished,
          shutdown: clock.settle().then(() => server.shutdown()),
          stop: clock.settle().then(() => server.stop()),
        });
        await clock.advance(3_000);
        const code = CODES[step] ?? "internal-error";
        assert.deepEqual(outcomes, { ready: code, finished: code, shutdown: code, stop: code });
        assert.equal(server.stats().state, "stopped");
        assert.equal(clock.pendingCount, 0);
      });
    }
  }
});

describe("a stop", () => {
  for (const how of ["stop", "shutdown"] as const) {
    for (const step of STEPS) {
      for (const behaviour of ["rejects", "never settles"] as const) {
        const when = STARTING.includes(step) && behaviour === "never settles" ? "during a start" : "right at the start";
        test(`by ${how}() ${when} ends everything, although ${step} ${behaviour}`, async () => {
          const { server, clock } = createServer({ [step]: behaviour });
          if (when === "during a start") await clock.settle();
          const outcomes = watch({ ready: server.ready(), finished: server.finished, [how]: server[how]() });
          await clock.advance(10_000 + 3_000);
          assert.deepEqual(outcomes, { ready: "resolved", finished: "resolved", [how]: "resolved" });
          assert.equal(server.stats().state, "stopped");
          assert.equal(clock.pendingCount, 0);
        });
      }
    }

    for (const step of ["drained", how === "stop" ? "close" : "closeWhenEmpty", "stop"] as const) {
      for (const behaviour of ["rejects", "never settles"] as const) {
        test(`by ${how}() of a server that listens ends, although ${step} ${behaviour}`, async () => {
          const { server, clock, reported } = createServer({ [step]: behaviour });
          await clock.settle();
          assert.equal(server.stats().state, "listening");
          const outcomes = watch({ finished: server.finished, [how]: server[how]() });
          await clock.advance(10_000 + 3_000);
          assert.deepEqual(outcomes, { finished: "resolved", [how]: "resolved" });
          assert.deepEqual(reported.map(({ code }) => code), behaviour === "rejects" ? ["internal-error"] : []);
          assert.equal(clock.pendingCount, 0);
        });
      }
    }
  }

  test("takes no longer than it must: stop() gives up after three seconds what does not end", async () => {
    const { server, clock } = createServer({ drained: "never settles" });
    await clock.settle();
    const outcomes = watch({ stop: server.stop() });
    await clock.advance(2_999);
    assert.equal(outcomes.stop, "pending");
    await clock.advance(1);
    assert.equal(outcomes.stop, "resolved");
  });

  test("gives up each of its waits after three seconds, one after the other", async () => {
    const { server, clock } = createServer({
      listen: "never settles",
      drained: "never settles",
      stop: "never settles",
    });
    await clock.settle();
    const outcomes = watch({ stop: server.stop() });
    await clock.advance(8_999);
    assert.equal(outcomes.stop, "pending");
    await clock.advance(1);
    assert.equal(outcomes.stop, "resolved");
    assert.equal(clock.pendingCount, 0);
  });

  for (const step of ["drained", "stop"] as const) {
    test(`takes no notice of ${step} when that ends after it was given up`, async () => {
      const late = createGate();
      const { server, clock, reported } = createServer({}, {}, { [step]: late.opened });
      await clock.settle();
      const outcomes = watch({ stop: server.stop() });
      await clock.advance(3_000);
      assert.equal(outcomes.stop, "resolved");
      late.open();
      await clock.settle();
      assert.deepEqual([server.stats().state, reported], ["stopped", []]);
    });
  }

  test("by stop() ends one that is only announced, or empties the queue of the system, at once", async () => {
    for (const delay of [5_000, 0]) {
      const { server, clock, asked } = createServer({ closeWhenEmpty: "never settles" });
      await clock.settle();
      const outcomes = watch({ shutdown: server.shutdown({ delay }) });
      await clock.settle();
      await server.stop();
      assert.equal(outcomes.shutdown, "resolved");
      assert.ok(asked.includes("close"));
      assert.equal(clock.pendingCount, 0);
    }
  });

  test("is announced, empties the queue and drains, in that order", async () => {
    const { server, clock, asked } = createServer();
    await clock.settle();
    const report = server.shutdown({ delay: 1_000 });
    await clock.advance(999);
    assert.equal(asked.includes("closeWhenEmpty"), false);
    await clock.advance(1);
    await report;
    assert.deepEqual(asked.slice(-3), ["closeWhenEmpty", "drained", "stop"]);
  });

  test("while the module is loaded starts no threads", async () => {
    const { server, clock, asked } = createServer();
    const report = server.shutdown();
    await clock.settle();
    await report;
    assert.deepEqual(asked, ["prepare", "drained", "stop"]);
  });

  test("gives back a port that is bound only afterwards, and late", async () => {
    const memory = createMemoryRuntime();
    const gate = createGate();
    let closed = 0;
    const runtime = {
      ...memory,
      listen: async (options: ListenOptions, events: TransportEvents): Promise<Listener> => {
        await gate.opened;
        const listener = memory.listen(options, events) as Listener;
        return { ...listener, close: () => void closed++ };
      },
    };
    const scheduler: Scheduler = { admit: () => {}, run: () => {}, mayPersist: () => true, release: () => {} };
    const options = resolveOptions({ onListen: () => {} }, { cores: 1, descriptorLimit: null }, ["event-driven"]);
    const reports = new Reports(undefined, runtime.host);
    const warnings = new Warnings(runtime.clock, runtime.host, undefined);
    const server = assembleServer({ options, runtime, scheduler, reports, warnings, prepare: null });
    const outcomes = watch({ stop: server.stop() });
    await memory.clock.advance(3_000);
    assert.equal(outcomes.stop, "resolved");
    gate.open();
    await memory.clock.settle();
    assert.equal(closed, 1);
  });
});

describe("a start that has nothing to wait for", () => {
  test("is over when serve() returns, where the runtime binds at once", async () => {
    const { server } = createMemoryServer(createMemoryRuntime(), {}, () => new Response("hello"));
    assert.deepEqual([server.stats().state, server.port], ["listening", 8000]);
    await server.stop();
  });
});

describe("who looks at a server that fails", () => {
  test("need not look at ready(), when they look at finished", async () => {
    const { server, clock } = createServer({ start: "rejects" });
    const { finished } = server;
    let error: unknown;
    finished.catch((reason) => error = reason);
    await clock.advance(3_000);
    // A rejection of ready() that is not handled would end this process.
    assert.equal((error as TrivetError).code, "internal-error");
  });
});

describe("a process", () => {
  test("that was let go before the server listens is not held by it then", async () => {
    const { server, clock, references } = createServer();
    server.unref();
    await clock.settle();
    assert.deepEqual(references, ["unref"]);
    server.ref();
    assert.deepEqual(references, ["unref", "ref"]);
    server.stop();
    await clock.settle();
  });
});

describe("the signal of a server", () => {
  function countListeners(): { signal: AbortSignal; listeners: () => number } {
    const { signal } = new AbortController();
    const { addEventListener, removeEventListener } = signal;
    let count = 0;
    signal.addEventListener = (...args: unknown[]): void => {
      count++;
      Reflect.apply(addEventListener, signal, args);
    };
    signal.removeEventListener = (...args: unknown[]): void => {
      count--;
      Reflect.apply(removeEventListener, signal, args);
    };
    return { signal, listeners: () => count };
  }

  for (const [name, behaviours] of [["stops", {}], ["can't start", { start: "rejects" }]] as const) {
    test(`has no listener of a server any more that ${name}`, async () => {
      const { signal, listeners } = countListeners();
      const { server, clock } = createServer(behaviours, { signal });
      assert.equal(listeners(), 1);
      const outcomes = watch({ finished: server.finished });
      await clock.settle();
      server.stop().catch(() => {});
      await clock.advance(3_000);
      assert.notEqual(outcomes.finished, "pending");
      assert.equal(listeners(), 0);
    });
  }

  test("that has aborted before lets nothing begin", async () => {
    const { server, clock, asked } = createServer({}, { signal: AbortSignal.abort() });
    await clock.settle();
    await server.finished;
    assert.deepEqual(asked, ["drained", "stop"]);
  });
});

describe("onListen", () => {
  for (
    const [name, onListen] of [
      ["throws", () => {
        throw new Error("No terminal.");
      }],
      ["rejects", () => Promise.reject(new Error("No terminal."))],
    ] as const
  ) {
    test(`that ${name} does no harm: that is printed, and the server listens`, async () => {
      const { server, clock, printed } = createServer({}, { onListen });
      await server.ready();
      await clock.settle();
      assert.equal(server.stats().state, "listening");
      assert.equal(printed.length, 1);
      assert.match(printed[0], /No terminal\./);
      server.stop();
      await clock.settle();
    });
  }

  test("that is absent prints the URL", async () => {
    const { server, clock, printed } = createServer({}, { onListen: undefined, hostname: "127.0.0.1", port: 8080 });
    await server.ready();
    assert.deepEqual(printed, ["Listening on http://127.0.0.1:8080/"]);
    server.stop();
    await clock.settle();
  });
});

describe("the URL of a server", () => {
  for (const hostname of ["0.0.0.0", "::"]) {
    test(`at ${hostname}, which is every interface, has a name that can be connected to`, async () => {
      const { server, clock } = createServer({}, { hostname, port: 8080 });
      await server.ready();
      assert.equal(server.url, "http://localhost:8080/");
      server.stop();
      await clock.settle();
    });
  }
});

describe("the tests above", () => {
  test("have gone every way of the table of phases, and no other", () => {
    assert.deepEqual([...taken].sort(), transitionsOf(SERVER_PHASES).map(({ from, to }) => `${from} to ${to}`).sort());
  });
});
