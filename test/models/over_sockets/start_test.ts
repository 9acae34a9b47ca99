/**
 * What is wrong at the start is said at the start: modules that can't be served, functions where a module is needed, a
 * port that is taken, under every concurrency model; and the models on the command line.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { HttpResponse, serve, type ServeOptions, TrivetError } from "../../../mod.ts";
import { detectRuntime } from "../../../runtime/detect.ts";
import { createServer } from "../../../src/server/create_server.ts";
import { Program } from "../../entry/program.ts";
import { APP_HANDLER, PORTS_ARE_SHARED, startApp } from "../../fixtures/models/app_server.ts";
import { Peer } from "../../fixtures/models/peer.ts";
import { TESTED_MODELS } from "../../fixtures/models/tested_models.ts";

const WHERE = { port: 0, hostname: "127.0.0.1", onListen: () => {} } as const;
const CLI = new URL("../../../src/entry/cli.ts", import.meta.url);
const PROCESS = new URL("../../fixtures/models/server_process.ts", import.meta.url);
const { name: runtime, version } = detectRuntime();

/** Every model with a module, "blocking" and "event-driven" among them. */
const MODELS: readonly ServeOptions[] = [
  { model: "blocking" },
  { model: "worker-pool", workers: 2 },
  { model: "event-driven" },
  { model: "event-driven", loops: 2 },
  { model: "hybrid", threads: 2 },
];

function nameOf({ model, loops }: ServeOptions): string {
  return loops === undefined ? `${model}` : `${model} with ${loops} loops`;
}

function hasOtherThreads({ model, loops = 1 }: ServeOptions): boolean {
  return model === "worker-pool" || model === "hybrid" || (loops > 1 && PORTS_ARE_SHARED);
}

interface BadModule {
  readonly name: string;
  readonly module: URL;
  /** What is said of it, behind its name. */
  readonly message: RegExp;
  /** What was thrown. */
  readonly cause?: RegExp;
  /** Set where only another thread finds it. */
  readonly isForThreads?: true;
}

const BAD_MODULES: readonly BadModule[] = [
  {
    name: "is missing",
    module: new URL("../fixtures/models/not_there.ts", import.meta.url),
    message: /could not be loaded|does not exist/,
  },
  {
    name: "has no default export with a fetch function",
    module: new URL("../../fixtures/models/no_fetch.ts", import.meta.url),
    message: /has a default export without a fetch function, expected export default \{ fetch \}/,
  },
  {
    name: "throws while it is loaded",
    module: new URL("../../fixtures/models/throws.ts", import.meta.url),
    message: /could not be loaded: The module's own words\.$/,
    cause: /^RangeError: The module's own words\.$/,
  },
  {
    name: "throws on other threads alone",
    module: new URL("../../fixtures/models/throws_on_threads.ts", import.meta.url),
    message: /could not be loaded: Not on this thread\.$/,
    cause: /^RangeError: Not on this thread\.$/,
    isForThreads: true,
  },
  {
    name: "ends the thread that loads it",
    module: new URL("../../fixtures/models/ends_its_thread.ts", import.meta.url),
    message: /has ended its thread while it was loaded/,
    isForThreads: true,
  },
];

for (const options of MODELS) {
  describe(`a module that can't be served, ${nameOf(options)}`, () => {
    for (const { name, module, message, cause, isForThreads } of BAD_MODULES) {
      if (isForThreads && !hasOtherThreads(options)) continue;
      // With loops the main thread loads the module as well, so that this one would end the process.
      if (options.loops !== undefined && module.pathname.includes("ends_its_thread")) continue;
      test(`${name}: ready() rejects with module-invalid and names it`, async () => {
        const server = serve({ ...WHERE, ...options, module });
        const finished = server.finished.then(() => null, (error) => error);
        const error = await server.ready().then(() => null, (error) => error);
        assert.ok(error instanceof TrivetError, String(error));
        assert.equal(error.code, "module-invalid");
        assert.ok(error.message.includes(JSON.stringify(fileURLToPath(module))), error.message);
        assert.match(error.message, message);
        if (cause !== undefined) assert.match(String(error.cause), cause);
        assert.equal(await finished, error);
        const { state, threads, connections } = server.stats();
        assert.deepEqual([state, threads.ready, connections.accepted], ["stopped", 0, 0]);
        assert.throws(() => server.port, { code: "not-listening" });
      });
    }
  });
}

describe("a module given as a path", () => {
  test("that does not exist is named as it was looked for, beside the main module", async () => {
    const { mainModule, workingFolder } = detectRuntime().host;
    const path = fileURLToPath(new URL("./not/there.ts", mainModule ?? workingFolder));
    for (const options of MODELS) {
      const server = serve({ ...WHERE, ...options, module: "./not/there.ts" });
      await assert.rejects(server.ready(), (error: TrivetError) => {
        assert.deepEqual([error.code, error.message], [
          "module-invalid",
          `The module ${JSON.stringify(path)} does not exist.`,
        ]);
        return true;
      });
    }
  });
});

