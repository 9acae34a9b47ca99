/** Log files, as the host of the runtime this runs on opens them. */

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
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

/** Moves the clock on by which it is looked every two seconds whether the file is still the one that its path names. */
function passTime(ms: number): void {
  const now = performance.now.bind(performance);
  performance.now = () => now() + ms;
}

/** Whether this process has a file open, where that can be seen. */
function hasOpen(path: string): boolean {
  if (!existsSync("/proc/self/fd")) return false;
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
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
    assert.equal(host.droppedLines, 0);
  });

  test("is begun anew within two seconds once it was renamed, and the old one is let go of", async () => {
    for (const isReplaced of [false, true]) {
      const path = join(folder, `rotated ${isReplaced}.log`);
      const log = await host.openLog(path);
      const write = async (line: string): Promise<void> => {
        log.write(line, 1);
        await log.flushed();
      };
      await write("1\n");
      renameSync(path, `${path}.1`);
      if (isReplaced) writeFileSync(path, "other\n");
      await write("2\n");
      assert.equal(await textOf(`${path}.1`, 4), "1\n2\n");
      passTime(2_000);
      await write("3\n");
      await write("4\n");
      assert.equal(await textOf(path, 4), isReplaced ? "other\n3\n4\n" : "3\n4\n");
      assert.equal(readFileSync(`${path}.1`, "utf8"), "1\n2\n");
      assert.equal(hasOpen(`${path}.1`), false);
    }
  });

  test("goes on where it was as long as no new one can be made", async () => {
    const [there, away] = [join(folder, "there"), join(folder, "away")];
    mkdirSync(there);
    const log = await host.openLog(join(there, "kept.log"));
    renameSync(there, away);
    passTime(2_000);
    log.write("1\n", 1);
    await log.flushed();
    assert.equal(await textOf(join(away, "kept.log"), 2), "1\n");
    mkdirSync(there);
    passTime(2_000);
    log.write("2\n", 1);
    await log.flushed();
    assert.equal(await textOf(join(there, "kept.log"), 2), "2\n");
    assert.equal(host.droppedLines, 0);
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

  test("begins a line of its own behind one that a full disk has cut", async () => {
    const path = join(folder, "cut.log");
    const log = await host.openLog(path);
    const file = await open(path);
    const handles = Object.getPrototypeOf(file) as FileHandle;
    await file.close();
    const { write } = handles;
    let writes = 0;
    handles.write = async function (this: FileHandle, bytes: Uint8Array, at: number) {
      if (writes++ === 1) throw new Error("no space left on device");
      return await Reflect.apply(write, this, [bytes.subarray(0, at + 5), at]);
    } as FileHandle["write"];
    try {
      log.write("a line that is cut\n", 1);
      await log.flushed();
    } finally {
      handles.write = write;
    }
    for (const line of ["2\n", "3\n"]) {
      log.write(line, 1);
      await log.flushed();
    }
    assert.equal(await textOf(path, 10), "a lin\n2\n3\n");
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
