/**
 * The types of the npm package, as the compiler and the linters of packages see them.
 *
 * It needs npm's registry and runs by `deno task test:package`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { installInto, makeFolder, packPackage, run, succeed } from "./installation.ts";
import { TYPED_PROGRAM } from "./programs.ts";

/** The compilers: the oldest that is supported, older ones that many still have, the last one in TypeScript, the newest. */
const TYPESCRIPT_VERSIONS = ["5.0", "5.5", "5.9", "6.0", "7"];
/** The newest each, pinned, so that a new rule of theirs does not fail a build that was good. */
const LINTERS = ["publint@0.3.25", "@arethetypeswrong/cli@0.18.5"];
const TYPES_OF_NODE = "@types/node@20";
const TYPES_OF_BUN = "@types/bun@1";

const BASE_OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: false,
  target: "es2022",
};

interface CompilerSetting {
  readonly name: string;
  readonly options: Record<string, unknown>;
  /** The first TypeScript that knows what the types themselves are made of. */
  readonly since?: number;
}

/** The first TypeScript that lets CommonJS require ES modules, as Node 20.19 and newer does. */
const REQUIRES_MODULES_SINCE = 5.8;

/** What the user's compiler is told, beside `strict`. */
const COMPILER_SETTINGS: readonly CompilerSetting[] = [
  { name: "nodenext, with the types of Node", options: { module: "nodenext", types: ["node"] } },
  {
    name: "bundler, with the types of Node",
    options: { module: "esnext", moduleResolution: "bundler", types: ["node"] },
  },
  {
    name: "nodenext, with the types of Node and no DOM library",
    options: { module: "nodenext", types: ["node"], lib: ["es2022"] },
  },
  {
    name: "bundler, with the types of Bun and no DOM library",
    options: { module: "esnext", moduleResolution: "bundler", types: ["bun"], lib: ["esnext"] },
    // bun-types has types that are generic only there.
    since: 5.9,
  },
  {
    name: "nodenext, with the types of a browser",
    options: { module: "nodenext", types: [], lib: ["esnext", "dom", "dom.iterable"] },
    // Without the types of Node, AsyncDisposable is TypeScript's own.
    since: 5.2,
  },
  {
    name: "bundler, with the types of a browser",
    options: { module: "esnext", moduleResolution: "bundler", types: [], lib: ["esnext", "dom", "dom.iterable"] },
    since: 5.2,
  },
];

const COMPILE_DEADLINE_MS = 60_000;

const folder = await makeFolder();
const { tarball } = await packPackage(folder);
const tools = `${folder}/tools`;
await installInto(tools, ...LINTERS);

describe("types of the package", () => {
  for (const version of TYPESCRIPT_VERSIONS) {
    const user = `${folder}/typescript_${version}`;
    it(`are installed with TypeScript ${version}`, async () => {
      // The types of Bun bring those of a newer Node.
      await installInto(user, tarball, `typescript@${version}`, TYPES_OF_NODE);
      await installInto(`${user}_bun`, tarball, `typescript@${version}`, TYPES_OF_BUN);
      for (const name of ["program.mts", "program.ts", "program.cts"]) {
        await Deno.writeTextFile(`${user}/${name}`, TYPED_PROGRAM);
        await Deno.writeTextFile(`${user}_bun/${name}`, TYPED_PROGRAM);
      }
    });

    for (const { name, options, since = 0 } of COMPILER_SETTINGS) {
      if (Number(version) < since) continue;
      it(`pass TypeScript ${version} --strict, ${name}`, async () => {
        // The bundlers' rules know no CommonJS.
        const files = options.module === "nodenext" ? ["program.mts", "program.ts"] : ["program.ts"];
        if (options.module === "nodenext" && Number(version) >= REQUIRES_MODULES_SINCE) files.push("program.cts");
        const user = `${folder}/typescript_${version}${name.includes("Bun") ? "_bun" : ""}`;
        const settings = { compilerOptions: { ...BASE_OPTIONS, ...options }, files };
        await Deno.writeTextFile(`${user}/tsconfig.json`, JSON.stringify(settings));
        const { exitCode, output } = await run(["npx", "tsc"], user, COMPILE_DEADLINE_MS);
        assert.deepEqual([exitCode, output], [0, ""]);
      });
    }
  }
});

describe("the linters of packages", () => {
  it("publint finds nothing", async () => {
    const output = await succeed(["npx", "publint", "--strict", `${folder}/npm`], tools);
    assert.match(output, /All good!/);
  });

  // The profile leaves out what a package of ES modules can't have: CommonJS files, and subpaths for tools that do not
  // read `exports`. It ends with 1 for anything else.
  it("attw finds nothing, for a package of ES modules", async () => {
    assert.match(await succeed(["npx", "attw", tarball, "--profile=esm-only"], tools), /🟢/u);
  });
});
