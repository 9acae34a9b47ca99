/** Log files, as the host of the runtime this runs on opens them. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";

const { host, name } = detectRuntime();
const folder = mkdtempSync(join(tmpdir(), "trivet-"));
after(() => rmSync(folder, { recursive: true }));

/** Waits longer than `flushed` does, where a busy machine needs it. */
async function textOf(path: string, bytes: number): Promise<string> {
  for (let tries = 0; tries < 500; tries++) {
    const text = readFileSync(path, "utf8");
    if (text.length >= bytes) return text;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return readFileSync(path, "utf8");
}

describe(`a log file on ${name}`, () => {
  test("has what is written behind what it had, in order", async () => {
    const path = join(folder, "ordered.log");
    const first = await host.openLog(path);
    first.write("1\n2\n", 2);
    await first.flushed();
    await textOf(path, 4);
    const second = await host.openLog(path);
    for (let i = 3; i < 10; i++) second.write(`${i}\n`, 1);
    await second.flushed();
    assert.equal(await textOf(path, 18), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  });

  test("takes no more than 1 MiB of lines while others are being written, and counts the rest", async () => {
    const path = join(folder, "long.log");
    const log = await host.openLog(path);
    const droppedBefore = host.droppedLines;
    const line = `${"x".repeat(1023)}\n`;
    for (let i = 0; i < 3_000; i++) log.write(line, 1);
    const dropped = host.droppedLines - droppedBefore;
    assert.equal(dropped, 3_000 - 1 - 1024, "one was being written, and 1 MiB of them waited");
    await log.flushed();
    assert.equal((await textOf(path, 1025 * 1024)).length, 1025 * 1024);
  });

  test("on a full disk drops lines and counts them, and nothing fails", async () => {
    if (!existsSync("/dev/full")) return;
    const log = await host.openLog("/dev/full");
    const droppedBefore = host.droppedLines;
    log.write("1\n2\n3\n", 3);
    for (let tries = 0; tries < 500 && host.droppedLines === droppedBefore; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(host.droppedLines - droppedBefore, 3);
  });

  test("that can't be made is the system's error", async () => {
    await assert.rejects(host.openLog(join(folder, "missing", "x.log")), { code: "ENOENT" });
  });
});
