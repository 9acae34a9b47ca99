/**
 * The npm package as a user meets it: built, packed, installed into an empty folder, and run by each runtime.
 *
 * It needs npm's registry and runs by `deno task test:package`. What can't be installed fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildNpmPackage } from "../../scripts/build_npm.ts";
import { whyNoDnt } from "../../scripts/npm_with_dnt.ts";
import {
  findRuntimes,
  type InstalledRuntime,
  installInto,
  makeFolder,
  packPackage,
  ROOT,
  succeed,
  withFirstInPath,
} from "./installation.ts";
import { printImportTimes } from "./import_time.ts";
import {
  BUNDLED,
  BUNDLED_PROGRAM,
  EXPORTED_NAMES,
  FAIL_INSIDE,
  HANDLER_MODULE,
  IMPORT_NAMES,
  MISSING_PART,
  MODELS,
  PACKAGE_NAME,
  REQUIRE_AND_SERVE,
  REQUIRE_NAMES,
  sixLines,
} from "./programs.ts";
import { whileServing } from "./serving_program.ts";

const folder = await makeFolder();
const [runtimes, { built, report, tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball);
const installed = `${user}/node_modules/${PACKAGE_NAME}`;
await Deno.writeTextFile(`${user}/handler.mjs`, HANDLER_MODULE);
/** What npm makes of the package's command. */
const COMMAND = `${user}/node_modules/.bin/trivet`;
const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));

const kibibytes = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
console.log(
  `\n${report.filename}, emitted by ${built.compiler}: ${report.files.length} files, ${
    kibibytes(report.size)
  } packed, ` +
    `${kibibytes(report.unpackedSize)} unpacked`,
);
const dntReason = await whyNoDnt();
if (dntReason !== null) console.log(`The two ways of building were not compared: ${dntReason}`);
await printImportTimes(user, runtimes.filter(({ isNode }) => isNode));

/** A file's name without the part that follows from its content, of which compilers have each their own way. */
function withoutHash(path: string): string {
  return path.replace(/-[A-Z0-9]{8}\./, "-<hash>.");
}

/** Runs a program of the user's, and gives its last line. */
async function lastLine(runtime: InstalledRuntime, name: string, source: string): Promise<string> {
  await Deno.writeTextFile(`${user}/${name}`, source);
  return (await succeed(runtime.command(name), user)).trimEnd().split("\n").at(-1)!;
}

