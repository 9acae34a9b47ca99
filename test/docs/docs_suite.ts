/**
 * The documentation does what it says: the code blocks of README.md and docs/ are type-checked and run, and every
 * relative link of a page leads somewhere. `pages.ts` says what is done with which block.
 *
 * It needs npm's registry for the frameworks that the pages show, unless they are in Deno's cache.
 *
 * Usage: `deno task test:docs`; `deno task check` has it too.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { runCommand } from "../../scripts/command.ts";
import { TEST_RUNTIMES } from "../../scripts/test_runtimes.ts";
import { ERROR_CODES, TrivetError } from "../../src/api/errors.ts";
import { FLAGS, FOREIGN_FLAGS } from "../../src/entry/cli_flags.ts";
import { parseArguments } from "../../src/entry/cli_arguments.ts";
import { TLS_FEATURES } from "../fixtures/tls_features.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { type Block, type Page, readPage } from "./pages.ts";
import { DONE } from "./run_blocks.ts";

/** What code blocks import beside the package. */
const PACKAGES: Readonly<Record<string, string>> = {
  "hono": "npm:hono@4",
  "hono/ws": "npm:hono@4/ws",
  "h3": "npm:h3@2",
  "itty-router": "npm:itty-router@5",
  "prom-client": "npm:prom-client@15",
  "@opentelemetry/api": "npm:@opentelemetry/api@1",
  "@opentelemetry/context-async-hooks": "npm:@opentelemetry/context-async-hooks@2",
  "@opentelemetry/core": "npm:@opentelemetry/core@2",
  "@opentelemetry/sdk-trace-base": "npm:@opentelemetry/sdk-trace-base@2",
};

/** Blocks of code that are not run, by page and file name, each with the reason. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "docs/frameworks.md h3.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md itty.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md elysia.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md yoga.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md trpc.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md auth.js": "run by test/frameworks/, with its packages",
  "docs/frameworks.md mcp.js": "run by test/frameworks/, with its packages",
};

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");
const PAGE_DEADLINE_MS = 60_000;
const NODE = "node@24";

const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trivet_docs_" }));
after(() => Deno.remove(folder, { recursive: true }));

const pages = await readPages();
const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
const environment = await writeFolder();

describe("code blocks", () => {
  const written = pages.filter(({ blocks }) => blocks.length > 0);

  it("are of the right types", async () => {
    const paths = written.flatMap((page) => page.blocks.filter(isTypeChecked).map((block) => pathOf(page, block)));
    const result = await runCommand([Deno.execPath(), "check", ...paths], {
      cwd: folder,
      deadlineMs: PAGE_DEADLINE_MS,
    });
    assert.equal(result.exitCode, 0, `${result.output}\nA block stands in the page at the line that names its file.`);
  });

  for (const page of written) {
    it(`of ${page.path} run`, async () => {
      for (const { runtime, blocks, output } of groupsOf(page)) {
        const argv = await commandOf(page, runtime, blocks);
        const result = await runCommand(argv, { cwd: folderOf(page), deadlineMs: PAGE_DEADLINE_MS, env: environment });
        const isDone = result.exitCode === 0 && (runtime === "sh" || result.output.trimEnd().endsWith(DONE));
        const lines = blocks.map(({ line }) => line).join(", ");
        assert.ok(isDone, `${page.path}:${lines}: ${argv.join(" ")}\n${result.output}`);
        for (const { line, code } of output) {
          assert.ok(
            result.output.includes(code.trim()),
            `${page.path}:${line} is not what was printed:\n${result.output}`,
          );
        }
      }
    });

    it(`of ${page.path} say what they are, and what is shown only is right`, () => {
      const names = page.blocks.map(({ fileName }) => fileName);
      assert.deepEqual(names, [...new Set(names)], "two blocks of one page have the same file name");
      for (const block of page.blocks) {
        assert.notEqual(block.language, "", `${page.path}:${block.line}: the language is missing`);
        if (block.words[0] === "file") assertNamed(page, block);
        if (block.language === "sh") assertCommands(page, block);
      }
    });
  }

  it("are left out only with a reason", () => {
    const leftOut = written.flatMap((page) =>
      page.blocks.filter(({ words }) => words.includes("ignore"))
        .map(({ fileName }) => `${page.path} ${fileName}`)
    );
    assert.deepEqual(leftOut.sort(), Object.keys(NOT_RUN).sort());
  });
});

describe("the table of docs/tls.md", () => {
  it("has a row for each feature that is proved on every runtime", async () => {
    const page = await Deno.readTextFile(`${ROOT}/docs/tls.md`);
    const rows = [...page.matchAll(/^\| (.+?) +\| yes +\| yes +\| yes +\|$/gm)].map(([, feature]) => feature);
    assert.deepEqual(rows, Object.keys(TLS_FEATURES));
  });
});

describe("docs/errors.md", () => {
  it("has each error code once and no other, with its status", async () => {
    const text = await Deno.readTextFile(`${ROOT}/docs/errors.md`);
    const rows = [...text.matchAll(/^\| `([a-z0-9-]+)` +\| (\d{3})? *\| .+? +\| .+? +\|$/gm)]
      .map(([, code, status]) => `${code} ${status ?? "none"}`);
    const expected = ERROR_CODES.map((code) => `${code} ${new TrivetError(code, "").status ?? "none"}`);
    assert.deepEqual(rows.sort(), expected.sort());
  });
});

describe("docs/command.md", () => {
  it("answers for every flag of another command that is pointed to ours, and names no flag that is not there", async () => {
    const text = await Deno.readTextFile(`${ROOT}/docs/command.md`);
    const rows = text.split("\n").filter((line) => line.startsWith("|")).map((line) => line.split("|"));
    const theirs = rows.map(([, column]) => column).join(" ");
    assert.deepEqual(
      Object.keys(FOREIGN_FLAGS).filter((flag) => !theirs.includes(`${flag}\``) && flag !== "--require"),
      [],
    );
    const named = rows.slice(1).flatMap(([, , column = ""]) =>
      /^ *`/.test(column) ? [...column.matchAll(/(?<=[` ])--?[a-z-]+(?=[` ])/g)] : []
    );
    const ours = new Set(FLAGS.flatMap(({ names }) => names));
    assert.deepEqual(named.map(([flag]) => flag).filter((flag) => !ours.has(flag)), []);
  });
});

describe("links", () => {
  for (const page of pages) {
    it(`of ${page.path} lead somewhere`, async () => {
      const broken: string[] = [];
      for (const { line, target } of page.links) {
        if (!await leadsSomewhere(page, target)) broken.push(`${page.path}:${line}: ${target}`);
      }
      assert.deepEqual(broken, []);
    });
  }
});

async function readPages(): Promise<Page[]> {
  const paths = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "src/ARCHITECTURE.md",
    "bench/README.md",
    "examples/README.md",
  ];
  for await (const { name } of Deno.readDir(`${ROOT}/docs`)) if (name.endsWith(".md")) paths.push(`docs/${name}`);
  return await Promise.all(
    paths.sort().map(async (path) => {
      const page = readPage(path, await Deno.readTextFile(`${ROOT}/${path}`));
      // The code of the others is for readers of the repository; it shows files as they are.
      return path === "README.md" || path.startsWith("docs/") ? page : { ...page, blocks: [] };
    }),
  );
}

// How blocks are run.

function isTypeChecked({ language, words }: Block): boolean {
  return language === "ts" && !words.includes("bun") && !words.includes("ignore");
}

function runtimeOf({ language, words }: Block): "deno" | "bun" | "node" | "sh" | null {
  if (words.includes("ignore") || words.includes("file")) return null;
  if (language === "sh") return words.includes("run") ? "sh" : null;
  if (language !== "ts" && language !== "js") return null;
  return words.includes("bun") ? "bun" : words.includes("node") ? "node" : "deno";
}

/** What runs in one process: neighbours of one runtime, up to the next text that they must have printed. */
interface Group {
  readonly runtime: "deno" | "bun" | "node" | "sh";
  readonly blocks: Block[];
  readonly output: Block[];
}

