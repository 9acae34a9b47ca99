/**
 * Who is compared, and on what: the runtimes and the servers that can run on each.
 *
 * It decides which file is the server of a contender on a runtime and how the runtime is called. It must not know what
 * is asked of the servers.
 *
 * @module
 */

import { runCommand } from "../scripts/command.ts";
import { emit } from "../scripts/emit.ts";
import { TEST_RUNTIMES } from "../scripts/test_runtimes.ts";
import type { ContenderName } from "./scenarios.ts";
import type { LaunchOptions } from "./servers/launch.ts";

/** The runtimes that are measured. */
export type RuntimeName = "deno" | "bun" | "node";

/** A runtime, ready to run servers. */
export interface BenchRuntime {
  readonly name: RuntimeName;
  readonly title: string;
  readonly version: string;
  /** The program and the arguments that stand before the file to run. */
  readonly command: readonly string[];
  /** The URL of the module of Trivet for this runtime. */
  readonly trivet: string;
  /** The same of another state of the source, where one is compared with. */
  readonly trivetBefore: string | null;
}

/** The packages of npm under test. */
export interface Packages {
  /** The folder they are installed in, or `null` when they could not be had. */
  readonly folder: string | null;
  /** Their versions, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Why they could not be had. */
  readonly problem: string;
}

/** A server that is compared with others. */
interface Contender {
  readonly title: string;
  readonly responses: LaunchOptions["responses"];
  /** The file of the server, where the runtime has it. */
  readonly files: { readonly [Name in RuntimeName]?: string };
  readonly isTrivet: boolean;
  /** Whether it is another state of the source of Trivet. */
  readonly isBefore: boolean;
  /** Whether it comes from npm. */
  readonly isPackage: boolean;
}

const TRIVET = { deno: "trivet.ts", bun: "trivet.ts", node: "trivet.ts" };
const BARE = { deno: "bare.ts", bun: "bare.ts", node: "bare.ts" };

const OF_TRIVET = { files: TRIVET, isTrivet: true, isBefore: false, isPackage: false };
const OF_BEFORE = { ...OF_TRIVET, isBefore: true };
const OF_RUNTIME = { isTrivet: false, isBefore: false, isPackage: false };
const OF_NPM = { isTrivet: false, isBefore: false, isPackage: true };

/** Every contender. */
export const CONTENDERS: Readonly<Record<ContenderName, Contender>> = {
  "trivet": { ...OF_TRIVET, title: "Trivet, HttpResponse", responses: "own" },
  "trivet-global": { ...OF_TRIVET, title: "Trivet, Response", responses: "global" },
  "before": { ...OF_BEFORE, title: "Trivet before, HttpResponse", responses: "own" },
  "before-global": { ...OF_BEFORE, title: "Trivet before, Response", responses: "global" },
  "native": {
    ...OF_RUNTIME,
    title: "the runtime's own",
    responses: "global",
    files: { deno: "deno_serve.ts", bun: "bun_serve.ts", node: "node_http.ts" },
  },
  "srvx": { ...OF_NPM, title: "srvx, FastResponse", responses: "own", files: { node: "srvx.ts" } },
  "srvx-global": { ...OF_NPM, title: "srvx, Response", responses: "global", files: { node: "srvx.ts" } },
  "hono": { ...OF_NPM, title: "@hono/node-server", responses: "own", files: { node: "hono.ts" } },
  "bare": { ...OF_RUNTIME, title: "bare sockets, HttpResponse", responses: "own", files: BARE },
  "bare-global": { ...OF_RUNTIME, title: "bare sockets, Response", responses: "global", files: BARE },
  "raw": {
    ...OF_RUNTIME,
    title: "raw TCP, fixed response",
    responses: "own",
    files: { deno: "raw_deno.ts", bun: "raw_bun.ts", node: "raw_node.ts" },
  },
};

/** How each runtime is called; the name is that of the table of the tests. */
const RUNTIMES: Readonly<Record<RuntimeName, { title: string; found: string; flags: readonly string[] }>> = {
  deno: {
    title: "Deno",
    found: "deno",
    flags: ["run", "--quiet", "--allow-all", "--no-check", "--no-lock", "--v8-flags=--expose-gc"],
  },
  bun: { title: "Bun", found: "bun", flags: ["run"] },
  node: { title: "Node", found: "node@24", flags: ["--expose-gc", "--disable-warning=ExperimentalWarning"] },
};

