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
import plugin, { findCircle, refusalOfImport } from "../scripts/lint_rules.ts";

interface ImportCase {
  readonly name: string;
  readonly importer: string;
  readonly specifier: string;
  readonly typeOnly?: boolean;
  /** What the refusal says; absent where the import is allowed. */
  readonly refusal?: RegExp;
}

const IMPORTS: readonly ImportCase[] = [
  { name: "mod.ts joins the core", importer: "mod.ts", specifier: "./src/server/create_server.ts" },
  { name: "mod.ts joins an adapter", importer: "mod.ts", specifier: "./runtime/detect.ts" },
  { name: "the CLI joins an adapter", importer: "src/entry/cli.ts", specifier: "../../runtime/detect.ts" },
  { name: "the CLI imports mod.ts", importer: "src/entry/cli.ts", specifier: "../../mod.ts" },
  {
    name: "an entry imports no test",
    importer: "mod.ts",
    specifier: "./test/a.ts",
    refusal: /not part of the package/,
  },
  { name: "an entry imports no node: module", importer: "src/entry/cli.ts", specifier: "node:fs", refusal: /portable/ },

  { name: "server over models", importer: "src/server/server.ts", specifier: "../models/blocking.ts" },
  { name: "server over http1", importer: "src/server/server.ts", specifier: "../http1/connection/service.ts" },
  { name: "within a layer", importer: "src/server/create_server.ts", specifier: "./server.ts" },
  { name: "models over threads", importer: "src/models/hybrid.ts", specifier: "../threads/remote_call.ts" },
  { name: "models over exchange", importer: "src/models/blocking.ts", specifier: "../exchange/connection.ts" },
  { name: "models within", importer: "src/models/models.ts", specifier: "./loops/event_loops.ts" },
  { name: "threads over exchange", importer: "src/threads/remote_call.ts", specifier: "../exchange/exchange.ts" },
  { name: "connection over codec", importer: "src/http1/connection/a.ts", specifier: "../codec/framing.ts" },
  { name: "exchange over web", importer: "src/exchange/exchange.ts", specifier: "../web/lazy_request.ts" },
  { name: "exchange over http", importer: "src/exchange/exchange.ts", specifier: "../http/status.ts" },
  { name: "codec over api", importer: "src/http1/codec/framing.ts", specifier: "../../api/errors.ts" },
  {
    name: "models know no protocol",
    importer: "src/models/a.ts",
    specifier: "../http1/connection/http1_connection.ts",
    typeOnly: true,
    refusal: /above or beside/,
  },
  { name: "threads beside http1", importer: "src/threads/a.ts", specifier: "../http1/codec/b.ts", refusal: /beside/ },
  {
    name: "codec under connection",
    importer: "src/http1/codec/a.ts",
    specifier: "../connection/b.ts",
    refusal: /above/,
  },
  {
    name: "exchange knows no version",
    importer: "src/exchange/a.ts",
    specifier: "../http1/codec/b.ts",
    refusal: /above/,
  },
  { name: "web not over exchange", importer: "src/web/a.ts", specifier: "../exchange/b.ts", refusal: /above/ },
  { name: "http not over api", importer: "src/http/a.ts", specifier: "../api/errors.ts", refusal: /above/ },
  {
    name: "not even a type goes up",
    importer: "src/exchange/a.ts",
    specifier: "../models/scheduler.ts",
    typeOnly: true,
    refusal: /above/,
  },
  {
    name: "nothing imports mod.ts",
    importer: "src/server/server.ts",
    specifier: "../../mod.ts",
    refusal: /entry point/,
  },
  {
    name: "an adapter does not import mod.ts",
    importer: "runtime/node.ts",
    specifier: "../mod.ts",
    refusal: /adapter/,
  },

  { name: "the contract for all", importer: "src/http/a.ts", specifier: "../runtime.ts", typeOnly: true },
  { name: "the tables of states for all", importer: "src/exchange/a.ts", specifier: "../states.ts" },
  { name: "the contract imports no layer", importer: "src/runtime.ts", specifier: "./http/a.ts", refusal: /nothing/ },

  { name: "an adapter's sibling", importer: "runtime/bun.ts", specifier: "./clock.ts" },
  { name: "an adapter's contract", importer: "runtime/bun.ts", specifier: "../src/runtime.ts", typeOnly: true },
  { name: "its part of connections", importer: "runtime/bun.ts", specifier: "../src/transport.ts", typeOnly: true },
  {
    name: "the contract as a value",
    importer: "runtime/bun.ts",
    specifier: "../src/runtime.ts",
    refusal: /import type/,
  },
  { name: "an adapter's error", importer: "runtime/bun.ts", specifier: "../src/api/errors.ts", refusal: /adapter/ },
  {
    name: "the core imports no adapter",
    importer: "src/server/server.ts",
    specifier: "../../runtime/node.ts",
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
    specifier: "../extra/a.ts",
    refusal: /src\/extra\/a\.ts/,
  },
  { name: "from a folder without a layer", importer: "src/extra/a.ts", specifier: "../http/a.ts", refusal: /LAYERS/ },

  { name: "a test imports anything", importer: "test/http1/a_test.ts", specifier: "../../src/http1/codec/framing.ts" },
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

describe("a circle of files", () => {
  const files: Readonly<Record<string, readonly string[]>> = { a: ["b"], b: ["c", "d"], c: ["a"], d: [], e: ["e"] };
  const importsOf = (path: string): readonly string[] => files[path] ?? [];
  test("is found through every file on it, and named in order", () => {
    assert.deepEqual(findCircle("a", "b", importsOf), ["a", "b", "c", "a"]);
    assert.deepEqual(findCircle("c", "a", importsOf), ["c", "a", "b", "c"]);
  });
  test("of one file that imports itself is one", () => {
    assert.deepEqual(findCircle("e", "e", importsOf), ["e", "e"]);
  });
  test("is not what a file merely leads to", () => {
    assert.equal(findCircle("b", "d", importsOf), null);
    assert.equal(findCircle("f", "a", importsOf), null);
  });
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
      import "../web/a.ts";
      import type { A } from "../web/b.ts";
      export { b } from "../web/c.ts";
      export * from "../web/d.ts";
      export const load = () => import("../web/e.ts");
      export type F = import("../web/f.ts").F;
      export const thread = new URL("../web/g.ts", import.meta.url);`,
    reports: Array(7).fill("layers"),
  },
  {
    name: "an import known at run time only",
    file: "src/models/a.ts",
    source: "export const load = (module: string) => import(module);",
    reports: [],
  },
  {
    name: "a runtime's globals as variables, as types and as members of globalThis",
    file: "src/exchange/a.ts",
    source: `
      Deno.exit(); let a: Bun.Socket; let b: typeof process; ({ Buffer }); require("x"); ({ [process]: 1 });
      globalThis.Deno; globalThis["Bun"];`,
    reports: Array(8).fill("portable-core"),
  },
  {
    name: "members with the names of a runtime's globals",
    file: "src/exchange/a.ts",
    source: `
      interface A { process: string; Buffer(): void }
      class B { Deno = 1; get Bun() { return this.Deno; } require() {} }
      const c = { process: 1 }; c.process; const { process: d } = c;`,
    reports: [],
  },
  {
    name: "an import that closes a circle",
    file: "src/http1/codec/content_decoder.ts",
    source: `import type { ChunkedDecoder } from "./chunked_decoder.ts";`,
    reports: ["no-circles"],
  },
  { name: "an adapter uses its runtime", file: "runtime/deno.ts", source: "Deno.exit();", reports: [] },
  {
    name: "waiting inside the protocol",
    file: "src/http1/codec/a.ts",
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
      const source = `import { a } from "../server/b.ts";`;
      const [diagnostic] = deno.lint.runPlugin(plugin, `${root}src/web/a.ts`, source);
      assert.match(diagnostic.message, /^src\/server\/b\.ts stands above or beside this file\. Imports go one way: /);
    });
  });
}
