/**
 * A real browser at a WebSocket, on every runtime: it echoes text and bytes, hears 1001 when the server stops, and connects
 * again when that is back.
 *
 * It needs npm's registry and chromium (`apt-get install chromium` on Debian, or a path in `CHROMIUM`), and runs by
 * `deno task test:browser`. What is missing fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveCommand } from "../../frameworks/served_module.ts";
import { findRuntimes, installInto, makeFolder, packPackage, succeed } from "../../package/installation.ts";

const DEADLINE_MS = 120_000;
const BROWSER = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, "playwright-core@1.65.1");
await Deno.writeTextFile(`${user}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
await Deno.copyFile(new URL("browser_app.mjs", import.meta.url), `${user}/browser_app.mjs`);
await Deno.copyFile(new URL("browse.mjs.txt", import.meta.url), `${user}/browse.mjs`);

const ECHOED = {
  got: ["the long text", "text ", "bytes 100000", "text last"],
  protocol: "echo",
  extensions: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
};

describe("a WebSocket in a browser", () => {
  for (const runtime of runtimes) {
    it(`echoes, hears 1001 on a restart and connects again, from ${runtime.name} (${runtime.version})`, async () => {
      const command = serveCommand(runtime, user, "browser_app.mjs", []);
      const output = await succeed(["node", `${user}/browse.mjs`, BROWSER, ...command], user, DEADLINE_MS);
      const seen = JSON.parse(output.trim().split("\n").at(-1)!);
      assert.deepEqual(seen.first, ECHOED);
      assert.deepEqual(seen.closed, { code: 1001, reason: "The server is going away.", wasClean: true });
      assert.equal(seen.exitCode, 0);
      assert.deepEqual(seen.again, ECHOED);
      assert.deepEqual(seen.byPage, { code: 4000, reason: "bye", wasClean: true });
      assert.equal(seen.elsewhere, 1006, "a page of another origin is refused");
    });
  }
});
