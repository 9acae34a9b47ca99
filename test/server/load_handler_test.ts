/** The module of a handler: how long its loading is waited for, and what is said of one that can't be looked at. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { TrivetError } from "../../src/api/errors.ts";
import { createFiles } from "../../runtime/files.ts";
import { loadHandlerModule } from "../../src/server/load_handler.ts";
import { createGate } from "../support/memory_server.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const folder = await mkdtemp(join(tmpdir(), "trivet-"));
after(() => rm(folder, { recursive: true }));

async function load(source: string, name: string) {
  const url = pathToFileURL(join(folder, name));
  await writeFile(url, source);
  const clock = new VirtualClock();
  return { clock, loaded: loadHandlerModule({ files: createFiles(), clock }, url.href) };
}

describe("a module with a handler", () => {
  test("that awaits what never comes is given up after 30 s, in which the process lives on", async () => {
    const gate = createGate();
    (globalThis as { gate?: Promise<void> }).gate = gate.opened;
    const { clock, loaded } = await load("await globalThis.gate;", "never.mjs");
    const outcome = assert.rejects(loaded, {
      code: "module-invalid",
      message: /^The module ".*never\.mjs" is not loaded after 30 s\.$/,
    });
    while (clock.pendingCount === 0) await clock.settle();
    await clock.advance(30_000);
    await outcome;
    // Deno would fail the run for a module that is never loaded.
    gate.open();
    await clock.settle();
  });

  test("that is loaded is waited for no more", async () => {
    const { clock, loaded } = await load("export default { fetch() {} };", "loads.mjs");
    assert.equal(typeof (await loaded).exported.fetch, "function");
    assert.equal(clock.pendingCount, 0);
  });

  const THROWN: readonly (readonly [name: string, source: string, told: string])[] = [
    ["no error", 'throw "own words\\nand more";', "own words"],
    ["nothing", "throw undefined;", "undefined"],
    [
      "what Node says of a file that no version of it loads",
      `throw Object.assign(new Error('Unknown file extension ".css" for /a.css'), { code: "ERR_UNKNOWN_FILE_EXTENSION" });`,
      'Unknown file extension ".css" for /a.css',
    ],
    ["words of a file of TypeScript", `throw new Error('No ".ts" here');`, 'No ".ts" here'],
  ];
  for (const [index, [name, source, told]] of THROWN.entries()) {
    test(`that throws ${name} is named with that`, async () => {
      const { loaded } = await load(source, `thrown${index}.mjs`);
      await assert.rejects(
        loaded,
        ({ code, message }: TrivetError) =>
          code === "module-invalid" && message.endsWith(`thrown${index}.mjs" could not be loaded: ${told}`),
      );
    });
  }

  test("whose export throws when it is looked at is named", async () => {
    const { loaded } = await load('export default { get fetch() { throw new Error("own words"); } };', "throws.mjs");
    await assert.rejects(loaded, {
      code: "module-invalid",
      message: /^The module ".*throws\.mjs" could not be loaded: own words$/,
    });
  });
});
