/** What a program pays that only imports the package. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Program } from "./program.ts";

/** The names behind which Node loads its fetch, which takes three times as long as the whole package. */
const NAMES_OF_FETCH = [
  "fetch",
  "Headers",
  "Request",
  "Response",
  "FormData",
  "WebSocket",
  "MessageEvent",
  "CloseEvent",
  "EventSource",
];

const MODULES: readonly [name: string, module: URL][] = [
  ["@trivet/http", new URL("../../mod.ts", import.meta.url)],
  ["@trivet/http/static", new URL("../../src/entry/static.ts", import.meta.url)],
  ["@trivet/http/observe", new URL("../../src/entry/observe.ts", import.meta.url)],
];

/** Prints which of the names are read while a module loads. */
function programThatImports(module: URL): string {
  return `const read = new Set();
for (const name of ${JSON.stringify(NAMES_OF_FETCH)}) {
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  Object.defineProperty(globalThis, name, {
    configurable: true,
    get() {
      read.add(name);
      return get === undefined ? value : get.call(globalThis);
    },
  });
}
await import(${JSON.stringify(module.href)});
console.log(JSON.stringify([...read]));
`;
}

describe("importing the package", () => {
  for (const [name, module] of MODULES) {
    test(`${name} leaves the runtime's fetch unloaded until a server starts`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "trivet-"));
      const path = join(folder, "main.mjs");
      await writeFile(path, programThatImports(module));
      const { output, errors } = await new Program(pathToFileURL(path), []).ended;
      await rm(folder, { recursive: true });
      assert.deepEqual([output, errors], [["[]"], []]);
    });
  }
});
