/** The access log of the command-line program, as a process of its own on the runtime that runs the test. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Program } from "./program.ts";

const CLI = new URL("../../src/entry/cli.ts", import.meta.url);
const HANDLERS = fileURLToPath(new URL("../fixtures/handlers_module.ts", import.meta.url));
const ANYWHERE = ["--port", "0", "--host", "127.0.0.1"];
/** Long enough for a busy machine; that a file was renamed is noticed within two seconds. */
const DEADLINE_MS = 30_000;

async function serving(...args: readonly string[]): Promise<{ program: Program; url: string }> {
  const program = new Program(CLI, [HANDLERS, ...ANYWHERE, ...args]);
  const [, url] = await program.line(/^Listening on (\S+) .*$/);
  return { program, url };
}

/** Asks on a connection of its own, so that loops take turns. */
async function ask(url: string, path: string): Promise<void> {
  const response = await fetch(url + path, { headers: { connection: "close", "user-agent": "test" } });
  await response.arrayBuffer();
}

async function stop(program: Program): Promise<readonly string[]> {
  program.signal("SIGTERM");
  const { code, output, errors } = await program.ended;
  // An old Node says that it has one loop only, and a busy machine that requests wait.
  assert.deepEqual([code, errors.filter((line) => !/can't share a port| are busy, and /.test(line))], [0, []]);
  return output;
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "trivet-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Waits until a file has so many lines, and gives them. */
async function linesOf(path: string, count: number): Promise<string[]> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (true) {
    const lines = existsSync(path) ? (await readFile(path, "utf8")).split("\n").slice(0, -1) : [];
    if (lines.length >= count || performance.now() > deadlineMs) return lines;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function lineFor(path: string): RegExp {
  return new RegExp(`^127\\.0\\.0\\.1 - - \\[.* \\+0000\\] "GET /${path} HTTP/1\\.1" 200 \\d+ "-" "test"$`);
}

describe("trivet --log", () => {
  test("is none where standard output is no terminal", async () => {
    const { program, url } = await serving();
    await ask(url, "text");
    assert.equal((await stop(program)).length, 3);
  });

  test("combined prints a line for each request", async () => {
    const { program, url } = await serving("--log", "combined");
    await ask(url, "text");
    await ask(url, "text?again");
    const lines = (await stop(program)).filter((line) => line.includes("GET"));
    assert.equal(lines.length, 2, lines.join("\n"));
    assert.match(lines[0], lineFor("text"));
    assert.match(lines[1], lineFor("text\\?again"));
  });

  test("json is an object a line", async () => {
    const { program, url } = await serving("--log=json");
    await ask(url, "text");
    const [line] = (await stop(program)).filter((line) => line.startsWith("{"));
    assert.deepEqual([JSON.parse(line).target, JSON.parse(line).status], ["/text", 200]);
  });

  test("with an unknown format is one line, and nothing is served", async () => {
    const { code, output, errors } = await new Program(CLI, [HANDLERS, ...ANYWHERE, "--log", "nginx"]).ended;
    assert.deepEqual([code, output], [2, []]);
    assert.deepEqual(errors, [
      'trivet: The option accessLog.format is "nginx", allowed is one of "short", "common", "combined", "json".',
    ]);
  });

  test("is a short line in colour for who looks on at a terminal, unless none is wanted", async () => {
    for (const [args, expected] of [[[], /\S\[32m200\S\[0m GET \/text /], [["--log", "none"], null]] as const) {
      const program = new Program(CLI, [HANDLERS, ...ANYWHERE, ...args], { isTerminal: true });
      const [, url] = await program.line(/^Listening on (\S+) .*$/);
      await ask(url, "text");
      if (expected !== null) await program.line(expected);
      program.signal("SIGINT");
      const { output } = await program.ended;
      assert.equal(output.some((line) => line.includes("GET /text")), expected !== null, output.join("\n"));
    }
  });
});

describe("trivet --log-file", () => {
  test("appends to a file, from several loops too, each request once", async () => {
    await inFolder(async (folder) => {
      const file = join(folder, "access.log");
      for (const [round, args] of [[], ["--loops", "2"], ["--model", "hybrid", "--threads", "2"]].entries()) {
        const { program, url } = await serving("--log-file", file, ...args);
        for (let i = 0; i < 10; i++) await ask(url, `text?${round}.${i}`);
        assert.equal((await stop(program)).length, 3, "nothing is printed beside it");
        const lines = await linesOf(file, 10 * (round + 1));
        assert.equal(lines.length, 10 * (round + 1), lines.join("\n"));
        for (let i = 0; i < 10; i++) {
          assert.equal(lines.filter((line) => lineFor(`text\\?${round}\\.${i}`).test(line)).length, 1);
        }
      }
    });
  });

  test("begins a new file when the old one was renamed, as logrotate does", async () => {
    await inFolder(async (folder) => {
      const file = join(folder, "access.log");
      const { program, url } = await serving("--log-file", file, "--log", "common");
      await ask(url, "text?1");
      await linesOf(file, 1);
      await rename(file, `${file}.1`);
      const paths = ["text?1"];
      for (const deadlineMs = performance.now() + DEADLINE_MS; !existsSync(file);) {
        assert.ok(performance.now() < deadlineMs, "no new file was begun");
        paths.push(`text?${paths.length + 1}`);
        await ask(url, paths.at(-1)!);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await stop(program);
      const lines = [...await linesOf(`${file}.1`, 1), ...await linesOf(file, 1)];
      assert.deepEqual(lines.map((line) => /GET \/(\S+) HTTP/.exec(line)?.[1]), paths);
    });
  });

  test("that can't be opened is one line, and nothing is served", async () => {
    await inFolder(async (folder) => {
      const locked = join(folder, "locked");
      const { code, output, errors } = await new Program(CLI, [
        HANDLERS,
        ...ANYWHERE,
        "--log-file",
        join(locked, "access.log"),
      ]).ended;
      assert.deepEqual([code, output, errors.length], [1, [], 1], errors.join("\n"));
      assert.ok(errors[0].startsWith(`trivet: The log file ${locked}/access.log can't be opened: `), errors[0]);
      assert.match(errors[0], /ENOENT/);
    });
  });
});