/** The runtimes, in the order in which they are measured. */
export const RUNTIME_NAMES: readonly RuntimeName[] = ["deno", "bun", "node"];

const PACKAGES = ["@hono/node-server@2", "srvx@1"];
const INSTALL_DEADLINE_MS = 90_000;

/** What is found beside the runtimes themselves. */
export interface FindOptions {
  /** The runtime's program, where it is not to be looked for. */
  readonly program?: string;
  /** A commit whose source is measured too. */
  readonly before?: string;
}

/**
 * Finds runtimes, downloading them if need be, and puts Trivet into the folder: copied for Deno and Bun and emitted for
 * Node, at the same time, so that all servers of a run are of the same state of the source whatever is edited meanwhile.
 */
export async function findRuntimes(
  names: readonly RuntimeName[],
  root: string,
  folder: string,
  { program, before }: FindOptions = {},
): Promise<BenchRuntime[]> {
  const found: BenchRuntime[] = [];
  const emits = names.includes("node");
  await takeSource(["cp", "-r", "mod.ts", "src", "runtime", folder], root);
  if (emits) await emit(root, `${folder}/emitted`);
  const folderBefore = before === undefined ? null : `${folder}/before`;
  if (folderBefore !== null) {
    await takeSource([
      "bash",
      "-c",
      `set -o pipefail; mkdir "$2" && git archive "$1" | tar -x -C "$2"`,
      "-",
      before!,
      folderBefore,
    ], root);
    if (emits) await emit(folderBefore, `${folderBefore}/emitted`);
  }
  for (const name of names) {
    const { title, found: testName, flags } = RUNTIMES[name];
    const runtime = TEST_RUNTIMES.find((each) => each.name === testName);
    if (runtime === undefined) throw new Error(`The tests know no runtime "${testName}".`);
    const { path, version } = program === undefined ? await runtime.find(root) : await describeProgram(program, root);
    const module = runtime.emitted ? "emitted/mod.js" : "mod.ts";
    const trivetBefore = folderBefore === null ? null : `file://${folderBefore}/${module}`;
    const command = [path, ...flags];
    found.push({ name, title, version, command, trivet: `file://${folder}/${module}`, trivetBefore });
  }
  return found;
}

async function takeSource(argv: readonly string[], root: string): Promise<void> {
  const taken = await runCommand(argv, { cwd: root, deadlineMs: 10_000 });
  if (taken.exitCode !== 0) throw new Error(`The source could not be copied.\n${taken.output}`);
}

/** Deno, Bun and Node say their version each in a way of its own; the number is in all of them. */
async function describeProgram(path: string, root: string): Promise<{ path: string; version: string }> {
  const { output } = await runCommand([path, "--version"], { cwd: root, deadlineMs: 10_000 });
  return { path, version: /\d+\.\d+\.\d+/.exec(output)?.[0] ?? "unknown" };
}

/** The commit the source is at, marked where files of it differ; empty outside of a repository. */
export async function describeSource(root: string): Promise<string> {
  const options = { cwd: root, deadlineMs: 10_000 };
  const commit = await runCommand(["git", "rev-parse", "--short", "HEAD"], options);
  if (commit.exitCode !== 0) return "";
  const changes = await runCommand(["git", "status", "--porcelain", "--", "mod.ts", "src", "runtime"], options);
  return ` (${commit.output.trim()}${changes.output.trim() === "" ? "" : ", changed"})`;
}

/** Installs the packages of npm below a folder. */
export async function installPackages(folder: string): Promise<Packages> {
  const argv = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--prefer-offline", ...PACKAGES];
  const result = await runCommand(argv, { cwd: folder, deadlineMs: INSTALL_DEADLINE_MS });
  if (result.exitCode !== 0) {
    return { folder: null, versions: {}, problem: result.output.trim().split("\n").slice(0, 3).join(" ") };
  }
  const versions: Record<string, string> = {};
  for (const specifier of PACKAGES) {
    const name = specifier.slice(0, specifier.lastIndexOf("@"));
    versions[name] = JSON.parse(await Deno.readTextFile(`${folder}/node_modules/${name}/package.json`)).version;
  }
  return { folder, versions, problem: "" };
}
