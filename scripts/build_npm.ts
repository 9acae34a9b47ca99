/**
 * Builds the npm package: ES modules, declarations, the command, and the texts.
 *
 * It is built with dnt. Where JSR, from which dnt comes, is out of reach, the same package is built from the same table
 * with what Deno itself has. The last line says which way was taken and why.
 *
 * Usage: `deno task build:npm [--with=dnt|deno] [folder]`; the folder is `npm` unless given, and is replaced.
 *
 * @module
 */

import { bundleModules } from "./npm_bundle.ts";
import { checkModules, finishPackage, takeDeclarations } from "./npm_finish.ts";
import { readPackageDescription } from "./npm_package.ts";
import { emitWithDeno } from "./npm_with_deno.ts";
import { DntOutOfReachError, emitWithDnt } from "./npm_with_dnt.ts";

/** What emits the modules. */
export type Compiler = "dnt" | "deno";

/** A package that was built. */
export interface BuiltPackage {
  /** What emitted its modules. */
  readonly compiler: Compiler;
  /** Why it was not dnt, where that was left open. */
  readonly reason: string | undefined;
  /** Its files, relative to its folder, sorted. */
  readonly files: readonly string[];
}

/**
 * Builds the package into a folder.
 *
 * @param root The repository.
 * @param output The folder, which is replaced.
 * @param compiler What emits the modules; left out, dnt where it can be had and Deno where it can't.
 * @throws {DntOutOfReachError} dnt was asked for and could not be loaded.
 * @throws {Error} Emitting failed.
 */
export async function buildNpmPackage(root: string, output: string, compiler?: Compiler): Promise<BuiltPackage> {
  const description = await readPackageDescription(root);
  await Deno.remove(output, { recursive: true }).catch(() => undefined);
  const scratch = `${output}/emitted`;
  await Deno.mkdir(scratch, { recursive: true });
  let used: Compiler = compiler ?? "dnt";
  let reason: string | undefined;
  let emitted = scratch;
  if (used === "dnt") {
    try {
      emitted = await emitWithDnt(root, scratch, description);
    } catch (error) {
      if (compiler === "dnt" || !(error instanceof DntOutOfReachError)) throw error;
      reason = error.message;
      used = "deno";
    }
  }
  if (used === "deno") await emitWithDeno(root, emitted);
  await checkModules(emitted);
  await bundleModules(output, emitted);
  await takeDeclarations(output, emitted);
  await Deno.remove(scratch, { recursive: true });
  return { compiler: used, reason, files: await finishPackage(root, output, description) };
}

/** The repository's folder, without a slash at its end. */
export function repositoryFolder(): string {
  return decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
}

async function main(args: readonly string[]): Promise<number> {
  let compiler: Compiler | undefined;
  let folder: string | undefined;
  for (const arg of args) {
    if (arg === "--with=dnt" || arg === "--with=deno") compiler = arg.slice("--with=".length) as Compiler;
    else if (arg.startsWith("-") || folder !== undefined) {
      console.error(`Unknown argument ${arg}; usage: deno task build:npm [--with=dnt|deno] [folder]`);
      return 2;
    } else folder = arg;
  }
  const root = repositoryFolder();
  const output = folder === undefined ? `${root}/npm` : new URL(folder, `file://${Deno.cwd()}/`).pathname;
  const built = await buildNpmPackage(root, decodeURIComponent(output), compiler);
  const way = built.compiler === "dnt" ? "dnt" : "Deno's own transpiler";
  const why = built.reason === undefined ? "" : `, because ${built.reason}`;
  console.log(`Built ${built.files.length} files into ${folder ?? "npm"} with ${way}${why}`);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