describe("a function as handler", () => {
  for (const options of MODELS.filter(({ model, loops }) => model === "hybrid" || loops !== undefined)) {
    test(`is refused by ${nameOf(options)}, which says what it needs`, () => {
      assert.throws(() => serve({ ...WHERE, ...options }, () => new HttpResponse("hello")), (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /function can't go: give it as `module`, a path or a URL\.$/);
        return true;
      });
    });
  }

  test("beside a module is refused by every model", () => {
    for (const options of MODELS) {
      const both = { ...WHERE, ...options, module: APP_HANDLER.module };
      assert.throws(() => serve(both as ServeOptions, () => new HttpResponse("hello")), TypeError);
    }
  });
});

describe("a port that is taken", () => {
  for (const model of TESTED_MODELS) {
    test(`${model.name}: listen-failed, and no thread is left`, async () => {
      const first = await serve(WHERE, () => new HttpResponse("hello")).ready();
      try {
        await assert.rejects(startApp(model, { port: first.port }), (error: TrivetError) => {
          assert.equal(error.code, "listen-failed");
          return true;
        });
      } finally {
        await first.stop();
      }
    });
  }
});

describe("a bundle that leaves out the module of threads", () => {
  for (const options of MODELS.filter(hasOtherThreads)) {
    test(`is told from a module that can't be loaded, ${nameOf(options)}`, async () => {
      const entry = new URL("./thread_main.js", import.meta.url);
      const { module } = APP_HANDLER;
      const server = createServer(detectRuntime(), entry.href, { ...WHERE, ...options, module });
      const error = await server.ready().then(() => null, (error) => error);
      assert.ok(error instanceof TrivetError, String(error));
      assert.equal(error.code, "module-invalid");
      const start = `Threads start from ${JSON.stringify(fileURLToPath(entry))}, a module of @trivet/http`;
      assert.ok(error.message.startsWith(start), error.message);
    });
  }
});

describe("two loops", () => {
  test("are two where the platform can share a port, and else one with a warning", async () => {
    const model = TESTED_MODELS.find(({ hasLoops }) => hasLoops)!;
    const { server, port, warnings } = await startApp(model);
    try {
      assert.equal(server.stats().loops, PORTS_ARE_SHARED ? 2 : 1);
      assert.deepEqual(warnings.map(({ code }) => code), PORTS_ARE_SHARED ? [] : ["loops-unavailable"]);
      for (const { message } of warnings) assert.match(message, /^Running one event loop instead of 2: .+\.$/);
      const peer = await Peer.connect(port);
      assert.equal((await peer.ask("/hello")).content, "hello");
      peer.destroy();
    } finally {
      await server.stop();
    }
  });
});

describe("a process whose server could not start", () => {
  test("ends by itself", async () => {
    const models = TESTED_MODELS.filter(({ hasThreads, hasLoops }) => hasThreads || (hasLoops && PORTS_ARE_SHARED));
    const names = models.map(({ name }) => name);
    const { code, signal, output, errors } = await new Program(PROCESS, ["bad module", "", ...names]).ended;
    assert.deepEqual([code, signal, output, errors], [0, null, names.map((name) => `${name}: module-invalid`), []]);
  });
});

describe("trivet serve --model", () => {
  const app = fileURLToPath(APP_HANDLER.module);
  const rows: readonly (readonly [args: readonly string[], description: string])[] = [
    [["--model", "blocking"], "blocking"],
    [["--model", "worker-pool", "--workers", "2"], "worker-pool, 2 workers"],
    [["--model=event-driven", "--loops=2"], PORTS_ARE_SHARED ? "event-driven, 2 loops" : "event-driven"],
    [["--model", "hybrid", "--threads", "2"], "hybrid, 2 threads"],
  ];
  for (const [args, description] of rows) {
    test(`${args.join(" ")} says what it is, serves, and stops in order`, async () => {
      const program = new Program(CLI, ["serve", app, "--port", "0", "--hostname", "127.0.0.1", ...args]);
      const [line, port] = await program.line(/^Listening on http:\/\/127\.0\.0\.1:(\d+)\/ .*$/);
      assert.equal(line, `Listening on http://127.0.0.1:${port}/ (${runtime} ${version}, ${description})`);
      const peer = await Peer.connect(Number(port));
      assert.equal((await peer.ask("/hello", "Connection: close")).content, "hello");
      peer.destroy();
      program.signal("SIGTERM");
      const { code, signal, output } = await program.ended;
      assert.deepEqual([code, signal], [0, null]);
      assert.match(output.at(-1) ?? "", /^Stopped: \d+ connections drained, 0 aborted, \d+ ms$/);
    });
  }

  test("a module that can't be loaded on a thread: one line that names it, and exit code 1", async () => {
    const module = fileURLToPath(new URL("../../fixtures/models/throws_on_threads.ts", import.meta.url));
    const { code, errors } = await new Program(CLI, ["serve", module, "--port=0", "--model=hybrid"]).ended;
    assert.equal(code, 1);
    const name = JSON.stringify(module);
    assert.deepEqual(errors, [`trivet: The module ${name} could not be loaded: Not on this thread. [module-invalid]`]);
  });

  test("a model there is not: one line with those there are, and exit code 2", async () => {
    const { code, errors } = await new Program(CLI, ["serve", app, "--model", "magic"]).ended;
    assert.equal(code, 2);
    assert.deepEqual(errors, [
      'trivet: The option model is "magic", allowed is one of "blocking", "worker-pool", "event-driven", "hybrid".',
    ]);
  });
});
