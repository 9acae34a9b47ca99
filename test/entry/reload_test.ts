/** Programs under development: each runtime starts one anew when a file of it changes, and Bun also evaluates it anew. */

import assert from "node:assert/strict";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Peer } from "../fixtures/models/peer.ts";
import { Program } from "./program.ts";

const PACKAGE = new URL("../../mod.ts", import.meta.url).href;
const CHANGES = 2;
const WAIT_MS = 20;
const MAX_WAITS = 2_000;
/** A busy machine takes seconds to start a runtime once more. */
const DEADLINE_MS = 120_000;

const FLAGS = "Deno" in globalThis ? ["--watch"] : "Bun" in globalThis ? ["--watch", "--hot"] : ["--watch"];

/** The watcher of Node is a process of its own, which hands on what it is told; the others are the program itself. */
const END_SIGNAL = "Deno" in globalThis || "Bun" in globalThis ? "SIGKILL" : "SIGTERM";

/** A program that serves a text, and at `/slow` after a while. */
function source(text: string, port: number, more = ""): string {
  return `
import { serve } from ${JSON.stringify(PACKAGE)};
const where = { port: ${port}, hostname: "127.0.0.1", handleSignals: true, drainDelay: 600_000, drainTimeout: 600_000 };
const server = serve(where, async (request) => {
  if (request.url.endsWith("/endless")) return new Response(new ReadableStream());
  if (request.url.endsWith("/slow")) {
    console.log("slow has begun");
    await new Promise((resolve) => setTimeout(resolve, 700));
  }
  return new Response(${JSON.stringify(text)});
});
${more}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ask(port: number, path = "/"): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  return await response.text();
}

async function until(port: number, expected: string): Promise<void> {
  let text = "";
  for (let waits = 0; text !== expected; waits++) {
    assert.ok(waits < MAX_WAITS, `"${expected}" never came, the last was "${text}"`);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    text = await ask(port).catch(() => "");
  }
}

async function untilFree(port: number): Promise<void> {
  for (let waits = 0; await ask(port).then(() => true, () => false); waits++) {
    assert.ok(waits < MAX_WAITS, "the server of before goes on");
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
}

async function withProgram(
  flag: string,
  more: string,
  use: (change: (text: string) => Promise<void>, port: number, program: Program) => Promise<void>,
): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "trivet-")));
  const path = join(folder, "app.mjs");
  const port = await freePort();
  await writeFile(path, source("first", port, more));
  const program = new Program(pathToFileURL(path), [], { flags: [flag], deadlineMs: DEADLINE_MS });
  try {
    await program.line(/^Listening on /);
    await use((text) => writeFile(path, source(text, port, more)), port, program);
  } finally {
    program.signal(END_SIGNAL);
    const { errors } = await program.ended;
    await rm(folder, { recursive: true });
    assert.doesNotMatch(errors.join("\n"), /EADDRINUSE|listen-failed/);
  }
}

for (const flag of FLAGS) {
  describe(flag, () => {
    test("serves what each change has made, at the same port", async () => {
      await withProgram(flag, "", async (change, port) => {
        assert.equal(await ask(port), "first");
        for (let count = 1; count <= CHANGES; count++) {
          await change(`change ${count}`);
          await until(port, `change ${count}`);
        }
      });
    });

    test("waits neither for a connection that is kept nor for a stream without an end, as browsers have them", async () => {
      await withProgram(flag, "", async (change, port) => {
        const [kept, endless] = [await Peer.connect(port), await Peer.connect(port)];
        assert.equal((await kept.ask("/")).content, "first");
        endless.get("/endless");
        await change("second");
        await until(port, "second");
        for (const peer of [kept, endless]) peer.destroy();
      });
    });
  });
}

if (FLAGS.includes("--hot")) {
  describe("--hot", () => {
    test("what the code before has begun it ends, and the address is known at once", async () => {
      await withProgram("--hot", `if (server.port === 0) throw new Error();`, async (change, port, program) => {
        const slow = ask(port, "/slow");
        await program.line(/^slow has begun$/);
        await change("second");
        await until(port, "second");
        assert.equal(await slow, "first");
      });
    });

    test("of several at one address each gives way to one of the next, and to none beside it", async () => {
      const more = `globalThis.times = (globalThis.times ?? 0) + 1;
for (const name of ["one", "two"]) {
  const onListen = ({ port }) => console.log(name + " of " + globalThis.times + " at " + port);
  serve({ port: 0, hostname: "127.0.0.1", onListen }, () => new Response(name));
}`;
      await withProgram("--hot", more, async (change, _port, program) => {
        const portsOf = async (times: number): Promise<number[]> => {
          const ports: number[] = [];
          for (const name of ["one", "two"]) {
            ports.push(Number((await program.line(new RegExp(`^${name} of ${times} at (\\d+)$`)))[1]));
          }
          return ports;
        };
        const before = await portsOf(1);
        assert.deepEqual(await Promise.all(before.map((port) => ask(port))), ["one", "two"]);
        await change("second");
        const after = await portsOf(2);
        assert.deepEqual(await Promise.all(after.map((port) => ask(port))), ["one", "two"]);
        for (const port of before) if (!after.includes(port)) await untilFree(port);
      });
    });

    test("a server of a module and its threads gives way too", async () => {
      const folder = await realpath(await mkdtemp(join(tmpdir(), "trivet-")));
      const handler = join(folder, "handler.mjs");
      await writeFile(handler, `export default { fetch: () => new Response("on a thread") };`);
      const more = `serve({ port: 0, hostname: "127.0.0.1", model: "hybrid", threads: 1, module: ${
        JSON.stringify(handler)
      } });`;
      await withProgram("--hot", more, async (change, port) => {
        await change("second");
        await until(port, "second");
      });
      await rm(folder, { recursive: true });
    });
  });
}
