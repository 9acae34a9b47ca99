/** Threads from start to end: a start that fails, threads that crash again and again, renewal. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { HANDLER_MODULE_URL } from "../support/handler_module.ts";
import { TrivetError } from "../../src/api/errors.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { createGate, get, statuses, text } from "../support/memory_server.ts";
import {
  createThreadServer,
  type PlacedHandler,
  startThreadServer,
  type ThreadServer,
  type ThreadServerSetup,
} from "../support/thread_server.ts";

/** The module of the handler, as messages name it. */
const MODULE = `The module ${JSON.stringify(fileURLToPath(HANDLER_MODULE_URL))}`;

const boom = new Error("boom");
const hello: PlacedHandler = () => text("hello");

/** The models that run handlers on threads, each with three of them. */
const MODELS: readonly ServeOptions[] = [
  { model: "hybrid", threads: 3 },
  { model: "worker-pool", workers: 3 },
];

/** What a promise rejects with when nothing but turns of the loop is needed for that. */
async function rejectionOf({ until }: ThreadServer, promise: Promise<unknown>): Promise<TrivetError> {
  let outcome: { error: unknown } | null = null;
  promise.then(() => outcome = { error: "It was fulfilled." }, (error) => outcome = { error });
  await until(() => outcome !== null);
  const { error } = outcome!;
  assert.ok(error instanceof TrivetError, String(error));
  return error;
}

/** Starts a server that can't start; gives it with the error. */
async function failToStart(options: ServeOptions, setup: ThreadServerSetup): Promise<[ThreadServer, TrivetError]> {
  const started = createThreadServer(hello, options, setup);
  return [started, await rejectionOf(started, started.server.ready())];
}

/** A thread that never gets ready. */
const HANGING: ThreadServerSetup = { begin: (number) => number === 1 ? new Promise(() => {}) : undefined };

function assertNothingIsLeft({ alive, clock, server, runtime }: ThreadServer): void {
  assert.deepEqual(alive(), []);
  assert.equal(clock.pendingCount, 0);
  assert.equal(server.stats().state, "stopped");
  assert.throws(() => runtime.connect(), /There is no listener/);
}

