/**
 * The threads of the runtime this runs on keep the contract of `src/runtime.ts`, also where their modules can't be
 * loaded, where they end by themselves, and where they are busy for ever.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Misdeed } from "../fixtures/threads/obey.ts";
import { atOnce } from "../support/at_once.ts";
import { ThreadRecorder } from "./thread_recorder.ts";
import { testThreads } from "./thread_rules.ts";

const runtime = detectRuntime();
/** Starting a process takes a second on a busy machine. */
const PROCESS_TIMEOUT_MS = 40_000;

const FIXTURES = new URL("../fixtures/threads/", import.meta.url);
const OBEDIENT = new URL("../fixtures/threads/obedient.ts", import.meta.url).href;
const FAILING = new URL("../fixtures/threads/failing.ts", import.meta.url).href;
const STRANGER = new URL("../fixtures/threads/stranger.ts", import.meta.url);
const PROCESS = new URL("../fixtures/threads/process.ts", import.meta.url);

async function startThread(entry: string): Promise<ThreadRecorder> {
  const thread = new ThreadRecorder();
  await thread.start((events) => runtime.startThread(entry, events));
  return thread;
}

/**
 * Has the next worker tell a message, an error and its end in the microtask behind its making, as Deno may where the
 * thread was faster than this one. Returns what ends that.
 */
function tellAtOnce(error: Error): () => void {
  const on = Worker.prototype.on;
  const tell = function (this: Worker, event: string, listener: (told: unknown) => void): Worker {
    if (event === "exit") {
      queueMicrotask(() => {
        this.emit("message", "early");
        this.emit("error", error);
        void this.terminate();
      });
    }
    return on.call(this, event, listener);
  };
  Object.defineProperty(Worker.prototype, "on", { value: tell, configurable: true, writable: true });
  return () => Reflect.deleteProperty(Worker.prototype, "on");
}

describe(`threads on ${runtime.name}`, () =>
  testThreads({
    start: (events) => runtime.startThread(OBEDIENT, events),
    misdeeds: ["throw in a listener", "throw in a timer", "throw in a microtask", "reject"],
  }));

