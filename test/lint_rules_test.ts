/**
 * The repository's own lint rules: which imports they refuse, and what the plugin finds in a source.
 *
 * The decision about imports is tested on every runtime; the plugin itself where `Deno.lint.runPlugin` exists, which is
 * under `deno test` only.
 *
 * @module
 */

// The types of `Deno.lint` stand among the unstable ones.
/// <reference lib="deno.unstable" />

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import plugin, { refusalOfImport } from "../scripts/lint_rules.ts";

interface ImportCase {
  readonly name: string;
  readonly importer: string;
  readonly specifier: string;
  readonly typeOnly?: boolean;
  /** What the refusal says; absent where the import is allowed. */
  readonly refusal?: RegExp;
}

const IMPORTS: readonly ImportCase[] = [
  { name: "mod.ts joins the core", importer: "mod.ts", specifier: "./src/server.ts" },
  { name: "mod.ts joins an adapter", importer: "mod.ts", specifier: "./runtime/detect.ts" },
  { name: "the CLI joins an adapter", importer: "src/entry/cli.ts", specifier: "../runtime/detect.ts" },
  { name: "the CLI imports mod.ts", importer: "src/entry/cli.ts", specifier: "../mod.ts" },
  {
    name: "an entry imports no test",
    importer: "mod.ts",
    specifier: "./test/a.ts",
    refusal: /not part of the package/,
  },
  { name: "an entry imports no node: module", importer: "src/entry/cli.ts", specifier: "node:fs", refusal: /portable/ },

  { name: "server over options", importer: "src/server/server.ts", specifier: "./options.ts" },
  { name: "beside server", importer: "src/server/create_server.ts", specifier: "./server.ts" },
  { name: "server over scheduling", importer: "src/server/server.ts", specifier: "./scheduling/blocking.ts" },
  {
    name: "scheduling over connection",
    importer: "src/models/blocking.ts",
    specifier: "../connection/exchange.ts",
  },
  { name: "connection over web", importer: "src/exchange/exchange.ts", specifier: "../web/lazy_request.ts" },
  { name: "connection over http", importer: "src/exchange/exchange.ts", specifier: "../http/status.ts" },
  { name: "web over http1", importer: "src/web/a.ts", specifier: "../http1/grammar.ts" },
  { name: "within a layer", importer: "src/http1/codec/framing.ts", specifier: "./grammar.ts" },
  {
    name: "scheduling not over server",
    importer: "src/scheduling/a.ts",
    specifier: "../server.ts",
    refusal: /stands above/,
  },
  { name: "http not over http1", importer: "src/http/a.ts", specifier: "../http1/grammar.ts", refusal: /stands above/ },
  { name: "http1 not over web", importer: "src/http1/a.ts", specifier: "../web/b.ts", refusal: /stands above/ },
  {
    name: "not even a type goes up",
    importer: "src/connection/a.ts",
    specifier: "../scheduling/scheduler.ts",
    typeOnly: true,
    refusal: /stands above/,
  },
  { name: "nothing imports mod.ts", importer: "src/server/server.ts", specifier: "../mod.ts", refusal: /entry point/ },
  {
    name: "an adapter does not import mod.ts",
    importer: "runtime/node.ts",
    specifier: "../mod.ts",
    refusal: /adapter/,
  },

  { name: "errors for everybody", importer: "src/http/a.ts", specifier: "../errors.ts" },
  { name: "the contract for everybody", importer: "src/connection/a.ts", specifier: "../runtime.ts", typeOnly: true },
  {
    name: "errors import no layer",
    importer: "src/api/errors.ts",
    specifier: "./http/status.ts",
    refusal: /imports nothing/,
  },

  { name: "handler types", importer: "src/scheduling/a.ts", specifier: "../handler.ts", typeOnly: true },
  { name: "option types", importer: "src/connection/a.ts", specifier: "../options.ts", typeOnly: true },
  {
    name: "no option values",
    importer: "src/connection/a.ts",
    specifier: "../options.ts",
    refusal: /its types only: write `import type`/,
  },
  {
    name: "no handler types for web",
    importer: "src/web/a.ts",
    specifier: "../handler.ts",
    typeOnly: true,
    refusal: /stands above/,
  },

  { name: "an adapter's sibling", importer: "runtime/bun.ts", specifier: "./clock.ts" },
  { name: "an adapter's contract", importer: "runtime/bun.ts", specifier: "../src/runtime.ts", typeOnly: true },
  {
    name: "the contract as a value",
    importer: "runtime/bun.ts",
    specifier: "../src/runtime.ts",
    refusal: /import type/,
  },
  { name: "an adapter's error", importer: "runtime/bun.ts", specifier: "../src/errors.ts", refusal: /adapter/ },
  {
    name: "the core imports no adapter",
    importer: "src/server/server.ts",
    specifier: "../runtime/node.ts",
    refusal: /contract/,
  },
  { name: "an adapter's node: module", importer: "runtime/node.ts", specifier: "node:net" },
  { name: "an adapter's bun module", importer: "runtime/bun.ts", specifier: "bun" },
  { name: "an adapter's dependency", importer: "runtime/node.ts", specifier: "npm:ws@8", refusal: /dependency/ },
  { name: "a jsr: dependency", importer: "src/web/a.ts", specifier: "jsr:@std/http", refusal: /no dependencies/ },
  { name: "a bare dependency", importer: "src/web/a.ts", specifier: "ws", refusal: /no dependencies/ },

  {
    name: "a folder without a layer",
    importer: "src/server/server.ts",
    specifier: "./extra/a.ts",
    refusal: /src\/extra\/a\.ts/,
  },
  { name: "from a folder without a layer", importer: "src/extra/a.ts", specifier: "../http/a.ts", refusal: /LAYERS/ },

  { name: "a test imports anything", importer: "test/http1/a_test.ts", specifier: "../../src/http1/framing.ts" },
  { name: "a script imports a package", importer: "scripts/build.ts", specifier: "npm:esbuild" },
];

