/**
 * The runtimes that are measured, what of Trivet runs on each, and the packages of npm that servers under test use.
 */

import { runCommand } from "../scripts/command.ts";
import { emit } from "../scripts/emit.ts";
import { bundleModules } from "../scripts/npm_bundle.ts";
import { type RuntimeProgram, TEST_RUNTIMES } from "../scripts/test_runtimes.ts";

export type RuntimeName = "deno" | "bun" | "node";

export interface BenchRuntime {
  readonly name: RuntimeName;
  readonly title: string;
  readonly version: string;
  /** The program and the arguments that stand before the file to run. */
  readonly command: readonly string[];
  /** The folder that has the source as it was when the run began, and the packages of npm. */
  readonly folder: string;
  /** The URL of the module of Trivet for this runtime. */
  readonly trivet: string;
  /** The same of another state of the source, where one is compared with. */
  readonly trivetBefore: string | null;
}

/** The packages of npm under test: the folder they are installed in, or why they could not be had. */
export interface Packages {
  readonly folder: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly problem: string;
}

export const NO_PACKAGES: Packages = { folder: "", versions: {}, problem: "" };

const DENO_FLAGS = ["run", "--quiet", "--allow-all", "--no-check", "--no-lock", "--v8-flags=--expose-gc"];
/** How each is found in the table of the tests, and started. */
const RUNTIMES: Readonly<Record<RuntimeName, { found: string; flags: readonly string[] }>> = {
  deno: { found: "deno", flags: DENO_FLAGS },
  bun: { found: "bun", flags: ["run"] },
  node: { found: "node@24", flags: ["--expose-gc", "--disable-warning=ExperimentalWarning"] },
};

/** The runtimes, in the order in which they are measured, and how they are called in what is read. */
export const RUNTIME_NAMES: readonly RuntimeName[] = ["deno", "bun", "node"];
export const RUNTIME_TITLES: Readonly<Record<RuntimeName, string>> = { deno: "Deno", bun: "Bun", node: "Node" };

const PACKAGES = ["hono@4", "h3@2.0.8", "@hono/node-server@2", "srvx@1", "ws@8.23.0"];
const INSTALL_DEADLINE_MS = 90_000;
const COPY_DEADLINE_MS = 10_000;

/**
 * Finds runtimes, downloading them if need be, and puts Trivet and the servers into the folder: copied for Deno and Bun
 * and emitted for Node, at the same time, so that all servers of a run are of the same state of the source whatever is
 * edited meanwhile. There the servers find the packages of npm, too.
 *
 * @param before A commit whose source is measured too; empty where there is none.
 */
export async function findRuntimes(
  names: readonly RuntimeName[],
  root: string,
  folder: string,
  before: string,
): Promise<BenchRuntime[]> {
  const emits = names.includes("node");
  await shell('cp -r mod.ts src runtime bench "$1" && cp -r --parents test/support "$1"', root, folder);
  await Deno.writeTextFile(`${folder}/package.json`, '{ "type": "module" }');
  if (emits) await emit(root, `${folder}/emitted`);
  const folderBefore = `${folder}/before`;
  if (before !== "") {
    await shell('set -o pipefail; mkdir "$1" && git archive "$2" | tar -x -C "$1"', root, folderBefore, before);
    if (emits) await emit(folderBefore, `${folderBefore}/emitted`);
  }
  return await Promise.all(names.map(async (name) => {
    const { path, version } = await findProgram(name, root);
    const urlIn = (folder: string) => `file://${folder}/${name === "node" ? "emitted/mod.js" : "mod.ts"}`;
    const modules = { trivet: urlIn(folder), trivetBefore: before === "" ? null : urlIn(folderBefore) };
    return { name, title: RUNTIME_TITLES[name], version, command: [path, ...RUNTIMES[name].flags], folder, ...modules };
  }));
}

export function findProgram(name: RuntimeName, root: string): Promise<RuntimeProgram> {
  return TEST_RUNTIMES.find((each) => each.name === RUNTIMES[name].found)!.find(root);
}

/** Runs a script that has to succeed, and gives what it prints. */
async function shell(script: string, cwd: string, ...args: readonly string[]): Promise<string> {
  const { exitCode, output } = await runCommand(["bash", "-c", script, "bash", ...args], {
    cwd,
    deadlineMs: COPY_DEADLINE_MS,
  });
  if (exitCode !== 0) throw new Error(`This has failed: ${script}\n${output}`);
  return output.trim();
}

/** The versions of a run: of the runtimes, and of the source with its commit, marked where files of it differ. */
export async function versionsOf(runtimes: readonly BenchRuntime[], root: string): Promise<Record<string, string>> {
  const { version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const commit = await shell("git rev-parse --short HEAD 2>/dev/null || true", root);
  const changes = await shell("git status --porcelain -- mod.ts src runtime 2>/dev/null || true", root);
  const source = commit === "" ? "" : ` (${commit}${changes && ", changed"})`;
  return { ...Object.fromEntries(runtimes.map(({ title, version }) => [title, version])), Trivet: version + source };
}

/** The module of Trivet as the npm package has it, joined into few files; the emitted ones where that can't be done. */
export async function packagedModule({ name, folder, trivet }: BenchRuntime): Promise<string> {
  if (name !== "node") return trivet;
  // What is joined is changed, and what is emitted is more than the package.
  const emitted = `${folder}/package`;
  await shell('mkdir -p "$1" && cp -r mod.js src runtime package.json "$1"', `${folder}/emitted`, emitted);
  const joined = await bundleModules(folder, emitted).then(() => true, () => false);
  return joined ? `file://${folder}/esm/mod.js` : trivet;
}

export async function installPackages(folder: string): Promise<Packages> {
  const argv = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--prefer-offline", ...PACKAGES];
  const { exitCode, output } = await runCommand(argv, { cwd: folder, deadlineMs: INSTALL_DEADLINE_MS });
  if (exitCode !== 0) return { ...NO_PACKAGES, problem: output.trim().split("\n").slice(0, 3).join(" ") };
  const versions = Object.fromEntries(PACKAGES.map((specifier) => {
    const name = specifier.slice(0, specifier.lastIndexOf("@"));
    return [name, JSON.parse(Deno.readTextFileSync(`${folder}/node_modules/${name}/package.json`)).version];
  }));
  return { folder, versions, problem: "" };
}
