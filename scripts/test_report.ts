/**
 * Reads what a test runner reported: which tests ran, in which files, and how each ended.
 *
 * Deno, Bun and Node all write JUnit XML, each in a shape of its own; this page knows the three shapes and turns them
 * into one. It judges nothing and starts nothing.
 *
 * @module
 */

/** How a test ended. A test marked as to do counts as skipped. */
export type TestOutcome = "passed" | "failed" | "skipped";

/** One test, not a group of tests. */
export interface TestCase {
  /** The groups around the test and its own name, joined by ` > `. */
  readonly name: string;
  /** The test file as the runner names it; `undefined` where it does not say. */
  readonly file: string | undefined;
  /** How it ended. */
  readonly outcome: TestOutcome;
}

// Node leaves ">" as it is in attribute values, so that only the quotes end one.
const TAG = /<(\/?)(testsuite|testcase|failure|error|skipped)((?:\s+[\w-]+="[^"]*")*)\s*(\/?)>/g;
const ATTRIBUTE = /([\w-]+)="([^"]*)"/g;
const SEPARATOR = " > ";

/**
 * Reads a JUnit report, whole or cut short.
 *
 * @param xml The report.
 * @returns The tests in the order of the report.
 */
export function readTestReport(xml: string): TestCase[] {
  const cases: { name: string; file: string | undefined; outcome: TestOutcome }[] = [];
  const groups: string[] = [];
  for (const [, closing, element, attributes, selfClosing] of xml.matchAll(TAG)) {
    if (element === "testsuite") {
      if (closing) groups.pop();
      else if (!selfClosing) groups.push(groupName(readAttributes(attributes)));
      continue;
    }
    if (closing) continue;
    const current = cases.at(-1);
    if (element === "testcase") {
      const { name = "", file, classname } = readAttributes(attributes);
      cases.push({
        name: [...groups, name].filter((part) => part !== "").join(SEPARATOR),
        file: file ?? (classname?.startsWith("./") ? classname : undefined),
        outcome: "passed",
      });
    } else if (current !== undefined) {
      // Node reports the failure of a test that is to do, which fails nothing.
      if (element === "skipped") current.outcome = "skipped";
      else if (current.outcome === "passed") current.outcome = "failed";
    }
  }
  return cases;
}

/**
 * Drops the cases that are groups: Deno reports a `describe` as one more test, named as a prefix of those inside it.
 * A group that failed although nothing inside it did (in a hook, for instance) stays.
 *
 * @param cases The tests of one run.
 * @returns The tests that are no groups.
 */
export function withoutGroups(cases: readonly TestCase[]): TestCase[] {
  const groups = new Set<string>();
  const failedGroups = new Set<string>();
  for (const { name, outcome } of cases) {
    for (let end = name.lastIndexOf(SEPARATOR); end > 0; end = name.lastIndexOf(SEPARATOR, end - 1)) {
      groups.add(name.slice(0, end));
      if (outcome === "failed") failedGroups.add(name.slice(0, end));
    }
  }
  return cases.filter(({ name, outcome }) => !groups.has(name) || (outcome === "failed" && !failedGroups.has(name)));
}

/** The name a group gives to what is in it: none where Bun and Deno make a group of each file. */
function groupName({ name = "", file }: Record<string, string>): string {
  return name === file || name.startsWith("./") || name.startsWith("ext:") ? "" : name;
}

function readAttributes(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(ATTRIBUTE)) attributes[name] = unescape(value);
  return attributes;
}

function unescape(text: string): string {
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  const once = (escaped: string): string =>
    escaped.replace(
      /&(?:#(\d+)|(lt|gt|quot|apos|amp));/g,
      (_, code, name) => code === undefined ? characters[name] : String.fromCodePoint(Number(code)),
    );
  // Node 20 escapes quotes twice.
  return once(once(text));
}
