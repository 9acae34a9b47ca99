/**
 * What the npm package is: its entry points, its metadata and the files that come with the code.
 *
 * Both ways of building read this table and nothing else, so that they cannot offer different packages. It emits nothing.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { pageOfRemote } from "./release_rules.ts";

/** A module from which a user of the package, or the package itself, starts. */
export interface EntryPoint {
  /** The TypeScript, relative to the repository. */
  readonly path: string;
  /** The name under which it is imported; without one it is reached by its URL only. */
  readonly exportName?: string;
  /** The command that runs it. */
  readonly command?: string;
  /** Whether importing it does something, so that a bundler must keep an import that uses no name of it. */
  readonly hasSideEffects?: boolean;
}

/** The package as it is published. */
export interface PackageDescription {
  /** Its name. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** Its licence, as SPDX names it. */
  readonly license: string;
  /** The page of its repository, where that is known. */
  readonly page: string | null;
}

/** Every entry point, the main one first. */
export const ENTRY_POINTS: readonly EntryPoint[] = [
  { path: "mod.ts", exportName: "." },
  { path: "src/entry/cli.ts", exportName: "./cli", command: "trivet", hasSideEffects: true },
  { path: "src/entry/fast_response.ts", exportName: "./fast-response", hasSideEffects: true },
  { path: "src/entry/static.ts", exportName: "./static" },
  { path: "src/entry/crossws.ts", exportName: "./crossws" },
  { path: "src/entry/observe.ts", exportName: "./observe" },
  { path: "src/entry/opentelemetry.ts", exportName: "./opentelemetry" },
  { path: "src/entry/thread_main.ts", hasSideEffects: true },
];

/** The folder of the package that has the modules, side by side. */
export const MODULE_FOLDER = "esm";

/** The folder of the package that has the declarations, as their sources stand in the repository. */
export const DECLARATION_FOLDER = "types";

/** What is copied from the top of the repository. */
export const COPIED_FILES: readonly string[] = ["README.md", "LICENSE", "CHANGELOG.md"];

/** The oldest Node on which the tests run. */
const OLDEST_NODE = 20;

const GIT_DEADLINE_MS = 10_000;
const SUMMARY = "One HTTP/1.1 server for Deno, Bun and Node, over raw TCP and without a dependency.";
const KEYWORDS = [
  "http",
  "https",
  "server",
  "http-server",
  "web-server",
  "fetch",
  "deno",
  "bun",
  "node",
  "worker-threads",
  "thread-pool",
  "websocket",
  "static",
  "hono",
];

/**
 * Reads what both registries are told from the configuration of the one that reads TypeScript, and from git where the
 * repository is: a fork that is published names the fork.
 *
 * @param root The repository.
 */
export async function readPackageDescription(root: string): Promise<PackageDescription> {
  const { name, version, license } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const origin = await runCommand(["git", "remote", "get-url", "origin"], { cwd: root, deadlineMs: GIT_DEADLINE_MS })
    .catch(() => null);
  const page = origin?.exitCode === 0 ? pageOfRemote(origin.output.trim()) : null;
  return { name, version, license, page };
}

/** The path of an entry point's module, relative to the package. */
export function emittedPath(path: string): string {
  return `${MODULE_FOLDER}/${path.slice(path.lastIndexOf("/") + 1).replace(/\.ts$/, ".js")}`;
}

/** The path of a module's declaration, relative to the package. */
export function declarationPath(path: string): string {
  return `${DECLARATION_FOLDER}/${path.replace(/\.ts$/, ".d.ts")}`;
}

/**
 * The package.json.
 *
 * There are ES modules only: `require` of every supported Node but the oldest releases takes them too, for which the
 * condition must be `default` and not `import`. `main` and `types` are for tools that do not read `exports`.
 */
export function packageJson({ name, version, license, page }: PackageDescription): Record<string, unknown> {
  const [main] = ENTRY_POINTS;
  const exported = ENTRY_POINTS.filter(({ exportName }) => exportName !== undefined);
  const commands = ENTRY_POINTS.filter(({ command }) => command !== undefined);
  const conditions = (path: string) => ({
    types: `./${declarationPath(path)}`,
    default: `./${emittedPath(path)}`,
  });
  return {
    name,
    version,
    description: SUMMARY,
    keywords: KEYWORDS,
    license,
    ...(page === null ? {} : {
      homepage: `${page}#readme`,
      repository: { type: "git", url: `git+${page}.git` },
      bugs: { url: `${page}/issues` },
    }),
    type: "module",
    main: `./${emittedPath(main.path)}`,
    types: `./${declarationPath(main.path)}`,
    exports: {
      ...Object.fromEntries(exported.map(({ path, exportName }) => [exportName, conditions(path)])),
      "./package.json": "./package.json",
    },
    bin: Object.fromEntries(commands.map(({ path, command }) => [command, emittedPath(path)])),
    files: [MODULE_FOLDER, DECLARATION_FOLDER, ...COPIED_FILES],
    engines: { node: `>=${OLDEST_NODE}` },
    // Nothing of it is imported; it brings the hooks that "./crossws" calls.
    peerDependencies: { crossws: ">=0.4" },
    peerDependenciesMeta: { crossws: { optional: true } },
    sideEffects: ENTRY_POINTS.filter(({ hasSideEffects }) => hasSideEffects)
      .map(({ path }) => `./${emittedPath(path)}`),
  };
}
