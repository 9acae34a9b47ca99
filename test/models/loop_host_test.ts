/** A loop on its own thread: what it tells the thread that has started it, and when. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { detectRuntime } from "../../runtime/detect.ts";
import type { AccessLogEntry } from "../../src/api/access_log.ts";
import type { Handler } from "../../src/api/handler.ts";
import { LoopHost } from "../../src/entry/loop_host.ts";
import type { FromLoop, LoopOrders, ToLoop } from "../../src/models/loops/loop_protocol.ts";
import type { ParentThread, Runtime } from "../../src/runtime.ts";
import { HANDLER_MODULE_URL, setHandler } from "../support/handler_module.ts";
import { createMemoryRuntime, type MemoryPeer, type MemoryRuntimeOptions } from "../support/memory_runtime.ts";
import { createGate, get, okText, statuses, text } from "../support/memory_server.ts";
import "../support/record_transitions.ts";

const path: Handler = (request) => text(new URL(request.url).pathname);
const DRAIN: ToLoop = { kind: "drain", delayMs: 0, closesIdle: true };
/** What is counted is told so often, where it has changed. */
const COUNTS_INTERVAL_MS = 100;
/** Requests that may be told and not heard of. */
const MAX_UNHEARD = 10_000;

/** Collects what nothing refers to; only Node can be asked for that by every program. */
const collect = ((): (() => void) | null => {
  if (detectRuntime().name !== "node") return null;
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

interface Setup {
  readonly orders?: Partial<LoopOrders>;
  readonly runtime?: MemoryRuntimeOptions;
  readonly lacksModule?: boolean;
  readonly cannotListen?: boolean;
}

/** A loop in memory, and what it has said. */
async function createLoop(
  handler: Handler = path,
  { orders = {}, runtime: options, lacksModule = false, cannotListen = false }: Setup = {},
) {
  setHandler(handler);
  const said: FromLoop[] = [];
  const runtime = createMemoryRuntime(options);
  const parent = { post: (message: unknown) => void said.push(message as FromLoop) } as unknown as ParentThread;
  const files = lacksModule ? { ...runtime.files, kindOf: () => Promise.resolve(null) } : runtime.files;
  const listen: Runtime["listen"] = cannotListen
    ? () => Promise.reject(new Error("The port is taken."))
    : (asked, events) => runtime.listen(asked, events);
  const host = new LoopHost({ ...runtime, files, listen }, parent, {
    role: "loop",
    options: { module: HANDLER_MODULE_URL },
    fastResponse: false,
    reportsErrors: false,
    rejectionsAreFatal: false,
    tellsRequests: false,
    ...orders,
  });
  const { clock } = runtime;
  /** Says something to the loop, and returns what it says then. */
  const hear = async (message: ToLoop): Promise<FromLoop[]> => {
    const before = said.length;
    host.take(message);
    await clock.settle();
    return said.slice(before);
  };
  const send = async (bytes: string): Promise<MemoryPeer> => {
    const peer = runtime.connect();
    peer.send(bytes);
    await clock.settle();
    return peer;
  };
  await host.load();
  return { host, runtime, clock, said, hear, send };
}

async function startLoop(handler?: Handler, setup?: Setup) {
  const loop = await createLoop(handler, setup);
  while (loop.said.length === 0) await loop.hear({ kind: "listen", port: 80 });
  assert.deepEqual(loop.said.splice(0), [{ kind: "listening", error: null }]);
  return loop;
}

/** The messages of one kind. */
function only<K extends FromLoop["kind"]>(kind: K, said: readonly FromLoop[]): (FromLoop & { kind: K })[] {
  return said.filter((message): message is FromLoop & { kind: K } => message.kind === kind);
}

describe("a loop on its thread", () => {
  test("is not ready where the module does not exist", async () => {
    await assert.rejects(createLoop(path, { lacksModule: true }), { code: "module-invalid" });
  });

  test("listens once, at the port that it is told, and says so only to that thread", async () => {
    const { hear, send, runtime } = await startLoop();
    assert.deepEqual(await hear({ kind: "listen", port: 81 }), []);
    assert.deepEqual(runtime.printed, []);
    assert.equal((await send(get("/a"))).received(), okText("/a"));
  });

  test("says that it has stopped once, with what became of its connections, and what it has counted", async () => {
    const { hear, send, clock, said } = await startLoop(() => new Promise(() => {}));
    const idle = await send("");
    await send(get());
    assert.deepEqual(await hear(DRAIN), []);
    idle.end();
    await clock.advance(600_000);
    assert.deepEqual(only("stopped", said), [], "only that thread says when the time is over");
    const [stopped] = only("stopped", await hear({ kind: "cut-off" }));
    assert.deepEqual([stopped.drained, stopped.aborted], [1, 1]);
    const { open, accepted, requests } = stopped.counts;
    assert.deepEqual({ open, accepted, requests }, { open: 0, accepted: 2, requests: 1 });
    assert.deepEqual(await hear(DRAIN), []);
  });

  test("that drains stops sooner when it is told so again, and says so once", async () => {
    const { hear, clock, said } = await startLoop();
    assert.deepEqual(await hear({ ...DRAIN, delayMs: 5_000 }), []);
    await clock.advance(1_000);
    assert.deepEqual(await hear({ ...DRAIN, delayMs: 1_000 }), []);
    await clock.advance(1_000);
    assert.equal(only("stopped", said).length, 1);
  });

  test("that could not listen says why, and has nothing to stop", async () => {
    const { hear, said } = await createLoop(path, { cannotListen: true });
    while (said.length === 0) await hear({ kind: "listen", port: 80 });
    assert.equal(only("listening", said)[0].error?.code, "listen-failed");
    assert.deepEqual(await hear({ kind: "cut-off" }), []);
    const [stopped] = only("stopped", await hear(DRAIN));
    assert.deepEqual([stopped.drained, stopped.aborted], [0, 0]);
  });

  test("that never listened has nothing to stop", async () => {
    const { hear } = await createLoop();
    const [stopped] = only("stopped", await hear(DRAIN));
    assert.deepEqual([stopped.drained, stopped.aborted, stopped.counts.accepted], [0, 0, 0]);
    assert.deepEqual(await hear({ kind: "listen", port: 80 }), []);
  });

  test("says what it counts a tenth of a second later, and only what has changed", async () => {
    const { clock, send, said } = await startLoop();
    await clock.advance(COUNTS_INTERVAL_MS);
    said.length = 0;
    await clock.advance(10 * COUNTS_INTERVAL_MS);
    assert.deepEqual(said, []);
    await send(get());
    await clock.advance(10 * COUNTS_INTERVAL_MS);
    assert.deepEqual(only("counts", said).map(({ counts }) => [counts.open, counts.requests]), [[1, 1]]);
  });

  test("says what became of its certificates", async () => {
    let asked = 0;
    const { hear } = await startLoop(path, {
      orders: { options: { module: HANDLER_MODULE_URL, tls: { cert: "certificate", key: "key" } } },
      runtime: {
        reloadTls: () => asked++ === 0 ? Promise.resolve(true) : Promise.reject(new Error("no certificate")),
      },
    });
    assert.deepEqual(await hear({ kind: "reload-tls" }), [{ kind: "tls-reloaded", error: null }]);
    const [failed] = only("tls-reloaded", await hear({ kind: "reload-tls" }));
    assert.notEqual(failed.error, null);
  });

  test("tells of a promise that was rejected", async () => {
    const { host, said } = await createLoop();
    host.reportRejection(new Error("boom"));
    const [{ error }] = only("loose-error", said);
    assert.equal(error.code, "unhandled-rejection");
  });
});

describe("errors of a loop", () => {
  const fails: Handler = (request) => Promise.reject(new Error(new URL(request.url).pathname));

  test("are told each by its number, and answered with what is given for it, or not", async () => {
    const { hear, send, said } = await startLoop(fails, { orders: { reportsErrors: true } });
    const [first, second, third] = [await send(get("/1")), await send(get("/2")), await send(get("/3"))];
    const reports = only("error", said);
    assert.deepEqual(reports.map(({ error, request }) => [error.code, request?.url]), [
      ["handler-failed", "http://a.test/1"],
      ["handler-failed", "http://a.test/2"],
      ["handler-failed", "http://a.test/3"],
    ]);
    const content = new TextEncoder().encode("sorry");
    const response = { status: 418, statusText: "Sorry", fields: [["x", "y"]] as const, content };
    await hear({ kind: "response", reportId: reports[1].reportId, response });
    await hear({ kind: "response", reportId: reports[0].reportId, response: null });
    assert.deepEqual([first, second, third].map((peer) => statuses(peer.received())), [[500], [418], []]);
    assert.match(second.received(), /^HTTP\/1\.1 418 Sorry\r\nx: y\r\n[^]*\r\n\r\nsorry$/);
    await hear({ kind: "response", reportId: 9_999, response });
    assert.equal(third.received(), "", "an answer to what was not asked");
  });

  test("are forgotten once they are answered", { skip: collect === null }, async () => {
    const { hear, send, said } = await startLoop(fails, { orders: { reportsErrors: true } });
    const peer = await send(get());
    const answer = (): WeakRef<object> => {
      const response = { status: 418, statusText: "", fields: [], content: null };
      void hear({ kind: "response", reportId: only("error", said)[0].reportId, response });
      return new WeakRef(response);
    };
    const response = answer();
    while (peer.received() === "") await new Promise((resolve) => setTimeout(resolve, 1));
    for (let turn = 0; turn < 10 && response.deref() !== undefined; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      collect!();
    }
    assert.equal(response.deref(), undefined);
  });

  test("are answered at once, and printed, where the loop of the server has no onError", async () => {
    const { send, said, runtime } = await startLoop(fails);
    assert.deepEqual(statuses((await send(get())).received()), [500]);
    assert.deepEqual(only("error", said), []);
    assert.ok(runtime.printed.some((line) => line.includes("GET / 500")), runtime.printed.join("\n"));
  });
});

describe("requests of a loop", () => {
  const TELLS: Setup = { orders: { tellsRequests: true } };
  const urlsOf = (said: readonly FromLoop[]) =>
    only("requests", said).map(({ entries }) => entries.map((entry: AccessLogEntry) => entry.target));

  test("are told together at the end of the turn, where the access log is a function", async () => {
    const { send, said } = await startLoop(path, TELLS);
    await send(get("/1") + get("/2"));
    await send(get("/3"));
    assert.deepEqual(urlsOf(said), [["/1", "/2"], ["/3"]]);
  });

  test("are not told where it is none", async () => {
    const { send, said } = await startLoop(path);
    await send(get());
    assert.deepEqual(said, []);
  });

  test("are told before it is said that the loop has stopped", async () => {
    const gate = createGate();
    const { send, hear, said, clock } = await startLoop(async () => {
      await gate.opened;
      return text("done");
    }, TELLS);
    const peer = await send(get("/last"));
    await hear(DRAIN);
    gate.open();
    peer.end();
    await clock.settle();
    assert.deepEqual(said.map(({ kind }) => kind), ["requests", "stopped"]);
  });

  test("are dropped, and counted as lines that were, while too many are not heard of", async () => {
    const { send, said, hear, clock } = await startLoop(path, TELLS);
    const tellAndCount = async (requests: number): Promise<[told: number, dropped: number]> => {
      said.length = 0;
      const peer = await send(get().repeat(requests));
      while (peer.receivedBytes < requests * okText("/").length) await clock.settle();
      await clock.advance(COUNTS_INTERVAL_MS);
      const told = only("requests", said).reduce((sum, { entries }) => sum + entries.length, 0);
      return [told, only("counts", said).at(-1)!.counts.droppedLines];
    };
    assert.deepEqual(await tellAndCount(MAX_UNHEARD + 2), [MAX_UNHEARD, 2]);
    assert.deepEqual(await tellAndCount(1), [0, 3]);
    await hear({ kind: "requests-heard", count: 2 });
    assert.deepEqual(await tellAndCount(3), [2, 4]);
  });
});
