/**
 * The package as its users get it: built, packed and installed into an empty folder.
 *
 * What can't be installed is an error with npm's own output, never a test left out. It judges nothing.
 *
 * @module
 */

import { buildNpmPackage, type BuiltPackage, repositoryFolder } from "../../scripts/build_npm.ts";
import { type CommandResult, runCommand } from "../../scripts/command.ts";
import { TEST_RUNTIMES } from "../../scripts/test_runtimes.ts";

/** The repository. */
export const ROOT: string = repositoryFolder();

/** Enough for the registry on a slow line. */
const INSTALL_DEADLINE_MS = 180_000;
/** Enough for a program that answers one request, on a busy machine. */
const RUN_DEADLINE_MS = 30_000;

/** What `npm pack` says of a tarball. */
export interface PackReport {
  readonly filename: string;
  /** Bytes of the tarball. */
  readonly size: number;
  /** Bytes of its files. */
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/** A runtime's program, and how it runs a module. */
export interface InstalledRuntime {
  /** As the test runner calls it: `node`, `node@24`, `node@26`, `bun` or `deno`. */
  readonly name: string;
  /** Whether it is one of the Nodes. */
  readonly isNode: boolean;
  /** Its version. */
  readonly version: string;
  /** The program. */
  readonly path: string;
  /** The command that runs a module file. */
  command(modulePath: string, ...args: readonly string[]): string[];
}

/** A folder of this run's own, removed when the run ends. */
export async function makeFolder(): Promise<string> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trivet_package_" }));
  globalThis.addEventListener("unload", () => {
    try {
      Deno.removeSync(folder, { recursive: true });
    } catch {
      // A program that has just been ended may still have written to it. The system removes what is temporary.
    }
  });
  return folder;
}

/** Runs a command that ends by itself. */
export function run(argv: readonly string[], cwd: string, deadlineMs = RUN_DEADLINE_MS): Promise<CommandResult> {
  return runCommand(argv, { cwd, deadlineMs });
}

/**
 * Runs a command that must succeed.
 *
 * @returns What it printed.
 * @throws {Error} It did not; the message has what it printed.
 */
export async function succeed(argv: readonly string[], cwd: string, deadlineMs = RUN_DEADLINE_MS): Promise<string> {
  const { exitCode, output, timedOut } = await run(argv, cwd, deadlineMs);
  if (exitCode === 0) return output;
  const end = timedOut ? `took more than ${deadlineMs / 1000} s` : `ended with exit code ${exitCode}`;
  throw new Error(`\`${argv.join(" ")}\` ${end}.\n${output}`);
}

/** Builds the package and packs it. */
export async function packPackage(
  folder: string,
): Promise<{ built: BuiltPackage; report: PackReport; tarball: string }> {
  const built = await buildNpmPackage(ROOT, `${folder}/npm`);
  const output = await succeed(["npm", "pack", "--json", `--pack-destination=${folder}`], `${folder}/npm`);
  const [report] = JSON.parse(output) as [PackReport];
  return { built, report, tarball: `${folder}/${report.filename}` };
}

/**
 * Makes an empty project and installs packages into it.
 *
 * @param folder The project's folder, which is made.
 * @param packages What npm is asked for.
 */
export async function installInto(folder: string, ...packages: readonly string[]): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ name: "user", private: true, type: "module" }));
  await succeed(["npm", "install", "--no-audit", "--no-fund", ...packages], folder, INSTALL_DEADLINE_MS);
}

/**
 * Finds every runtime the package supports.
 *
 * @throws {Error} One of them can't be had.
 */
export async function findRuntimes(): Promise<InstalledRuntime[]> {
  return await Promise.all(TEST_RUNTIMES.map(async ({ name, find }) => {
    const { path, version } = await find(ROOT);
    const before = name === "deno" ? ["run", "--allow-all", "--no-lock"] : [];
    return {
      name,
      isNode: name.startsWith("node"),
      version,
      path,
      command: (modulePath: string, ...args: readonly string[]) => [path, ...before, modulePath, ...args],
    };
  }));
}

/** A command in whose environment the first `node`, `bun` or `deno` is this one. */
export function withFirstInPath(runtime: InstalledRuntime, argv: readonly string[]): string[] {
  const folder = runtime.path.slice(0, runtime.path.lastIndexOf("/"));
  return ["env", `PATH=${folder}:${Deno.env.get("PATH")}`, ...argv];
}
