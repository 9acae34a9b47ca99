/** Where the module that threads start from is looked for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findThreadEntry } from "../../src/entry/thread_entry.ts";

describe("the module of threads", () => {
  const rows: readonly (readonly [beside: string, found: string])[] = [
    ["file:///repository/src/entry/thread_entry.ts", "file:///repository/src/entry/thread_main.ts"],
    ["https://jsr.example/src/entry/thread_entry.ts", "https://jsr.example/src/entry/thread_main.ts"],
    ["file:///package/esm/chunk-6BCY3I76.js", "file:///package/esm/thread_main.js"],
    ["file:///bundle/app.mjs?v=1.2", "file:///bundle/thread_main.mjs"],
    // The name of a single executable, as `bun build --compile` makes it.
    ["file:///$bunfs/root/app", "file:///$bunfs/root/thread_main.js"],
    ["file:///$bunfs/root/app-1.2", "file:///$bunfs/root/thread_main.js"],
  ];
  for (const [beside, found] of rows) {
    test(`stands beside ${beside}`, () => assert.equal(findThreadEntry(beside), found));
  }
});
