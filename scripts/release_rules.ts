/**
 * What must be true of a version before it is released, as pure functions over texts.
 *
 * It reads and runs nothing.
 *
 * @module
 */

/** A version as Semantic Versioning 2.0.0 has it, less what belongs to a build. */
const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/**
 * Says why a version cannot be released.
 *
 * @param version The version to release.
 * @param current The version the repository has.
 * @returns What is wrong and what is allowed, or `null`.
 */
export function refusalOfVersion(version: string, current: string): string | null {
  const parts = VERSION.exec(version);
  if (parts === null) return `"${version}" is no version: it has to look like 1.2.3 or 1.2.3-rc.1.`;
  const currentParts = VERSION.exec(current);
  if (currentParts === null) return `deno.json has "${current}", which is no version.`;
  return precedes(parts, currentParts) ? `${version} comes before ${current}, which deno.json has.` : null;
}

/**
 * Says why a changelog does not speak for a version.
 *
 * @param changelog The text of CHANGELOG.md.
 * @returns What is missing, or `null`.
 */
export function refusalOfChangelog(changelog: string, version: string): string | null {
  const heading = changelog.split("\n").find((line) => line === `## ${version}` || line.startsWith(`## ${version},`));
  if (heading === undefined) return `CHANGELOG.md has no heading "## ${version}, <date>".`;
  if (/, \d{4}-\d{2}-\d{2}$/.test(heading)) return null;
  return `CHANGELOG.md says "${heading}"; the heading of a release ends in its date, as in "## ${version}, 2030-01-31".`;
}

/**
 * Puts a version in place of the one that is there.
 *
 * @param text The text of deno.json or of src/api/version.ts, which have one version each.
 * @throws {Error} There is not exactly one.
 */
export function withVersion(text: string, version: string): string {
  const place = /("version": "|VERSION = ")[^"]*(")/g;
  if (text.match(place)?.length !== 1) throw new Error("The text does not have exactly one version.");
  return text.replace(place, `$1${version}$2`);
}

/**
 * The page of a repository, by the address from which it is cloned. A password in that is left out.
 *
 * @param remote Of `git`: `https://host/owner/name.git`, `ssh://git@host/owner/name` or `git@host:owner/name.git`.
 * @returns The address, or `null` where the remote is on no host, as a folder.
 */
export function pageOfRemote(remote: string): string | null {
  const parts = /^(?:(?:https?|ssh|git):\/\/(?:[^@/]*@)?([\w.-]+)(?::\d+)?\/|[\w.-]+@([\w.-]+):)(\S+?)(?:\.git)?\/?$/
    .exec(remote);
  return parts === null ? null : `https://${parts[1] ?? parts[2]}/${parts[3]}`;
}

/** Whether a version comes before another. Pre-releases of one version are taken in any order. */
function precedes(left: RegExpExecArray, right: RegExpExecArray): boolean {
  for (const index of [1, 2, 3]) {
    if (Number(left[index]) !== Number(right[index])) return Number(left[index]) < Number(right[index]);
  }
  return left[4] !== undefined && right[4] === undefined;
}