describe(`modules of threads on ${runtime.name}`, () => {
  test("a module that throws while it is loaded ends the thread, and the error is the cause", async () => {
    const thread = await startThread(FAILING);
    assert.match(String(await thread.ended()), /RangeError: This module can't be loaded\./);
    assert.deepEqual(thread.violations, []);
  });

  for (const isTerminated of [false, true]) {
    const title = isTerminated ? ", also when it is terminated at once" : " with a cause";
    test(`a module that is not there ends the thread${title}`, async () => {
      const thread = await startThread(new URL("missing.js", FIXTURES).href);
      if (isTerminated) thread.terminate();
      const cause = await thread.ended();
      if (isTerminated) assert.equal(cause, undefined);
      else assert.match(cause!.message, /missing\.js/);
      assert.deepEqual(thread.violations, []);
    });
  }

  test("what a thread tells before its caller has it is told behind that, or not at all where it was terminated", async () => {
    for (const isTerminated of [false, true]) {
      const forget = tellAtOnce(new Error("early"));
      const thread = await startThread(OBEDIENT).finally(forget);
      assert.equal(thread.end, null);
      if (isTerminated) thread.terminate();
      assert.equal((await thread.ended())?.message, isTerminated ? undefined : "early");
      assert.deepEqual(thread.messages, isTerminated ? [] : ["early"]);
      assert.deepEqual(thread.violations, []);
    }
  });

  test("what is no URL is refused", async () => {
    await assert.rejects(() => startThread("obedient.ts"), TypeError);
  });

  if (runtime.name === "deno") {
    test("a module may come from the net", async () => {
      const source = `import { parentPort } from "node:worker_threads"; parentPort.postMessage("from the net");`;
      const server = createServer((_request, response) => {
        response.writeHead(200, { "content-type": "text/javascript" }).end(source);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        const thread = await startThread(`http://127.0.0.1:${(server.address() as AddressInfo).port}/thread.js`);
        assert.deepEqual(await thread.received(1), ["from the net"]);
        thread.terminate();
        await thread.ended();
      } finally {
        server.close();
      }
    });
  }
});

describe(`who has a parent on ${runtime.name}`, () => {
  test("the main thread has none", async () => assert.equal(await runtime.parentThread(), null));

  test("a worker that somebody else started has none", async () => {
    const worker = new Worker(STRANGER, { workerData: { a: 1 } });
    const answer = await new Promise((resolve, reject) => worker.on("message", resolve).on("error", reject));
    await worker.terminate();
    assert.equal(answer, "no parent");
  });
});

describe(`how threads end on ${runtime.name}`, () => {
  test("a thread that exits the process ends alone, with a cause", async () => {
    const thread = await startThread(OBEDIENT);
    thread.order({ order: "misbehave", misdeed: "exit the process" });
    assert.equal((await thread.ended())?.message, "The thread has ended by itself, with exit code 3.");
    assert.deepEqual(thread.violations, []);
  });

  test("what is thrown and no error becomes one", async () => {
    const thread = await startThread(OBEDIENT);
    thread.order({ order: "misbehave", misdeed: "reject with no error" });
    assert.equal((await thread.ended())?.message, "a string was thrown, which is not an Error.");
  });

  // The process is another one, because Deno can't end these threads: each would take a processor from all later tests.
  const misdeeds = ["loop", "loop in microtasks", "wait for memory", "wait for input"] as const;
  const terminated = atOnce(misdeeds, (misdeed) => runProcess("terminate", misdeed));
  for (const misdeed of misdeeds) {
    test(`the end of a busy thread is told, and the process ends: ${misdeed}`, async () => {
      assert.deepEqual(await terminated(misdeed), ["message ready", "exit without a cause", "code 0"]);
    });
  }

  // Under `bun test` no listener of process is called in a worker, so that the name of the error is lost.
  test("a thread keeps the process alive until it ends, and its failure does not fail the process", async () => {
    const expected = ["message ready", "exit Mischief: throw in a listener", "code 0"];
    assert.deepEqual(await runProcess("wait", "throw in a timer"), expected);
  });

  test("a thread that exits the process leaves the other threads alone", async () => {
    const expected = ["message ready", "exit Error: The thread has ended by itself, with exit code 3.", "code 0"];
    assert.deepEqual(await runProcess("wait", "exit the process"), expected);
  });

  test("the process may end while a thread runs that was unreferenced", async () => {
    assert.deepEqual(await runProcess("unref"), ["message ready", "code 0"]);
  });

  test("runWithin cuts a callback short where terminate can't end it, and terminate ends it elsewhere", async () => {
    const thread = await startThread(OBEDIENT);
    thread.order({ order: "echo", value: "ready" });
    await thread.received(1);
    thread.order({ order: "run within", limitMs: 100, what: "loop" });
    if (runtime.name === "deno") {
      assert.deepEqual((await thread.received(3)).slice(1), [false, "no error"]);
      thread.order({ order: "run within", limitMs: 10_000, what: "return" });
      assert.deepEqual((await thread.received(5)).slice(3), [true, "no error"]);
    }
    thread.terminate();
    assert.equal(await thread.ended(), undefined);
    assert.deepEqual(thread.violations, []);
  });
});

/**
 * Runs `process.ts` and returns what it printed, and its exit code. There is no input until it has printed "exit", and
 * then the end of it.
 */
async function runProcess(deed: string, misdeed?: Misdeed): Promise<string[]> {
  const prefix = runtime.name === "deno" ? ["run", "--allow-all", "--no-check"] : [];
  const args = [...prefix, decodeURIComponent(PROCESS.pathname), deed, ...(misdeed === undefined ? [] : [misdeed])];
  const child = spawn(process.execPath, args, { stdio: "pipe" });
  const killer = setTimeout(() => child.kill("SIGKILL"), PROCESS_TIMEOUT_MS);
  let printed = "";
  child.stdout.on("data", (bytes) => {
    printed += bytes;
    if (printed.includes("exit ")) child.stdin.end();
  });
  child.stderr.on("data", (bytes) => printed += bytes);
  const code = await new Promise((resolve) => child.on("close", (code, signal) => resolve(code ?? signal)));
  clearTimeout(killer);
  return [...printed.trim().split("\n"), `code ${code}`];
}
