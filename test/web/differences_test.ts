/** Where the runtimes differ, as docs/differences.md has it: a row that fails says that the page has to change. */

import assert from "node:assert/strict";
import { createServer, type ListenOptions as NetListenOptions, type Server as NetServer } from "node:net";
import process from "node:process";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { builtinCodecs } from "../../runtime/builtin_codecs.ts";
import { detectRuntime } from "../../runtime/detect.ts";
import { whyNotBalanced } from "../../runtime/sharing.ts";
import type { ListenOptions } from "../../src/transport.ts";

const runtime = detectRuntime();
const { name } = runtime;
const major = Number.parseInt(runtime.version);
const isOldNode = name === "node" && major < 22;

/** The next turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Whether the URL Standard as the runtime has it takes a host. */
function takesHost(host: string): boolean {
  return URL.canParse(`http://\xe4.${host}/`);
}

describe("hosts whose Punycode depends on the version of Unicode", () => {
  for (
    const [host, isTaken] of [
      ["xn--test-", isOldNode],
      ["xn--a-0hc", isOldNode],
      ["1.xn--mgbaam7a8h", name === "node"],
      ["xn--xn---epa", name === "deno" || isOldNode],
      ["xn--a", false],
      ["xn--mgbaam7a8h", true],
    ] as const
  ) {
    test(`${host} is ${isTaken ? "taken" : "refused"} here`, () => assert.equal(takesHost(host), isTaken));
  }
});

describe("the codings that fetch has decoded", () => {
  const { decodes } = runtime.responseContents(Response);
  for (
    const [codings, isDecoded] of [
      ["gzip", true],
      ["br", true],
      ["deflate", name !== "deno"],
      ["zstd", name === "bun" || (name === "node" && major >= 24)],
      ["gzip, br", name === "node"],
      ["rot13", false],
    ] as const
  ) {
    test(`${codings} is ${isDecoded ? "one" : "none"} here`, () => assert.equal(decodes(codings), isDecoded));
  }
});

describe("Bun's Blob", () => {
  for (const type of ["text/plain", "application/json"]) {
    test(`adds a charset to ${type}`, () => {
      assert.equal(new Blob([], { type }).type, name === "bun" ? `${type};charset=utf-8` : type);
    });
  }
});

describe("forms, as the runtime reads them", () => {
  async function readNatively(content: string): Promise<string> {
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    try {
      const form = await new Response(content, { headers }).formData();
      return [...form].map(([name, value]) => `${name} is ${typeof value === "string" ? "text" : "a file"}`).join();
    } catch {
      return "refused";
    }
  }

  test("a file whose name stands without quotation marks", async () => {
    const content = "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nx\r\n--b--\r\n";
    const expected = { bun: "a; filename=f is text", node: isOldNode ? "refused" : "a is a file" };
    assert.equal(await readNatively(content), name in expected ? expected[name as "bun"] : "a is a file");
  });

  test("a form that was cut off", async () => {
    const content = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n';
    assert.equal(await readNatively(content), name === "deno" ? "" : "refused");
  });
});

describe("threads of the runtime", () => {
  const CODE = { eval: true } as const;

  test("one that spins behind its first await ends when it is terminated, but on Deno", async () => {
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(
      `const { workerData: shared } = require("node:worker_threads");
       (async () => { await null; while (Atomics.load(shared, 1) === 0) Atomics.add(shared, 0, 1); })();`,
      { ...CODE, workerData: shared },
    );
    try {
      while (Atomics.load(shared, 0) === 0) await turn();
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      void worker.terminate();
      // Deno says that it has ended.
      await ended;
      const seen = Atomics.load(shared, 0);
      const untilMs = Date.now() + (name === "deno" ? 10_000 : 100);
      while (Atomics.load(shared, 0) === seen && Date.now() < untilMs) await turn();
      assert.equal(Atomics.load(shared, 0) !== seen, name === "deno");
    } finally {
      Atomics.store(shared, 1, 1);
    }
  });

  test("one that takes more memory than it may have is ended, and that is told, on Node alone", async () => {
    const worker = new Worker(
      `const { parentPort } = require("node:worker_threads");
       parentPort.once("message", () => {
         const kept = [];
         for (let i = 0; i < 60; i++) kept.push(new Array(131072).fill(i));
         parentPort.postMessage(kept.length);
       });`,
      { ...CODE, resourceLimits: { maxOldGenerationSizeMb: 16 } },
    );
    const outcome = await new Promise((resolve) => {
      worker.once("message", () => resolve("goes on"));
      worker.once("error", () => resolve("is ended"));
      worker.postMessage("begin");
      if (name === "deno") setTimeout(() => resolve("is lost without a word"), 2_000);
    });
    void worker.terminate();
    const expected: Record<string, string> = { node: "is ended", bun: "goes on", deno: "is lost without a word" };
    assert.equal(outcome, expected[name]);
    assert.equal(runtime.limitsThreadMemory, name === "node");
  });
});

describe("what older versions of Node lack", () => {
  const isBefore = (minor: number, ofMajor: number): boolean =>
    name === "node" && (major < ofMajor || (major === ofMajor && Number(runtime.version.split(".")[1]) < minor));

  test("reusePort needs Node 22.12", async () => {
    const lacksIt = isBefore(12, 22) || (name === "node" && runtime.version.startsWith("23.0."));
    const options = { unixPath: undefined, descriptor: undefined } as ListenOptions;
    assert.equal(runtime.whyNotShared(options) !== null, lacksIt);
    if (name !== "node") return;
    const listen = (port: number): Promise<NetServer | null> => {
      const server = createServer();
      return new Promise((resolve) => {
        server.once("error", () => resolve(null));
        server.listen({ port, host: "127.0.0.1", reusePort: true } as NetListenOptions, () => resolve(server));
      });
    };
    const first = await listen(0);
    const second = await listen((first?.address() as { port: number }).port).catch(() => null);
    first?.close();
    second?.close();
    assert.equal(second === null, lacksIt);
  });

  test("WebSockets need Node 20.16, and say so where it is older", () => {
    assert.equal(process.getBuiltinModule === undefined, isBefore(16, 20));
    const { getBuiltinModule } = process;
    Object.defineProperty(process, "getBuiltinModule", { configurable: true, writable: true, value: undefined });
    try {
      assert.throws(() => builtinCodecs().sha1(new Uint8Array(0)), /WebSockets need Node 20\.16/);
    } finally {
      Object.defineProperty(process, "getBuiltinModule", {
        configurable: true,
        writable: true,
        value: getBuiltinModule,
      });
    }
  });

  test("several loops need Linux", () => {
    const options = { unixPath: undefined, descriptor: undefined } as ListenOptions;
    assert.equal(whyNotBalanced(options, "linux"), null);
    assert.match(whyNotBalanced(options, "darwin") ?? "", /only Linux/);
  });
});