function groupsOf({ blocks }: Page): Group[] {
  const groups: Group[] = [];
  for (const block of blocks) {
    const last = groups.at(-1);
    if (block.words.includes("output")) {
      last?.output.push(block);
      continue;
    }
    const runtime = runtimeOf(block);
    if (runtime === null) continue;
    const continues = last?.runtime === runtime && runtime !== "sh" && last.output.length === 0;
    if (continues) last.blocks.push(block);
    else groups.push({ runtime, blocks: [block], output: [] });
  }
  return groups;
}

async function commandOf(page: Page, runtime: Group["runtime"], blocks: readonly Block[]): Promise<string[]> {
  const paths = blocks.map((block) => pathOf(page, block));
  if (runtime === "sh") return ["sh", "-eu", paths[0]];
  const main = `${folderOf(page)}/main.js`;
  const runner = JSON.stringify(new URL("run_blocks.ts", import.meta.url).href);
  await Deno.writeTextFile(main, `import { runBlocks } from ${runner};\nawait runBlocks(process.argv.slice(2));\n`);
  return runtime === "deno" ? ["deno", "run", "-A", main, ...paths] : [runtime, main, ...paths];
}

/**
 * The blocks as files, a folder for each page, and the package beside them as each runtime looks for it.
 *
 * @returns The environment in which they run.
 */