describe("which file may import which", () => {
  for (const { name, importer, specifier, typeOnly = false, refusal } of IMPORTS) {
    test(`${name}: ${importer} ${refusal === undefined ? "may" : "may not"} import ${specifier}`, () => {
      const message = refusalOfImport(importer, specifier, typeOnly);
      if (refusal === undefined) assert.equal(message, null);
      else assert.match(message ?? "(allowed)", refusal);
    });
  }
});

interface SourceCase {
  readonly name: string;
  readonly file: string;
  readonly source: string;
  /** The rules that report, in the order of the source. */
  readonly reports: readonly string[];
}

const SOURCES: readonly SourceCase[] = [
  {
    name: "each form of an import",
    file: "src/http/a.ts",
    source: `
      import "../http1/a.ts";
      import type { A } from "../http1/b.ts";
      export { b } from "../http1/c.ts";
      export * from "../http1/d.ts";
      export const load = () => import("../http1/e.ts");
      export type F = import("../http1/f.ts").F;
      export const thread = new URL("../http1/g.ts", import.meta.url);`,
    reports: Array(7).fill("layers"),
  },
  {
    name: "an import known at run time only",
    file: "src/scheduling/a.ts",
    source: "export const load = (module: string) => import(module);",
    reports: [],
  },
  {
    name: "a runtime's globals as variables, as types and as members of globalThis",
    file: "src/connection/a.ts",
    source: `
      Deno.exit(); let a: Bun.Socket; let b: typeof process; ({ Buffer }); require("x"); ({ [process]: 1 });
      globalThis.Deno; globalThis["Bun"];`,
    reports: Array(8).fill("portable-core"),
  },
  {
    name: "members with the names of a runtime's globals",
    file: "src/connection/a.ts",
    source: `
      interface A { process: string; Buffer(): void }
      class B { Deno = 1; get Bun() { return this.Deno; } require() {} }
      const c = { process: 1 }; c.process; const { process: d } = c;`,
    reports: [],
  },
  { name: "an adapter uses its runtime", file: "runtime/deno.ts", source: "Deno.exit();", reports: [] },
  {
    name: "waiting inside the protocol",
    file: "src/http1/a.ts",
    source: `
      async function a() {}
      const b = async () => {};
      class C { async d() {} }
      await a();
      for await (const e of f) {}
      let g: Promise<void>;
      setTimeout(a); queueMicrotask(a); new ReadableStream();`,
    reports: Array(9).fill("synchronous-protocol"),
  },
  { name: "waiting above the protocol", file: "src/web/a.ts", source: "await Promise.resolve();", reports: [] },
  {
    name: "default exports",
    file: "src/web/a.ts",
    source: "export default 1; export { a as default };",
    reports: ["no-default-export", "no-default-export"],
  },
  { name: "a default export of an example", file: "examples/a.ts", source: "export default { fetch };", reports: [] },
  {
    name: "syntax that is not erasable",
    file: "test/a.ts",
    source: "enum A { B } namespace C { export const d = 1; } class E { constructor(private f: number) {} }",
    reports: Array(3).fill("erasable-syntax"),
  },
  {
    name: "ambient declarations",
    file: "runtime/bun.ts",
    source: "declare namespace A { namespace B { const c: number; } } declare global { const d: number; }",
    reports: [],
  },
];

// The name Deno stands in a type only, so that no other runtime looks it up.
const { Deno: deno } = globalThis as { Deno?: typeof Deno };

if (deno !== undefined) {
  describe("what the plugin finds", () => {
    const root = decodeURIComponent(new URL("../", import.meta.url).pathname);
    for (const { name, file, source, reports } of SOURCES) {
      test(`${name}, in ${file}`, () => {
        const diagnostics = deno.lint.runPlugin(plugin, root + file, source);
        const found = diagnostics.sort((a, b) => a.range[0] - b.range[0]).map((diagnostic) => diagnostic.id);
        assert.deepEqual(found, reports.map((rule) => `trivet/${rule}`));
      });
    }

    test("a message says what is allowed and why", () => {
      const source = `import { a } from "../web/b.ts";`;
      const [diagnostic] = deno.lint.runPlugin(plugin, `${root}src/http1/a.ts`, source);
      assert.match(diagnostic.message, /^src\/web\/b\.ts stands above this file\. Imports go one way: /);
    });
  });
}
