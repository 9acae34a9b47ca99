/**
 * Text that a handler sends is text, also where it holds what someone else wrote: a real browser is shown pages of text
 * with a script in them, on every runtime, and must run none.
 *
 * It needs npm's registry and chromium (`apt-get install chromium` on Debian, or a path in `CHROMIUM`), and runs by
 * `deno task test:browser`. What is missing fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, installInto, makeFolder, packPackage, succeed } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { copyModules, serveCommand } from "./served_module.ts";

const PACKAGES = ["hono@4.13.19", "h3@2.0.8", "playwright-core@1.65.1"];
/** Enough for some thirty pages on a busy machine. */
const BROWSER_DEADLINE_MS = 120_000;
const BROWSER = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

/** What must not be run. */
const TEXT_PATHS = [
  "hono/text",
  "hono/body",
  "hono/response",
  "hono/changed",
  "hono/shared",
  "hono/throws",
  "h3/text",
  "h3/response",
  "text",
  "text-with-status",
  "long-text",
  "latin-1",
  "beyond-latin-1",
  "as-many-bytes",
  "clone",
  "clone-beyond-ascii",
  "looked-at",
  "looked-at-beyond-ascii",
  "wrapped",
  "wrapped-clone",
  "subclass",
  "subclass-beyond-ascii",
  "property",
  "string-object",
  "object",
  "http-response",
  "http-response-object",
  "json",
  "error",
];
const PAGE_PATH = "html";

/** What became of a page. */
interface SeenPage {
  readonly hasRun: boolean;
  /** Why it could not be opened, if that is not what text may do. */
  readonly problem?: string | null;
}

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, ...PACKAGES);
await copyModules(user, ["browser.mjs", "browse.mjs"]);

for (const runtime of runtimes) {
  describe(`text in a browser, from ${runtime.name} (${runtime.version})`, () => {
    let seen: Readonly<Record<string, SeenPage>> = {};

    it("is opened", async () => {
      const program = new ServingProgram(serveCommand(runtime, user, "browser.mjs", ["--port", "0"]), user);
      try {
        const url = await program.listening();
        const argv = ["node", `${user}/browse.mjs`, BROWSER, url, PAGE_PATH, ...TEXT_PATHS];
        seen = JSON.parse((await succeed(argv, user, BROWSER_DEADLINE_MS)).trim().split("\n").at(-1)!);
      } finally {
        await program.stop();
      }
    });

    it("is run where it is a page", () => assert.equal(seen[PAGE_PATH]?.hasRun, true));

    for (const path of TEXT_PATHS) {
      it(`${path} is not run`, () => {
        assert.equal(seen[path]?.problem ?? null, null);
        assert.equal(seen[path]?.hasRun, false);
      });
    }
  });
}
