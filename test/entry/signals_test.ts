/** What ends a process: signals to the command, and to a program that has `serve()` handle them; and where it listens. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, describe, test } from "node:test";
import { get, post } from "../fixtures/differential.ts";
import { connectRaw } from "../support/raw_client.ts";
import { Program } from "./program.ts";

const CLI = new URL("../../src/entry/cli.ts", import.meta.url);
const WITH_SERVE = new URL("./signals_program.ts", import.meta.url);
const HANDLERS = fileURLToPath(new URL("../fixtures/handlers_module.ts", import.meta.url));
const ANYWHERE = ["--hostname", "127.0.0.1", "--port", "0", "--log", "none"];

const folder = mkdtempSync(join(tmpdir(), "trivet-"));
after(() => rmSync(folder, { recursive: true }));

async function serving(...args: string[]): Promise<{ program: Program; port: number }> {
  const program = new Program(CLI, [HANDLERS, ...ANYWHERE, ...args]);
  const [, port] = await program.line(/^Listening on http:\/\/127\.0\.0\.1:(\d+)\//);
  return { program, port: Number(port) };
}

/** A connection that was used and is kept. */
async function idleAt(port: number) {
  const client = await connectRaw({ port });
  client.send(get("/text"));
  await client.receiveUntil((received) => received.endsWith("hello"));
  return client;
}

describe("SIGTERM", () => {
  test("leaves idle connections until the deadline, for the request that may be on its way; and 0", async () => {
    const { program, port } = await serving("--drain-timeout", "60000");
    const idle = await idleAt(port);
    program.signal("SIGTERM");
    await program.line(/^SIGTERM: /);
    idle.send(get("/text"));
    assert.match(await idle.receiveAll(), /\r\nConnection: close\r\n[^]*hello$/);
    idle.end();
    const { code, output } = await program.ended;
    assert.deepEqual([code, output.at(-1)?.replace(/\d+ ms/, "")], [0, "Stopped: 1 connections drained, 0 aborted, "]);
  });

  test("cuts off nothing when it closes what is idle at the deadline: 0", async () => {
    const { program, port } = await serving("--drain-timeout=100");
    const idle = await idleAt(port);
    program.signal("SIGTERM");
    const { code, output } = await program.ended;
    assert.deepEqual([code, output.at(-1)?.replace(/\d+ ms/, "")], [0, "Stopped: 1 connections drained, 0 aborted, "]);
    idle.destroy();
  });

  test("is announced for a second where there is a health path, or as long as it is told", async () => {
    for (const [args, minMs] of [[[], 1_000], [["--drain-delay", "300"], 300]] as const) {
      const { program, port } = await serving("--health-path", "/health", ...args);
      program.signal("SIGTERM");
      await program.line(/^SIGTERM: /);
      const client = await connectRaw({ port });
      client.send(get("/health"));
      assert.match(await client.receiveAll(), /^HTTP\/1\.1 503 [^]*\r\nConnection: close\r\n[^]*stopping\n$/);
      client.end();
      const { code, output } = await program.ended;
      const [, drained, tookMs] = /^Stopped: (\d+) connections drained, 0 aborted, (\d+) ms$/.exec(output.at(-1)!)!;
      assert.deepEqual([code, drained], [0, "1"]);
      assert.ok(Number(tookMs) >= minMs - 5, `${tookMs} ms`);
    }
  });

  test("that has to cut off a request ends with 3", async () => {
    const { program, port } = await serving("--drain-timeout", "100");
    const client = await connectRaw({ port });
    client.send(post("/echo", "Content-Length: 5", "Expect: 100-continue"));
    await client.receiveUntil((received) => received.includes("100 Continue"));
    program.signal("SIGTERM");
    const { code, output } = await program.ended;
    assert.deepEqual([code, output.at(-1)?.replace(/\d+ ms/, "")], [3, "Stopped: 0 connections drained, 1 aborted, "]);
    client.destroy();
  });
});

test("a signal while the module is loaded ends the process in order: 0", async () => {
  const module = join(folder, "slow.mjs");
  writeFileSync(module, 'console.log("loading"); await new Promise((resolve) => setTimeout(resolve, 600_000));');
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const program = new Program(CLI, [module, ...ANYWHERE]);
    await program.line(/^loading$/);
    program.signal(signal);
    const { code, signal: endedBy, output } = await program.ended;
    assert.deepEqual([code, endedBy, output.at(-1)], [0, null, `${signal}: stopped before it listened`]);
  }
});

test("SIGINT has no delay, and closes what is idle", async () => {
  const { program, port } = await serving("--health-path", "/health", "--drain-delay=60000", "--drain-timeout=60000");
  const idle = await idleAt(port);
  program.signal("SIGINT");
  await idle.receiveAll();
  idle.end();
  const { code } = await program.ended;
  assert.equal(code, 0);
});

describe("a program that has serve() handle signals", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`finishes what is in flight at ${signal}, and ends by itself`, async () => {
      const program = new Program(WITH_SERVE, []);
      const [, port] = await program.line(/^port (\d+)$/);
      const client = await connectRaw({ port: Number(port) });
      client.send(get("/slow"));
      await program.line(/^slow has begun$/);
      program.signal(signal);
      assert.match(await client.receiveAll(), /\r\nConnection: close\r\n[^]*hello$/);
      client.end();
      const { code, signal: endedBy, output } = await program.ended;
      assert.deepEqual([code, endedBy, output.at(-1)], [0, null, "stopped"]);
    });
  }
});

describe("where the command listens", () => {
  const module = join(folder, "app.mjs");
  writeFileSync(module, 'export default { fetch: () => new Response("hello"), port: 1, hostname: "192.0.2.1" };');
  const HOST = "127.0.0.1";

  test("is what PORT and HOST say, before the module, and what flags say before them", async () => {
    const rows: readonly [environment: Record<string, string>, args: readonly string[], url: RegExp][] = [
      [{ PORT: "0", HOST }, [], /http:\/\/127\.0\.0\.1:(?!1\/)\d+\//],
      [{ PORT: "99999999", HOST: "192.0.2.2" }, ["--host", HOST, "--port", "0"], /allowed is a whole number/],
      [{ PORT: "1", HOST: "192.0.2.2" }, ["--host", HOST, "--port", "0"], /http:\/\/127\.0\.0\.1:(?!1\/)\d+\//],
      [{ PORT: "", HOST: "" }, ["--host", HOST, "--port", "0"], /http:\/\/127\.0\.0\.1:(?!1\/)\d+\//],
    ];
    for (const [environment, args, expected] of rows) {
      const program = new Program(CLI, [module, "--log", "none", ...args], { environment });
      await program.line(/^Listening/).then(() => program.signal("SIGTERM"), () => {});
      const { output, errors } = await program.ended;
      assert.match([...output, ...errors][0], expected);
    }
  });

  for (const PORT of ["http", "65536", "-1", "80 ", "8_0"]) {
    test(`can't be said with PORT=${JSON.stringify(PORT)}: one line, and 2`, async () => {
      const { code, errors, output } = await new Program(CLI, [module], { environment: { PORT } }).ended;
      const line = `trivet: The environment variable PORT is ${
        JSON.stringify(PORT)
      }, allowed is a whole number from 0 to 65535.`;
      assert.deepEqual([code, errors, output], [2, [line], []]);
    });
  }
});
