/**
 * Frameworks, the real packages from npm, on every runtime through `trivet serve`.
 *
 * Deno and Bun run Trivet from its source, Node from the npm package. It needs npm's registry and runs by
 * `deno task test:frameworks`. What can't be installed fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, installInto, makeFolder, packPackage, ROOT } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { copyModules, serveCommand } from "./served_module.ts";
import { readPage } from "../docs/pages.ts";
import {
  DOCUMENTED_MODULES,
  FRAMEWORK_TABLES,
  type FrameworkRow,
  type FrameworkTable,
  UNCHANGED_MODULES,
} from "./rows.ts";

/** Pinned, so that what fails was changed here. */
const FRAMEWORKS = [
  "hono@4.13.19",
  "h3@2.0.8",
  "itty-router@6.0.0",
  "graphql@16.15.0",
  "graphql-yoga@5.24.1",
  "better-auth@1.7.25",
  "@trpc/server@11.25.2",
  "@modelcontextprotocol/sdk@1.32.2",
  "zod@4.6.7",
  "elysia@1.4.30",
  "react-router@7.18.6",
  "react@19",
  "react-dom@19",
  "node-fetch@3.3.2",
];
const TABLES: readonly FrameworkTable[] = [...FRAMEWORK_TABLES, ...UNCHANGED_MODULES];
const RESPONSE_DEADLINE_MS = 10_000;

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, ...FRAMEWORKS);
await copyModules(user, TABLES.map(({ module }) => module));

const PAGE = "docs/frameworks.md";
const page = readPage(PAGE, await Deno.readTextFile(`${ROOT}/${PAGE}`));
const shown = page.blocks.filter(({ words }) => words.includes("ignore"));
for (const { fileName, code } of shown) await Deno.writeTextFile(`${user}/${fileName}`, code);

describe(PAGE, () => {
  it("shows modules that are tested here, and no others", () => {
    assert.deepEqual(shown.map(({ fileName }) => fileName), DOCUMENTED_MODULES.map(({ module }) => module));
  });
});

for (const table of DOCUMENTED_MODULES) testFramework({ ...table, framework: `${table.framework} of ${PAGE}` }, []);

// With the runtime's own Response, and with HttpResponse in its place.
for (const table of TABLES) {
  testFramework(table, []);
  if (table.isServedFast === true) testFramework(table, ["--fast-response"]);
}

function testFramework(table: FrameworkTable, flags: readonly string[]): void {
  const { framework, module, hasPort = false, onlyOn, rows } = table;
  for (const runtime of runtimes.filter(({ name }) => onlyOn === undefined || name === onlyOn)) {
    describe(`${framework} on ${runtime.name} (${runtime.version})${flags.map((flag) => `, ${flag}`).join("")}`, () => {
      let program: ServingProgram | undefined;
      let url = "";

      it("starts", async () => {
        program = new ServingProgram(
          serveCommand(runtime, user, module, [...flags, ...(hasPort ? [] : ["--port", "0"])]),
          user,
        );
        url = await program.listening();
      });

      for (const row of rows) it(row.name, () => row.leftAt === undefined ? ask(url, row) : leave(url, row));

      it("stops", async () => {
        assert.equal(await program?.stop(), 0, program?.output);
      });
    });
  }
}

async function ask(url: string, row: FrameworkRow): Promise<void> {
  assert.notEqual(url, "", "The server did not start.");
  const signal = AbortSignal.timeout(RESPONSE_DEADLINE_MS);
  const response = await fetch(new URL(row.path, url), {
    ...(typeof row.init === "function" ? row.init() : row.init),
    signal,
  });
  const text = await response.text();
  assert.equal(response.status, row.status ?? 200, text);
  for (const [name, expected] of Object.entries(row.headers ?? {})) {
    const value = response.headers.get(name);
    if (expected instanceof RegExp) assert.match(value ?? "", expected, name);
    else assert.equal(value, expected, name);
  }
  if (row.text instanceof RegExp) assert.match(text, row.text);
  else if (row.text !== undefined) assert.equal(text, row.text.replace("<url>", url));
  if (row.json !== undefined) assert.deepEqual(withoutPlace(JSON.parse(text)), row.json);
}

/** Leaves a response after its first bytes, and waits until the application has heard of it. */
async function leave(url: string, { path, init, leftAt }: FrameworkRow): Promise<void> {
  const leaving = new AbortController();
  const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(RESPONSE_DEADLINE_MS)]);
  const response = await fetch(new URL(path, url), { ...(typeof init === "function" ? init() : init), signal });
  assert.equal(response.status, 200);
  const { done } = await response.body!.getReader().read();
  assert.equal(done, false);
  leaving.abort();
  for (const untilMs = Date.now() + RESPONSE_DEADLINE_MS;;) {
    const said = await (await fetch(new URL(leftAt!, url))).text();
    if (said === "aborted") return;
    assert.ok(Date.now() < untilMs, `The application has heard of nothing: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Puts names in place of what is another on each machine and for each connection. */
function withoutPlace(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      if (member === "127.0.0.1") return [name, "<ip>"];
      return [name, name === "port" && Number.isInteger(member) ? "<port>" : member];
    }),
  );
}
