/**
 * Makes a package of emitted modules, the same one whichever compiler emitted them.
 *
 * It takes the declarations that a user can reach, and writes what a compiler does not: package.json, the line that makes
 * a command of a module, and the texts.
 *
 * @module
 */

import {
  COPIED_FILES,
  DECLARATION_FOLDER,
  declarationPath,
  emittedPath,
  ENTRY_POINTS,
  type PackageDescription,
  packageJson,
} from "./npm_package.ts";

const COMMAND_LINE = "#!/usr/bin/env node\n";
/** A relative specifier in a declaration: behind `from`, `import` or `import(`. */
const RELATIVE_SPECIFIER = /\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;

/**
 * Names in declarations that only some compilers know, and what each of them understands in their place: types of the
 * DOM library, which programs for Node and Bun leave out, and the parameter that `Uint8Array` has from TypeScript 5.7 on.
 */
const PORTABLE_TYPES: readonly [name: RegExp, type: string][] = [
  [/\bHeadersInit\b/g, "ConstructorParameters<typeof Headers>[0]"],
  [/\bBodyInit\b/g, "NonNullable<ConstructorParameters<typeof Response>[0]>"],
  [/\bResponseType\b/g, 'Response["type"]'],
  [/\bPromise<FormData>/g, 'ReturnType<Response["formData"]>'],
  [/\bPromise<Blob>/g, 'ReturnType<Response["blob"]>'],
  [/\bUint8Array<ArrayBuffer>/g, "ReturnType<typeof Uint8Array.of>"],
];

/**
 * Looks whether everything that was emitted is of the package.
 *
 * @param emitted The folder of the emitted modules.
 * @throws {Error} The compiler emitted something that is no module of the package.
 */
export async function checkModules(emitted: string): Promise<void> {
  for (const path of await filesBelow(emitted)) {
    const source = path.replace(/\.(?:js|d\.ts)$/, ".ts");
    const isOfPackage = ENTRY_POINTS.some((entry) => entry.path === source) || /^(?:src|runtime)\/.*\.ts$/.test(source);
    if (!isOfPackage && path !== "package.json") {
      throw new Error(`The compiler emitted ${path}, which is no module of the package.`);
    }
  }
}

/**
 * Takes the declarations that the exports reach; `exports` keeps the others from being imported.
 *
 * @param output The package's folder.
 * @param emitted The folder of the emitted modules.
 */
export async function takeDeclarations(output: string, emitted: string): Promise<void> {
  const taken = new Set<string>();
  const waiting = ENTRY_POINTS.filter(({ exportName }) => exportName !== undefined)
    .map(({ path }) => declarationPath(path));
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (taken.has(path)) continue;
    taken.add(path);
    const declaration = await Deno.readTextFile(`${emitted}/${path.slice(DECLARATION_FOLDER.length + 1)}`);
    for (const [, specifier] of declaration.matchAll(RELATIVE_SPECIFIER)) {
      waiting.push(new URL(specifier, `file:///${path}`).pathname.slice(1).replace(/\.js$/, ".d.ts"));
    }
    await Deno.mkdir(`${output}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    const portable = PORTABLE_TYPES.reduce((text, [name, type]) => text.replace(name, type), declaration);
    await Deno.writeTextFile(`${output}/${path}`, portable);
  }
}

/**
 * Finishes the package: its folder has the modules and the declarations.
 *
 * @param root The repository.
 * @param output The package's folder.
 * @returns The files of the package, relative to it, sorted.
 */
export async function finishPackage(
  root: string,
  output: string,
  description: PackageDescription,
): Promise<string[]> {
  for (const { path, command } of ENTRY_POINTS) {
    if (command !== undefined) await makeCommand(`${output}/${emittedPath(path)}`);
  }
  await Promise.all(COPIED_FILES.map((name) => Deno.copyFile(`${root}/${name}`, `${output}/${name}`)));
  await Deno.writeTextFile(`${output}/package.json`, `${JSON.stringify(packageJson(description), null, 2)}\n`);
  return await filesBelow(output);
}

async function makeCommand(path: string): Promise<void> {
  await Deno.writeTextFile(path, COMMAND_LINE + await Deno.readTextFile(path));
  await Deno.chmod(path, 0o755);
}

/** The files in a folder and in those below it, relative to it, sorted. */
export async function filesBelow(output: string, folder = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(`${output}/${folder}`)) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) files.push(...await filesBelow(output, `${path}/`));
    else files.push(path);
  }
  return files.sort();
}
