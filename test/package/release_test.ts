/** The rules of a release: which versions, and what the changelog must say. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { packageJson } from "../../scripts/npm_package.ts";
import { pageOfRemote, refusalOfChangelog, refusalOfVersion, withVersion } from "../../scripts/release_rules.ts";

const VERSIONS: readonly (readonly [name: string, version: string, current: string, refusal: RegExp | null])[] = [
  ["takes the version that is set already", "1.2.3", "1.2.3", null],
  ["takes a later patch", "1.2.10", "1.2.9", null],
  ["takes a later minor version with a lower patch", "1.3.0", "1.2.9", null],
  ["takes a pre-release of a later version", "2.0.0-rc.1", "1.9.9", null],
  ["takes the release of a pre-release", "2.0.0", "2.0.0-rc.1", null],
  ["refuses an earlier version", "1.2.9", "1.2.10", /comes before 1\.2\.10/],
  ["refuses a pre-release of a version that is out", "1.0.0-rc.1", "1.0.0", /comes before/],
  ["refuses a leading v", "v1.2.3", "1.0.0", /is no version/],
  ["refuses two numbers", "1.2", "1.0.0", /is no version/],
  ["refuses a leading zero", "1.02.0", "1.0.0", /is no version/],
  ["refuses an empty pre-release", "1.2.0-", "1.0.0", /is no version/],
];

const CHANGELOGS: readonly (readonly [name: string, changelog: string, refusal: RegExp | null])[] = [
  ["takes a heading with a date", "# Changelog\n\n## 1.2.3, 2030-01-31\n", null],
  ["refuses a heading of another version", "## 1.2.30, 2030-01-31\n", /has no heading/],
  ["refuses a heading without a date", "## 1.2.3\n", /ends in its date/],
  ["refuses what is not released", "## 1.2.3, not released\n", /ends in its date/],
];

const PAGE = "https://host.test/owner/name";

const REMOTES: readonly (readonly [name: string, remote: string, page: string | null])[] = [
  ["by https", "https://host.test/owner/name.git", PAGE],
  ["by https without a suffix, with a slash", "https://host.test/owner/name/", PAGE],
  ["by https, and leaves out who may", "https://me:secret@host.test/owner/name.git", PAGE],
  ["by ssh", "ssh://git@host.test:2222/owner/name.git", PAGE],
  ["by ssh in short", "git@host.test:owner/name.git", PAGE],
  ["in a group of groups", "git@host.test:group/owner/na.me.git", "https://host.test/group/owner/na.me"],
  ["in a folder, which has no page", "/srv/git/name.git", null],
  ["at a file URL, which has no page", "file:///srv/git/name.git", null],
  ["nowhere", "", null],
];

describe("the page of a repository that is cloned", () => {
  for (const [name, remote, page] of REMOTES) test(name, () => assert.equal(pageOfRemote(remote), page));

  test("is in package.json as its repository, homepage and bugs, and nothing where it is not known", () => {
    const description = { name: "a", version: "1.0.0", license: "MIT" };
    const { homepage, repository, bugs } = packageJson({ ...description, page: PAGE });
    assert.deepEqual([homepage, bugs], [`${PAGE}#readme`, { url: `${PAGE}/issues` }]);
    assert.deepEqual(repository, { type: "git", url: `git+${PAGE}.git` });
    assert.equal("repository" in packageJson({ ...description, page: null }), false);
  });
});

describe("a release", () => {
  for (const [name, version, current, refusal] of VERSIONS) {
    test(name, () => expectRefusal(refusalOfVersion(version, current), refusal));
  }

  for (const [name, changelog, refusal] of CHANGELOGS) {
    test(name, () => expectRefusal(refusalOfChangelog(changelog, "1.2.3"), refusal));
  }

  test("sets the version of deno.json and of the source", () => {
    assert.equal(withVersion('{ "name": "a", "version": "1.0.0" }', "1.1.0"), '{ "name": "a", "version": "1.1.0" }');
    assert.equal(withVersion('export const VERSION = "1.0.0";', "1.1.0"), 'export const VERSION = "1.1.0";');
  });

  test("sets no version where there are two", () => {
    assert.throws(() => withVersion('"version": "1.0.0", "version": "1.0.0"', "1.1.0"), /exactly one/);
  });
});

function expectRefusal(refusal: string | null, expected: RegExp | null): void {
  if (expected === null) assert.equal(refusal, null);
  else assert.match(refusal ?? "", expected);
}
