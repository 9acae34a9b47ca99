/**
 * Clients that come, send, leave and stall in any order, handlers that answer, stream, upgrade and fail in any order,
 * and threads that stand still or die, under every model and with the streams of each runtime: whatever happens, each
 * response is the one that was asked for, each message gets to the other side of its WebSocket, every exchange has an
 * end, and nothing is left.
 *
 * It needs npm's registry and runs by `deno task test:plays [seed] [number of plays]`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, installInto, makeFolder, ROOT, succeed } from "../../package/installation.ts";

/** Pinned, so that what fails was changed here. */
const FAST_CHECK = "fast-check@4.11.0";
const [SEED = "9112", PLAYS = "500"] = Deno.args;
/** Seven models, and in each what requests and what WebSockets lead to. */
const SUBJECTS = 14;
/** For one runtime, on a machine that has other things to do. */
const DEADLINE_MS = 1_200_000;

const folder = await makeFolder();
await installInto(folder, FAST_CHECK);
await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
await succeed([
  "cp",
  "-r",
  "--parents",
  "mod.ts",
  "src",
  "runtime",
  "scripts",
  "test/support",
  "test/http1/random",
  folder,
], ROOT);
const PROGRAM = "test/http1/random/plays.mjs";
await Deno.rename(`${folder}/${PROGRAM}.txt`, `${folder}/${PROGRAM}`);
const runtimes = await findRuntimes();

describe("whatever clients, handlers and threads do, each exchange has its end and nothing is left", () => {
  // Node 20 runs no TypeScript; its streams are those of Node 24.
  for (const { name, version, command } of runtimes.filter((each) => each.name !== "node")) {
    it(`on ${name} (${version})`, async () => {
      const printed = await succeed(command(PROGRAM, SEED, PLAYS), folder, DEADLINE_MS);
      assert.equal(printed.match(/plays$/gm)?.length, SUBJECTS, printed);
    });
  }
});
