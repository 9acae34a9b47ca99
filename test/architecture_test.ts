/** What `src/ARCHITECTURE.md` says of the code: the drawings, and the files it names. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { drawInto, STATE_TABLES } from "../scripts/state_drawings.ts";

const ROOT = new URL("../", import.meta.url);
const markdown = readFileSync(new URL("src/ARCHITECTURE.md", ROOT), "utf8");

describe("the architecture page", () => {
  test("shows the tables of states as they are (deno task draw)", () => {
    assert.equal(drawInto(markdown), markdown);
  });

  test("shows every table of states that there is", () => {
    const isSource = (name: string): boolean => /\.[tj]s$/.test(name) && !name.endsWith(".d.ts");
    const files = readdirSync(new URL("src", ROOT), { recursive: true }) as string[];
    const made = files.filter((name) => isSource(name) && !/(^|\/)states\.[tj]s$/.test(name))
      .map((name) => readFileSync(new URL(`src/${name}`, ROOT), "utf8").match(/new StateTable\b/g)?.length ?? 0);
    assert.equal(made.reduce((sum, count) => sum + count, 0), STATE_TABLES.length);
  });

  test("names files and folders that exist", () => {
    const named = [...markdown.matchAll(/`((?:src|runtime|test|scripts)\/[\w./]*)`/g)].map(([, path]) => path);
    assert.ok(named.length > 20);
    // The tests of Node run on emitted JavaScript.
    const exists = (path: string): boolean =>
      existsSync(new URL(path, ROOT)) || existsSync(new URL(path.replace(/\.ts$/, ".js"), ROOT));
    assert.deepEqual(named.filter((path) => !exists(path)), []);
  });
});