for (const options of MODELS) {
  describe(`the start of the model ${options.model} with a module`, () => {
    test("is over when every thread is ready", async () => {
      const last = createGate();
      const started = createThreadServer(hello, options, { begin: (number) => number === 3 ? last.opened : undefined });
      const { server, until, clock } = started;
      await until(() => server.stats().threads.ready === 2);
      await clock.settle();
      assert.equal(server.stats().state, "starting");
      assert.throws(() => server.port, { code: "not-listening" });
      assert.throws(() => started.runtime.connect(), /There is no listener/);
      last.open();
      await server.ready();
      assert.equal(server.stats().state, "listening");
      assert.equal(server.stats().threads.ready, 3);
      assert.deepEqual(started.threads.map((thread) => thread.isReferenced), [false, false, false]);
    });

    test("fails with module-invalid, which names the module, when one thread can't load it", async () => {
      const [started, error] = await failToStart(options, { lacksModule: (number) => number === 2 });
      assert.equal(error.code, "module-invalid");
      assert.equal(error.message, `${MODULE} does not exist.`);
      assertNothingIsLeft(started);
      await assert.rejects(started.server.finished, (thrown) => thrown === error);
    });

    test("fails as soon as one thread can't load the module, however long another one takes", async () => {
      const [started, error] = await failToStart(options, { ...HANGING, lacksModule: (number) => number === 2 });
      assert.equal(error.code, "module-invalid");
      assert.equal(started.clock.nowMs(), 0);
      assertNothingIsLeft(started);
    });

    test("fails with module-invalid when a thread crashes while it loads the module", async () => {
      const [started, error] = await failToStart(options, {
        begin: (number, thread) => number === 3 ? thread.crash(boom) : undefined,
      });
      assert.equal(error.code, "module-invalid");
      assert.equal(error.message, `${MODULE} has ended its thread while it was loaded.`);
      assert.equal((error.cause as Error).message, "boom");
      assertNothingIsLeft(started);
    });

    test("fails with module-invalid when a thread is not ready after 30 s", async () => {
      const started = createThreadServer(hello, options, HANGING);
      const failed = started.server.ready();
      failed.catch(() => {});
      await started.until(() => started.server.stats().threads.ready === 2);
      await started.clock.advance(29_999);
      assert.equal(started.server.stats().state, "starting");
      await started.clock.advance(1);
      const error = await rejectionOf(started, failed);
      assert.equal(error.code, "module-invalid");
      assert.equal(error.message, `${MODULE} is not loaded after 30 s.`);
      assertNothingIsLeft(started);
    });

    test("fails with a TrivetError when the runtime starts no thread", async () => {
      const [started, error] = await failToStart(options, { isNotStarted: (number) => number === 2 });
      const message = `${MODULE} can't be loaded, because no thread could be started.`;
      assert.deepEqual([error.code, error.message], ["module-invalid", message]);
      assert.equal((error.cause as Error).message, "There are no more threads.");
      assertNothingIsLeft(started);
    });

    test("fails when a thread crashes as soon as it is ready", async () => {
      const [started, error] = await failToStart(options, {
        saidReadiness: (number, thread) => number === 3 ? thread.crash(boom) : undefined,
      });
      assert.equal(error.code, "thread-crashed");
      assertNothingIsLeft(started);
    });

    test("that fails ends a thread that stands still after 500 ms", async () => {
      const third = createGate();
      const started = createThreadServer(hello, options, {
        begin: (number) => number === 3 ? third.opened : undefined,
        lacksModule: (number) => number === 3,
      });
      const { server, until, threads, alive, clock } = started;
      const failed = server.ready();
      failed.catch(() => {});
      await until(() => server.stats().threads.ready === 2);
      threads[0].freeze();
      third.open();
      await until(() => alive().length === 1);
      await clock.advance(500);
      assert.equal((await rejectionOf(started, failed)).code, "module-invalid");
      assert.equal(threads[0].wasTerminated, true);
      assertNothingIsLeft(started);
    });

    test("that is stopped ends at once, without a thread left", async () => {
      const started = createThreadServer(hello, options, HANGING);
      const { server, until, clock } = started;
      await until(() => server.stats().threads.ready === 2);
      const report = server.stop();
      assert.equal(server.stats().state, "joining");
      await clock.advance(1_000);
      assert.equal(server.stats().state, "stopped");
      assert.deepEqual(await report, { drained: 0, aborted: 0, durationMs: 0 });
      assertNothingIsLeft(started);
      assert.equal(await server.ready(), server);
      await server.finished;
    });

    test("that fails behind the stop of the server leaves no timer", async () => {
      const second = createGate();
      const started = createThreadServer(hello, options, {
        begin: (number) => number === 2 ? second.opened : undefined,
        lacksModule: (number) => number === 2,
      });
      const { server, until, clock } = started;
      await until(() => server.stats().threads.ready === 2);
      const outcomes = [server.ready(), server.shutdown()].map((promise) => promise.catch(() => {}));
      second.open();
      await until(() => server.stats().state === "stopped");
      await Promise.all(outcomes);
      assertNothingIsLeft(started);
      assert.equal(clock.nowMs(), 0);
    });
  });
}

describe("a signal that aborts after a start that has failed", () => {
  test("is of no consequence", async () => {
    const controller = new AbortController();
    const options: ServeOptions = { model: "hybrid", threads: 1, signal: controller.signal };
    const [{ clock, server }] = await failToStart(options, { lacksModule: () => true });
    // A rejection that nobody looks at would end the process.
    controller.abort();
    await clock.settle();
    assert.equal(server.stats().state, "stopped");
  });
});