async function writeFolder(): Promise<Record<string, string>> {
  const served = new URL("served.ts", import.meta.url).href;
  const { compilerOptions } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  const imports = {
    ...PACKAGES,
    "@trivet/http": served,
    "@trivet/http/static": new URL("../../src/entry/static.ts", import.meta.url).href,
    "@trivet/http/fast-response": new URL("../../src/entry/fast_response.ts", import.meta.url).href,
    "@trivet/http/crossws": new URL("../../src/entry/crossws.ts", import.meta.url).href,
    "@trivet/http/observe": new URL("../../src/entry/observe.ts", import.meta.url).href,
    "@trivet/http/opentelemetry": new URL("../../src/entry/opentelemetry.ts", import.meta.url).href,
  };
  const config = { imports, compilerOptions, nodeModulesDir: "none", lock: false };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  for (const page of pages) {
    if (page.blocks.length === 0) continue;
    await Deno.mkdir(folderOf(page), { recursive: true });
    await Deno.writeTextFile(`${folderOf(page)}/cert.pem`, TEST_SERVER_CERT);
    await Deno.writeTextFile(`${folderOf(page)}/key.pem`, TEST_SERVER_KEY);
    for (const block of page.blocks) {
      const path = pathOf(page, block);
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, block.code);
    }
  }
  const installed = `${folder}/node_modules/@trivet/http`;
  await Deno.mkdir(installed, { recursive: true });
  const exports = Object.entries(imports).filter(([, url]) => url.startsWith("file:")).map(([name, url]) =>
    [name.replace("@trivet/http", "."), `./${url.slice(url.lastIndexOf("/") + 1).replace(".ts", ".js")}`, url] as const
  );
  const names = Object.fromEntries(exports.map(([name, path]) => [name, path]));
  await Deno.writeTextFile(`${installed}/package.json`, JSON.stringify({ type: "module", exports: names }));
  for (const [, path, url] of exports) {
    await Deno.writeTextFile(`${installed}/${path}`, `export * from ${JSON.stringify(url)};\n`);
  }
  return { PATH: `${await writePrograms()}:${Deno.env.get("PATH")}` };
}

/** The programs that blocks name, in a folder. */
async function writePrograms(): Promise<string> {
  const bin = `${folder}/bin`;
  await Deno.mkdir(bin);
  const found = (name: string) => TEST_RUNTIMES.find((runtime) => runtime.name === name)!.find(ROOT);
  const [bun, node] = await Promise.all([found("bun"), found(NODE)]);
  const config = `--config=${folder}/deno.json`;
  const programs = {
    deno: `${Deno.execPath()} "$@"`,
    bun: `${bun.path} "$@"`,
    node: `${node.path} --disable-warning=ExperimentalWarning "$@"`,
    trivet: `${Deno.execPath()} run -A ${config} ${ROOT}/src/entry/cli.ts "$@"`,
  };
  for (const [name, command] of Object.entries(programs)) {
    await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/sh\nexec ${command}\n`, { mode: 0o755 });
  }
  return bin;
}

function folderOf({ path }: Page): string {
  return `${folder}/${path.replace(/\.md$/, "")}`;
}

function pathOf(page: Page, { fileName }: Block): string {
  return `${folderOf(page)}/${fileName}`;
}

// What is shown.

function assertNamed(page: Page, { fileName, line }: Block): void {
  const stem = fileName.replace(/\.\w+$/, "");
  const isNamed = page.blocks.some((block) => runtimeOf(block) !== null && block.code.includes(stem));
  assert.ok(isNamed, `${page.path}:${line}: no block that is run names ${fileName}`);
}

/** The command lines that are ours: the options of `trivet` and the names of tasks. */
function assertCommands(page: Page, { code, line }: Block): void {
  for (const text of code.replaceAll("\\\n", " ").split("\n").map((text) => text.replace(/\s#.*$/, "").trim())) {
    const task = /\bdeno(?:@2)? task ([\w:-]+)/.exec(text)?.[1];
    assert.ok(task === undefined || task in tasks, `${page.path}:${line}: there is no task ${task}`);
    const given = /(?:^| )(?:trivet|jsr:@trivet\/http\/cli|src\/entry\/cli\.ts)((?: .*)?)$/.exec(text)?.[1];
    if (given === undefined) continue;
    const args = given.trim().split(/\s+/).filter((arg) => arg !== "" && arg !== "&");
    assert.doesNotThrow(() => parseArguments(args), `${page.path}:${line}: ${text}`);
  }
}

// Links.

async function leadsSomewhere(page: Page, target: string): Promise<boolean> {
  if (/^[a-z]+:/.test(target)) return /^(?:https?:\/\/[^\s]+|mailto:[^\s]+)$/.test(target);
  const [path, anchor] = target.split("#");
  const { pathname } = new URL(path, `file:///${page.path}`);
  const linked = path === "" ? page.path : decodeURIComponent(pathname.slice(1));
  const exists = await Deno.stat(`${ROOT}/${linked}`).then(() => true, () => false);
  if (!exists) return false;
  if (anchor === undefined || !linked.endsWith(".md")) return true;
  const known = pages.find((other) => other.path === linked) ??
    readPage(linked, await Deno.readTextFile(`${ROOT}/${linked}`));
  return known.anchors.has(anchor);
}
