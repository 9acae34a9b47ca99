/** A program that names its module by a relative path, started from elsewhere. */

import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Program } from "./program.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;

const MAIN = `import { serve } from ${JSON.stringify(MOD)};
const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  model: "hybrid",
  threads: 1,
  module: "./handler's 100%.mjs",
  onListen() {},
  // Of threads that are busy, as they are on a busy machine.
  onWarning() {},
});
await server.ready();
console.log(await (await fetch(server.url, { headers: { connection: "close" } })).text());
await server.shutdown();
`;

const HANDLER = 'export default { fetch: () => new Response("found") };';

describe("a relative module", () => {
  test("is found beside the main module, whatever the working directory is", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trivet-"));
    const main = join(folder, "main.mjs");
    await writeFile(main, MAIN);
    await writeFile(join(folder, "handler's 100%.mjs"), HANDLER);
    const { output, errors } = await new Program(pathToFileURL(main), []).ended;
    await rm(folder, { recursive: true });
    assert.deepEqual([output, errors], [["found"], []]);
  });

  // Deno imports beside the link.
  const isDeno = "Deno" in globalThis;
  test(`is found beside ${isDeno ? "a link" : "what a link leads to"}, as imports are`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "trivet-"));
    const elsewhere = await mkdtemp(join(tmpdir(), "trivet-"));
    await writeFile(join(folder, "main.mjs"), MAIN);
    await writeFile(join(isDeno ? elsewhere : folder, "handler's 100%.mjs"), HANDLER);
    const link = join(elsewhere, "link.mjs");
    await symlink(join(folder, "main.mjs"), link);
    const { output, errors } = await new Program(pathToFileURL(link), []).ended;
    await rm(folder, { recursive: true });
    await rm(elsewhere, { recursive: true });
    assert.deepEqual([output, errors], [["found"], []]);
  });
});