describe("a thread that crashes", () => {
  /** Waits until the newest thread is ready, and has it crash. Returns the time until the next one was started. */
  async function crashNewest({ until, server, threads, clock, startedAtMs }: ThreadServer): Promise<number> {
    await until(() => server.stats().threads.ready === 1);
    const crashedAtMs = clock.nowMs();
    const { length } = startedAtMs;
    threads.at(-1)!.crash(boom);
    for (let tenths = 0; startedAtMs.length === length && tenths < 200; tenths++) await clock.advance(50);
    return startedAtMs.at(-1)! - crashedAtMs;
  }

  test("is replaced at once ten times and more, then after a growing delay, of half a second at most", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 });
    const delaysMs: number[] = [];
    for (let crash = 0; crash < 20; crash++) delaysMs.push(await crashNewest(started));
    // One that was lost is forgotten after a second, and these are 50 ms apart.
    assert.deepEqual(delaysMs.slice(0, 11), Array(11).fill(0));
    assert.deepEqual(delaysMs.slice(11), [50, 100, 200, 400, 400, 500, 500, 500, 500]);
    await started.until(() => started.server.stats().threads.ready === 1);
    assert.deepEqual(started.server.stats().threads, { ready: 1, started: 21, lost: 20, renewed: 0 });
    assert.deepEqual(statuses((await started.send(get())).received()), [200]);
    assert.equal(started.reported.length, 20);
  });

  test("is replaced at once again when ten seconds have passed", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 });
    for (let crash = 0; crash < 20; crash++) await crashNewest(started);
    await started.until(() => started.server.stats().threads.ready === 1);
    await started.clock.advance(10_000);
    assert.equal(await crashNewest(started), 0);
  });

  const misfortunes: { name: string; setup: (isBroken: (number: number) => boolean) => ThreadServerSetup }[] = [
    { name: "the module can't be loaded any more", setup: (isBroken) => ({ lacksModule: isBroken }) },
    { name: "the runtime starts no thread any more", setup: (isBroken) => ({ isNotStarted: isBroken }) },
    {
      name: "threads crash while they load",
      setup: (isBroken) => ({ begin: (number, thread) => isBroken(number) ? thread.crash(boom) : undefined }),
    },
  ];
  for (const { name, setup } of misfortunes) {
    test(`is tried to be replaced again and again, ever more slowly and not in silence, while ${name}`, async () => {
      let isMended = false;
      const isBroken = (number: number): boolean => number > 1 && !isMended;
      const started = await startThreadServer(hello, { model: "hybrid", threads: 1 }, setup(isBroken));
      const { clock, threads, startedAtMs, server, until } = started;
      await clock.advance(60_000);
      threads[0].crash(boom);
      const waiting = await started.send(get());
      for (let tenths = 0; tenths < 200; tenths++) await clock.advance(100);
      const delaysMs = startedAtMs.slice(1).map((atMs) => atMs - 60_000);
      assert.deepEqual(delaysMs, [0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300]);
      assert.equal(waiting.received(), "");
      assert.equal(server.stats().threads.ready, 0);
      assert.deepEqual(started.warned, ["thread-replaced", "thread-not-started", "thread-not-started"]);
      isMended = true;
      await clock.advance(5_000);
      await until(() => waiting.received() !== "");
      assert.deepEqual(statuses(waiting.received()), [200]);
      isMended = false;
      const lostAtMs = clock.nowMs();
      const triedBefore = startedAtMs.length;
      threads.at(-1)!.crash(boom);
      for (let tenths = 0; tenths < 8; tenths++) await clock.advance(100);
      const againMs = startedAtMs.slice(triedBefore).map((atMs) => atMs - lostAtMs);
      assert.deepEqual(againMs, [0, 100, 300, 700], "as soon as the first time");
      server.stop();
      await until(() => server.stats().state === "stopped");
      assert.equal(clock.pendingCount, 0);
    });
  }

  test("as soon as it is ready is replaced like any other", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 }, {
      saidReadiness: (number, thread) => number === 2 ? thread.crash(boom) : undefined,
    });
    const { threads, clock, until, server, send } = started;
    threads[0].crash(boom);
    await until(() => threads.length === 2 && !threads[1].isAlive);
    await clock.advance(100);
    await until(() => server.stats().threads.ready === 1);
    assert.deepEqual(statuses((await send(get())).received()), [200]);
    assert.equal(threads.length, 3);
  });

  test("is replaced without a delay because of others: each place has its own", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 2 });
    const { threads, server, until } = started;
    threads[0].crash(boom);
    await until(() => server.stats().threads.ready === 2);
    threads[1].crash(boom);
    await until(() => server.stats().threads.ready === 2);
    assert.deepEqual(started.startedAtMs, [0, 0, 0, 0]);
  });

  test("is not replaced by a server that has stopped meanwhile", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 });
    for (let crash = 0; crash < 11; crash++) await crashNewest(started);
    await started.until(() => started.server.stats().threads.ready === 1);
    const { length } = started.startedAtMs;
    started.threads.at(-1)!.crash(boom);
    await started.clock.settle();
    const stopped = started.server.shutdown();
    await started.clock.advance(10_000);
    await stopped;
    assert.equal(started.startedAtMs.length, length);
    assert.equal(started.clock.pendingCount, 0);
  });

  test("is not warned of by a server that stops while it is replaced", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 }, {
      begin: (number) => number === 2 ? new Promise(() => {}) : undefined,
    });
    const { threads, server, until, warned } = started;
    threads[0].crash(boom);
    await until(() => threads.length === 2);
    server.stop();
    await until(() => server.stats().state === "stopped");
    assert.deepEqual(warned, ["thread-replaced"]);
    assertNothingIsLeft(started);
  });

  test("is not taken for lost when the server has asked it to end", async () => {
    const started = await startThreadServer(hello, { model: "hybrid", threads: 1 });
    const stopped = started.server.shutdown();
    started.threads[0].crash(boom);
    await started.clock.settle();
    await stopped;
    assert.deepEqual([started.reported, started.warned], [[], []]);
    assert.equal(started.server.stats().threads.lost, 0);
  });
});

