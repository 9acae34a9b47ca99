/**
 * Faults of a handler on a thread: they cost the call that has them, or its thread, and never another thread or the
 * process. Each in a process of its own, with real threads.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../../runtime/detect.ts";
import type { ServeOptions } from "../../../src/api/options.ts";
import { Program } from "../../entry/program.ts";
import type { Faults, Outcome } from "../../fixtures/models/faulty_process.ts";

const runtime = detectRuntime();
const PROCESS = new URL("../../fixtures/models/faulty_process.ts", import.meta.url);

/** The models whose handlers run on threads, and how many requests are asked for at the same time; one more is served. */
const MODELS: readonly { readonly options: ServeOptions; readonly room: number }[] = [
  { options: { model: "hybrid", threads: 2 }, room: 26 },
  { options: { model: "worker-pool", workers: 7 }, room: 6 },
];

async function run(faults: Faults): Promise<Outcome> {
  const { code, output, errors } = await new Program(PROCESS, [JSON.stringify(faults)]).ended;
  assert.deepEqual([code, errors], [0, []], output.join("\n"));
  return JSON.parse(output[0]);
}

function statusesOf({ answers }: Outcome): Record<string, number[]> {
  const statuses: Record<string, number[]> = {};
  for (const { target, status } of answers) (statuses[target] ??= []).push(status);
  return statuses;
}

for (const { options, room } of MODELS) {
  describe(`a fault of a handler, ${options.model}`, () => {
    test("a rejection that nothing handles is reported and counted, and ends no thread", async () => {
      const [waiting, rejecting] = [2, room - 2];
      const targets = [...Array(waiting).fill("/wait?ms=100"), ...Array(rejecting).fill("/reject?ms=100")];
      const outcome = await run({ options, targets });
      assert.deepEqual(statusesOf(outcome), {
        "/wait?ms=100": Array(waiting).fill(200),
        "/reject?ms=100": Array(rejecting).fill(200),
      });
      assert.equal(outcome.lost, 0);
      assert.deepEqual(outcome.errors, { "unhandled-rejection": rejecting });
      assert.deepEqual(outcome.reported, Array(rejecting).fill("unhandled-rejection: floating"));
    });

    test("a rejection that nothing handles ends the thread where the option says so", async () => {
      const outcome = await run({
        options: { ...options, unhandledRejections: "fatal" },
        targets: ["/reject?ms=2000"],
      });
      assert.deepEqual(statusesOf(outcome), { "/reject?ms=2000": [503] });
      assert.deepEqual(outcome.reported, ["thread-crashed: floating"]);
      assert.equal(outcome.lost, 1);
    });

    test("messages that a handler posts are ignored", async () => {
      const outcome = await run({ options, targets: Array(4).fill("/post-messages") });
      assert.deepEqual(statusesOf(outcome), { "/post-messages": Array(4).fill(200) });
      assert.deepEqual([outcome.lost, outcome.reported], [0, []]);
    });
  });
}

describe("a handler that keeps allocating, with maxThreadMemory", () => {
  const maxThreadMemory = 64 * 2 ** 20;
  const targets = ["/bomb", "/wait?ms=1", "/wait?ms=1"];

  for (const { options } of MODELS) {
    if (runtime.limitsThreadMemory) {
      test(`costs its thread, and its call is answered with 503, ${options.model}`, async () => {
        const outcome = await run({ options: { ...options, maxThreadMemory }, targets, everyMs: 20 });
        const { "/bomb": bomb, ...others } = statusesOf(outcome);
        assert.deepEqual([bomb, others], [[503], { "/wait?ms=1": [200, 200] }]);
        assert.equal(outcome.lost, 1);
        assert.equal(outcome.reported.length, 1);
        assert.match(outcome.reported[0], /^thread-crashed: .*memory limit/);
        assert.deepEqual(outcome.warned, ["thread-replaced"]);
      });
      test(`of small objects, without a pause, costs no more than that, ${options.model}`, async () => {
        const bounded = { ...options, maxThreadMemory: 96 * 2 ** 20 };
        const outcome = await run({ options: bounded, targets: ["/bomb-of-texts"] });
        assert.deepEqual(statusesOf(outcome), { "/bomb-of-texts": [503] });
        assert.equal(outcome.lost, 1);
      });
    } else {
      test(`is warned of where the runtime can't bound a thread, ${options.model}`, async () => {
        const outcome = await run({ options: { ...options, maxThreadMemory }, targets: ["/hello"] });
        assert.deepEqual(outcome.warned, ["thread-memory-unbounded"]);
      });
    }
  }
});

describe("threads that crash one after another, hybrid", () => {
  const options: ServeOptions = { model: "hybrid", threads: 2 };

  // How soon the next thread is started, be they many, is a matter of `thread_lifetimes_test.ts`.
  for (const target of ["/throw-in-a-timer", "/exit"]) {
    test(`a burst of 8 requests to ${target}: each gets 503 once, and the threads are back`, async () => {
      const outcome = await run({ options, targets: Array(8).fill(target) });
      assert.deepEqual(statusesOf(outcome), { [target]: Array(8).fill(503) });
      assert.ok(outcome.lost <= 8, `${outcome.lost}`);
    });
  }
});

describe("a handler that computes, hybrid", () => {
  test("holds up no request that has not begun on its thread while another thread is idle", async () => {
    const options: ServeOptions = { model: "hybrid", threads: 2 };
    const light = Array(40).fill("/hello");
    const { answers } = await run({ options, targets: ["/spin", ...light], spinsUntil: light.length });
    assert.deepEqual(answers.map(({ target }) => target), [...light, "/spin"]);
    assert.deepEqual(answers.map(({ status }) => status), Array(41).fill(200));
  });

  test("lets nothing wait where maxQueue is 0: what is beyond one call in hand for each thread gets 503", async () => {
    const options: ServeOptions = { model: "hybrid", threads: 2, maxQueue: 0 };
    const targets = ["/spin", "/spin", ...Array(60).fill("/hello")];
    const outcome = await run({ options, targets, everyMs: 10, spinsUntil: 50 });
    const refused = outcome.answers.filter(({ status }) => status === 503).length;
    assert.ok(refused >= 50, `${refused} of 60 were refused.`);
    assert.equal(outcome.answers.length, targets.length);
  });
});
