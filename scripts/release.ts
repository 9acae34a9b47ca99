/**
 * Prepares a release: sets the version, checks, tests, builds both packages and prints what to publish.
 *
 * It publishes nothing, commits nothing and stops at the first thing that is wrong. Running it again is safe.
 *
 * Usage: `deno task release <version>`
 *
 * @module
 */

import { buildNpmPackage, repositoryFolder } from "./build_npm.ts";
import { runCommand } from "./command.ts";
import { readPackageDescription } from "./npm_package.ts";
import { refusalOfChangelog, refusalOfVersion, withVersion } from "./release_rules.ts";

/** Something is not as a release needs it; its message is for the user. */
class NotReadyError extends Error {}

/** Each task has deadlines of its own; this one is for all of them together. */
const TASK_DEADLINE_MS = 30 * 60_000;
const PACK_DEADLINE_MS = 60_000;
const TASKS = ["check", "test", "test:nodes", "test:package", "test:frameworks", "test:websocket", "test:std"];
const VERSIONED_FILES = ["deno.json", "src/api/version.ts"];

async function main(args: readonly string[]): Promise<void> {
  const [version, ...others] = args;
  if (version === undefined || others.length > 0) throw new NotReadyError("Usage: deno task release <version>");
  const root = repositoryFolder();
  const { version: current } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const refusal = refusalOfVersion(version, current) ??
    refusalOfChangelog(await Deno.readTextFile(`${root}/CHANGELOG.md`), version);
  if (refusal !== null) throw new NotReadyError(refusal);
  const { page } = await readPackageDescription(root);
  if (page === null) {
    throw new NotReadyError(
      "package.json says where the repository is: add its remote, `git remote add origin <URL>`.",
    );
  }

  await setVersion(root, version);
  for (const task of TASKS) await runTask(root, task);
  const { compiler, reason, files } = await buildNpmPackage(root, `${root}/npm`);
  console.log(`ok      npm package: ${files.length} files in npm/, emitted by ${compiler}`);
  if (reason !== undefined) console.log(`        not by dnt, because ${reason}`);
  const packed = await run(["npm", "pack", "--dry-run", "--json"], `${root}/npm`, PACK_DEADLINE_MS);
  const [{ size, unpackedSize }] = JSON.parse(packed);
  console.log(`        ${size} bytes packed, ${unpackedSize} unpacked`);
  await run([Deno.execPath(), "publish", "--dry-run", "--allow-dirty"], root, PACK_DEADLINE_MS);
  console.log("ok      JSR package");
  console.log(
    [
      "",
      `${version} is ready. Nothing has been published or committed. To publish it:`,
      "",
      `  git commit -a -m "Release ${version}" && git tag ${version} && git push --follow-tags`,
      "  npm publish ./npm --access public",
      "  deno publish",
    ].join("\n"),
  );
}

async function setVersion(root: string, version: string): Promise<void> {
  for (const name of VERSIONED_FILES) {
    const text = await Deno.readTextFile(`${root}/${name}`);
    const changed = withVersion(text, version);
    if (changed === text) continue;
    await Deno.writeTextFile(`${root}/${name}`, changed);
    console.log(`set     ${name} to ${version}`);
  }
}

async function runTask(root: string, task: string): Promise<void> {
  const output = await run([Deno.execPath(), "task", task], root, TASK_DEADLINE_MS);
  console.log(`ok      ${task}: ${output.trimEnd().split("\n").at(-1)}`);
}

async function run(argv: readonly string[], cwd: string, deadlineMs: number): Promise<string> {
  const { exitCode, output, timedOut } = await runCommand(argv, { cwd, deadlineMs });
  if (exitCode === 0) return output;
  const end = timedOut ? `took more than ${deadlineMs / 1000} s` : `ended with exit code ${exitCode}`;
  throw new NotReadyError(`${output}\n\`${argv.join(" ")}\` ${end}.`);
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof NotReadyError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
