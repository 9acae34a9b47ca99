/**
 * Emits the modules of the npm package with dnt, which comes from JSR.
 *
 * It decides how dnt is called. What dnt adds on its own is taken away by `npm_finish.ts`.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { ENTRY_POINTS, type PackageDescription } from "./npm_package.ts";

/** What this script needs to know of dnt. */
interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/** dnt is not here and cannot be had. */
export class DntOutOfReachError extends Error {}

/** Where dnt puts the modules that it emits, in the folder that it is given. */
const DNT_FOLDER = "esm";
/** Enough for a download on a slow line; a registry that refuses does so at once. */
const LOAD_DEADLINE_MS = 60_000;
/** Printing its own types takes Deno a moment. */
const TYPES_DEADLINE_MS = 30_000;

/**
 * Emits JavaScript with declarations.
 *
 * @param root The repository.
 * @param output The folder they are emitted below, which is empty.
 * @returns The folder in which they stand as their sources do in the repository.
 * @throws {DntOutOfReachError} dnt could not be loaded.
 * @throws {Error} dnt failed.
 */
export async function emitWithDnt(root: string, output: string, description: PackageDescription): Promise<string> {
  const { build } = await loadDnt();
  await writeDenoTypes(root, output);
  await build({
    entryPoints: ENTRY_POINTS.map(({ path, exportName }) => ({
      name: exportName ?? `./${path}`,
      path: `${root}/${path}`,
    })),
    outDir: output,
    package: { ...description },
    // The package runs on what each runtime has, and changes no global.
    shims: {},
    polyfills: false,
    scriptModule: false,
    declaration: "inline",
    declarationMap: false,
    // The types are checked by `deno task check`, with the compiler they are written for.
    typeCheck: false,
    test: false,
    skipNpmInstall: true,
    skipSourceOutput: true,
    compilerOptions: {
      target: "Latest",
      lib: ["ESNext", "DOM", "DOM.Iterable"],
      sourceMap: false,
    },
  });
  return `${output}/${DNT_FOLDER}`;
}

/**
 * Tells whether dnt can be had.
 *
 * @returns Why not, in one line; `null` if it can.
 */
export async function whyNoDnt(): Promise<string | null> {
  try {
    await loadDnt();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

async function loadDnt(): Promise<Dnt> {
  // Not a literal, so that neither `deno check` nor a run of this module asks JSR for it before it is needed.
  const specifier = "@deno/dnt";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${LOAD_DEADLINE_MS / 1000} s`)), LOAD_DEADLINE_MS);
  });
  try {
    return await Promise.race([import(specifier), expired]);
  } catch (cause) {
    throw new DntOutOfReachError(`dnt is out of reach: ${(cause as Error).message.split("\n")[0]}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** The compiler dnt brings knows nothing of Deno, whose types the adapter's declarations name. */
async function writeDenoTypes(root: string, output: string): Promise<void> {
  const { exitCode, output: types } = await runCommand([Deno.execPath(), "types"], {
    cwd: root,
    deadlineMs: TYPES_DEADLINE_MS,
  });
  if (exitCode !== 0) throw new Error(`deno types failed.\n${types}`);
  const folder = `${output}/node_modules/@types/deno`;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/index.d.ts`, types);
  const { deno: version } = Deno.version;
  await Deno.writeTextFile(
    `${folder}/package.json`,
    JSON.stringify({ name: "@types/deno", version, types: "index.d.ts" }),
  );
}