describe("maxRequestsPerThread", () => {
  test("renews a thread after so many calls, and loses none", async () => {
    const numbers: number[] = [];
    const started = await startThreadServer((_request, { number }) => {
      numbers.push(number);
      return text("hello");
    }, { model: "hybrid", threads: 1, maxRequestsPerThread: 3 });
    const { send, until, server, alive } = started;
    for (let call = 1; call <= 9; call++) {
      const peer = await send(get());
      assert.deepEqual(statuses(peer.received()), [200]);
      await until(() => server.stats().threads.renewed === Math.floor(call / 3) && alive().length === 1);
    }
    assert.deepEqual(numbers, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 4, lost: 0, renewed: 3 });
    assert.deepEqual(started.threads.map((thread) => thread.wasTerminated), [false, false, false, false]);
    assert.deepEqual([started.reported, started.warned], [[], []]);
  });

  test("lets a thread finish what it runs; others are called on the fresh one", async () => {
    const gate = createGate();
    const started = await startThreadServer(async (request, { number }) => {
      if (request.url.endsWith("/slow")) await gate.opened;
      return text(String(number));
    }, { model: "hybrid", threads: 1, maxRequestsPerThread: 2 });
    const { send, until, server, alive, clock } = started;
    const slow = await send(get("/slow"));
    await send(get());
    await until(() => server.stats().threads.ready === 1 && server.stats().threads.started === 2);
    await clock.settle();
    assert.match((await send(get())).received(), /\r\n\r\n2$/);
    await clock.advance(60_000);
    assert.deepEqual(alive(), [1, 2]);
    gate.open();
    await until(() => alive().length === 1);
    assert.match(slow.received(), /\r\n\r\n1$/);
    assert.equal(server.stats().threads.lost, 0);
  });

  test("lets a thread go on whose successor can't be started", async () => {
    const started = await startThreadServer((_request, { number }) => text(String(number)), {
      model: "hybrid",
      threads: 1,
      maxRequestsPerThread: 2,
    }, { lacksModule: (number) => number === 2 || number === 3 });
    const { send, until, server, alive, warned } = started;
    const numbers: string[] = [];
    for (let call = 1; call <= 9; call++) {
      const peer = await send(get());
      await until(() => peer.received() !== "" && alive().length === 1);
      numbers.push(peer.received().at(-1)!);
    }
    assert.deepEqual(numbers, [..."111111445"], "as many again, each time, and the next one no more than any");
    assert.deepEqual(warned, ["thread-not-started"]);
    assert.equal(server.stats().threads.renewed, 2);
    assert.equal(server.stats().threads.lost, 0);
  });

  test("a retiring thread that crashes loses only what it still runs", async () => {
    const calls: number[] = [];
    const started = await startThreadServer((_request, { number }) => {
      calls.push(number);
      return number === 1 ? new Promise<Response>(() => {}) : text("hello");
    }, { model: "hybrid", threads: 1, maxRequestsPerThread: 1 });
    const { send, until, server, threads } = started;
    const peer = await send(get());
    await until(() => server.stats().threads.started === 2 && server.stats().threads.ready === 1);
    threads[0].crash(boom);
    await until(() => server.stats().activeExchanges === 0);
    assert.deepEqual(statuses(peer.received()), [503]);
    assert.deepEqual(statuses((await send(get())).received()), [200]);
    assert.deepEqual(calls, [1, 2]);
    assert.equal(server.stats().threads.lost, 1);
  });

  test("holds in a burst: what is beyond it waits for the fresh thread, which is started before it is needed", async () => {
    const calls: number[] = [];
    const started = await startThreadServer((_request, { number }) => {
      calls.push(number);
      return text("hello");
    }, { model: "hybrid", threads: 1, maxRequestsPerThread: 10 });
    const { connect, until, server, alive } = started;
    const peers = Array.from({ length: 45 }, () => connect());
    for (const peer of peers) peer.send(get());
    await until(() => server.stats().responses === 45);
    await until(() => alive().length === 1);
    const counts = [1, 2, 3, 4, 5].map((thread) => calls.filter((number) => number === thread).length);
    assert.deepEqual(counts, [10, 10, 10, 10, 5]);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 5, lost: 0, renewed: 4 });
  });

  test("counts a fresh thread that crashes before it is needed as lost, and another one takes its place", async () => {
    const started = await startThreadServer((_request, { number }) => text(String(number)), {
      model: "hybrid",
      threads: 1,
      maxRequestsPerThread: 10,
    });
    const { send, until, server, threads } = started;
    for (let call = 1; call <= 9; call++) await send(get());
    await until(() => threads.length === 2 && server.stats().threads.started === 2);
    await started.clock.settle();
    await until(() => server.stats().threads.ready === 1);
    for (let turn = 0; turn < 50; turn++) await started.clock.settle();
    threads[1].crash(boom);
    const tenth = await send(get());
    assert.match(tenth.received(), /\r\n\r\n1$/);
    const eleventh = await send(get());
    await until(() => eleventh.received() !== "");
    assert.match(eleventh.received(), /\r\n\r\n3$/);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 3, lost: 1, renewed: 1 });
  });

  /** One thread that has made its last call but one, so that a fresh one is being started, or waits for its turn. */
  async function nearlySpent(setup: ThreadServerSetup = {}) {
    const started = await startThreadServer((_request, { number }) => text(String(number)), {
      model: "hybrid",
      threads: 1,
      maxRequestsPerThread: 10,
    }, setup);
    for (let call = 1; call <= 9; call++) await started.send(get());
    await started.until(() => started.threads.length === 2);
    return started;
  }

  test("a fresh thread that waits takes its place with the last call that the one before makes", async () => {
    const { server, until, send, clock } = await nearlySpent();
    for (let turn = 0; turn < 50; turn++) await clock.settle();
    const numbers: string[] = [];
    for (let call = 10; call <= 12; call++) numbers.push((await send(get())).received().at(-1)!);
    assert.deepEqual(numbers, ["1", "2", "2"]);
    await until(() => server.stats().threads.renewed === 1);
    assert.equal(server.stats().threads.ready, 1);
  });

  test("what waits for a fresh thread that can't be started goes to the one before", async () => {
    const second = createGate();
    const started = await startThreadServer((_request, { number }) => text(String(number)), {
      model: "hybrid",
      threads: 1,
      maxRequestsPerThread: 2,
    }, { begin: (number) => number === 2 ? second.opened : undefined, lacksModule: (number) => number === 2 });
    for (let call = 1; call <= 2; call++) await started.send(get());
    const third = await started.send(get());
    assert.equal(third.received(), "");
    second.open();
    await started.until(() => third.received() !== "");
    assert.match(third.received(), /\r\n\r\n1$/);
  });

  test("that is stopped while a fresh thread is being started leaves none", async () => {
    const { server, until, alive, clock } = await nearlySpent({
      begin: (number) => number === 2 ? new Promise(() => {}) : undefined,
    });
    const report = server.stop();
    await clock.advance(500);
    await until(() => server.stats().state === "stopped");
    await report;
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });

  test("that is stopped while a fresh thread waits for its turn leaves none", async () => {
    const { server, until, alive, clock } = await nearlySpent();
    for (let turn = 0; turn < 50; turn++) await clock.settle();
    const report = server.stop();
    await until(() => server.stats().state === "stopped");
    await report;
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });

  test("a thread that crashes while its successor is being started is followed by that one, and by no other", async () => {
    const second = createGate();
    const { server, until, threads, send } = await nearlySpent({
      begin: (number) => number === 2 ? second.opened : undefined,
    });
    threads[0].crash(boom);
    second.open();
    await until(() => server.stats().threads.ready === 1);
    assert.match((await send(get())).received(), /\r\n\r\n2$/);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 2, lost: 1, renewed: 0 });
  });

  test("a thread that crashes while its successor waits for its turn is followed by that one", async () => {
    const { server, threads, send, clock } = await nearlySpent();
    for (let turn = 0; turn < 50; turn++) await clock.settle();
    threads[0].crash(boom);
    await clock.settle();
    assert.match((await send(get())).received(), /\r\n\r\n2$/);
    assert.deepEqual(server.stats().threads, { ready: 1, started: 2, lost: 1, renewed: 0 });
  });

  test("a retiring thread is ended with the server", async () => {
    const started = await startThreadServer(() => new Promise(() => {}), {
      model: "hybrid",
      threads: 1,
      maxRequestsPerThread: 1,
    });
    const { send, until, server, alive, clock } = started;
    await send(get());
    await until(() => server.stats().threads.started === 2 && server.stats().threads.ready === 1);
    started.threads[0].freeze();
    const stopped = server.stop();
    await clock.advance(500);
    assert.equal((await stopped).aborted, 1);
    assert.deepEqual([alive(), clock.pendingCount], [[], 0]);
  });
});