async function textOf(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

describe("the tarball", () => {
  it("has the files that were built, and no other", () => {
    assert.deepEqual(report.files.map(({ path }) => path).sort(), built.files);
  });

  it("brings no dependency and runs no script", async () => {
    const installedPackage = JSON.parse(await Deno.readTextFile(`${installed}/package.json`));
    for (const field of ["dependencies", "optionalDependencies", "scripts"]) {
      assert.equal(installedPackage[field], undefined, field);
    }
    assert.deepEqual(await namesIn(`${user}/node_modules`), [".bin", ".package-lock.json", "@trivet"]);
  });

  it("names nothing of the machine that built it", async () => {
    for (const { path } of report.files) {
      const text = await Deno.readTextFile(`${installed}/${path}`);
      assert.ok(!text.includes(ROOT) && !text.includes(folder) && !/file:\/\/\/\w/.test(text), path);
    }
  });

  it("is code that a person can read: Node prints the line in which an error was thrown", async () => {
    for (const { path } of report.files.filter(({ path }) => path.endsWith(".js"))) {
      const text = await Deno.readTextFile(`${installed}/${path}`);
      const lines = text.trimEnd().split("\n");
      const longest = Math.max(...lines.map((line) => line.length));
      assert.ok(longest < 250, `${path} has a line of ${longest} chars`);
      assert.ok(lines.length > 4 && text.length / lines.length < 80, `${path} has ${lines.length} lines`);
    }
  });

  it("says by what it is found", async () => {
    const { keywords } = JSON.parse(await Deno.readTextFile(`${installed}/package.json`));
    assert.ok(keywords.length > 5);
  });

  it("is the same whether dnt or Deno emits it", { skip: dntReason ?? false }, async () => {
    const [byDeno, byDnt] = [`${folder}/by_deno`, `${folder}/by_dnt`];
    const [ofDnt, ofDeno] = [await buildNpmPackage(ROOT, byDnt, "dnt"), await buildNpmPackage(ROOT, byDeno, "deno")];
    assert.deepEqual(ofDnt.files.map(withoutHash).sort(), ofDeno.files.map(withoutHash).sort());
    assert.equal(await Deno.readTextFile(`${byDnt}/package.json`), await Deno.readTextFile(`${byDeno}/package.json`));
    for (const built of [byDnt, byDeno]) {
      assert.deepEqual(Object.keys(await import(`file://${built}/esm/mod.js`)).sort(), EXPORTED_NAMES);
    }
  });
});

for (const runtime of runtimes) {
  const { name, isNode } = runtime;
  describe(`the installed package on ${name} (${runtime.version})`, () => {
    it("is imported, and its classes have their names", async () => {
      await Deno.writeTextFile(`${user}/import.mjs`, IMPORT_NAMES);
      const lines = (await succeed(runtime.command("import.mjs"), user)).trimEnd().split("\n");
      assert.deepEqual(lines, ["HttpResponse TrivetError", JSON.stringify(EXPORTED_NAMES)]);
    });

    it("is required", async () => {
      // Node 20 and 22 may warn that require() of a module is experimental, so the last line counts.
      assert.deepEqual(JSON.parse(await lastLine(runtime, "require.cjs", REQUIRE_NAMES)), EXPORTED_NAMES);
      assert.equal(await lastLine(runtime, "require_and_serve.cjs", REQUIRE_AND_SERVE), "200 hello");
    });

    for (const row of MODELS) {
      const form = row.takesModule ? "a module" : "a function";
      it(`serves a request with six lines, ${row.model}, ${form}`, async () => {
        await Deno.writeTextFile(`${user}/six_lines.mjs`, sixLines(row, PACKAGE_NAME));
        const printed = await succeed(runtime.command("six_lines.mjs"), user);
        // Where the server listens is printed without waiting for the terminal, at times behind what is logged then.
        assert.ok(printed.split("\n").includes("200 hello"), printed);
      });
    }

    it("names its functions in a stack", async () => {
      await Deno.writeTextFile(`${user}/fail_inside.mjs`, FAIL_INSIDE);
      const stack = await succeed(runtime.command("fail_inside.mjs"), user);
      assert.match(stack, /\bresolveOptions\b[^]*\bcreateServer\b/);
      // The engine of Bun keeps no frame of a function whose last deed is a call, such as serve().
      if (name !== "bun") assert.match(stack, /\bcreateServer\b[^]*\bserve\b/);
    });

    it("answers 500 where a part can't be loaded, serves others, and loads it later where the runtime tries again", async () => {
      await Deno.writeTextFile(`${user}/missing_part.mjs`, MISSING_PART);
      const output = await succeed(runtime.command("missing_part.mjs", `${installed}/esm`), user);
      // Deno 2.9 remembers that a module could not be loaded.
      const later = name === "deno" ? "500 internal-error" : "101";
      assert.deepEqual(output.trimEnd().split("\n").slice(-3), ["500 internal-error", "200", later]);
    });

    it("has a command", async () => {
      const argv = isNode ? withFirstInPath(runtime, [COMMAND, "--version"]) : runtime.command(COMMAND, "--version");
      assert.equal(
        await succeed(argv, user),
        `trivet ${version} on ${isNode ? "node" : name} ${runtime.version}\n`,
      );
    });

    it("serves a module with its command, and ends with 0 at SIGTERM", async () => {
      const args = ["serve", "handler.mjs", "--port", "0"];
      const argv = isNode ? withFirstInPath(runtime, [COMMAND, ...args]) : runtime.command(COMMAND, ...args);
      const { code, output } = await whileServing(argv, user, async (url) => assert.equal(await textOf(url), "hello"));
      assert.equal(code, 0, output);
    });

    if (isNode) {
      it("serves a module through npx", async () => {
        const argv = withFirstInPath(runtime, ["npx", PACKAGE_NAME, "serve", "handler.mjs", "--port", "0"]);
        // npx ends with the signal's own exit code, whatever the program did.
        const { output } = await whileServing(argv, user, async (url) => assert.equal(await textOf(url), "hello"));
        assert.match(output, /^Stopped: /m);
      });
    }
  });
}

describe("a bundle with the module of threads, as the documentation shows", () => {
  const bun = runtimes.find(({ name }) => name === "bun")!.path;
  const bundle = async (...how: string[]): Promise<void> => {
    await Deno.writeTextFile(`${user}/app.mjs`, BUNDLED_PROGRAM);
    await succeed([bun, "build", ...BUNDLED, "--entry-naming=[name].[ext]", ...how], user);
  };

  it("serves on threads, on each runtime", async () => {
    await bundle("--target=node", "--outdir=bundle");
    await Deno.writeTextFile(`${user}/bundle/package.json`, '{ "type": "module" }');
    for (const runtime of runtimes) {
      const printed = await succeed(runtime.command("app.js"), `${user}/bundle`);
      assert.ok(printed.split("\n").includes("200 hello"), printed);
    }
  });

  it("serves on threads as a single executable of Bun", async () => {
    await bundle("--compile", "--outfile=app");
    const printed = await succeed(["./app"], user);
    assert.ok(printed.split("\n").includes("200 hello"), printed);
  });
});

describe("the six lines, run from the source", () => {
  for (const runtime of runtimes.filter(({ isNode }) => !isNode)) {
    for (const row of MODELS) {
      it(`serve a request on ${runtime.name}, ${row.model}, ${row.takesModule ? "a module" : "a function"}`, async () => {
        const source = sixLines(row, `file://${ROOT}/mod.ts`);
        assert.equal(await lastLine(runtime, "six_lines_of_source.mjs", source), "200 hello");
      });
    }
  }
});

async function namesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) names.push(name);
  return names.sort();
}

describe("the six lines, run from a remote module on Deno", () => {
  const deno = runtimes.find(({ name }) => name === "deno")!;
  for (const row of MODELS) {
    it(`serve a request, ${row.model}, ${row.takesModule ? "a module" : "a function"}`, async () => {
      await using sources = serveSources();
      const { port } = sources.addr;
      await Deno.writeTextFile(`${user}/six_lines_of_url.mjs`, sixLines(row, `http://127.0.0.1:${port}/mod.ts`));
      const argv = [deno.path, "run", "--allow-all", "--no-lock", "--no-check"];
      // The cache is of no use to anybody else: the port is another each time.
      const output = await succeed(["env", `DENO_DIR=${folder}/cache`, ...argv, "six_lines_of_url.mjs"], user);
      assert.equal(output.trimEnd().split("\n").at(-1), "200 hello");
    });
  }
});

/** Serves the sources as JSR does, by their path. */
function serveSources(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const source = await Deno.readTextFile(ROOT + pathname).catch(() => null);
    if (source === null) return new Response(null, { status: 404 });
    return new Response(source, { headers: { "content-type": "text/typescript" } });
  });
}
