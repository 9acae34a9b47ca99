/**
 * The tools that run the tests: how emitted modules find each other, how the runners' reports are read, and how the
 * ways that states took are compared with their tables.
 *
 * A mistake here would let a suite pass that did not run, so the reports are those the runners really write.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { standsApart, withFiles } from "../scripts/node_test_groups.ts";
import { rewriteSpecifiers } from "../scripts/specifiers.ts";
import { compareWays, readWays, type Way, waysOfConnections, waysOfTables, writeWay } from "../scripts/state_ways.ts";
import { readTestReport, type TestCase, withoutGroups } from "../scripts/test_report.ts";
import { StateTable } from "../src/states.ts";

interface RewriteCase {
  readonly name: string;
  readonly source: string;
  /** The result; absent where the source stays as it is. */
  readonly result?: string;
}

const REWRITES: readonly RewriteCase[] = [
  { name: "an import", source: `import { a } from "./a.ts";`, result: `import { a } from "./a.js";` },
  {
    name: "an import of many lines",
    source: `import {\n  a\n} from "../a.ts";`,
    result: `import {\n  a\n} from "../a.js";`,
  },
  { name: "an import for its effect", source: `import './a.ts'`, result: `import './a.js'` },
  { name: "an export", source: `export * from "./a.ts";`, result: `export * from "./a.js";` },
  { name: "a dynamic import", source: `f(import("./a.ts"))`, result: `f(import("./a.js"))` },
  { name: "a comment within", source: `import /* "./b.ts" */ "./a.ts"`, result: `import /* "./b.ts" */ "./a.js"` },
  {
    name: "the URL of a module",
    source: `new Worker(new URL("./a.ts", import.meta.url), {})`,
    result: `new Worker(new URL("./a.js", import.meta.url), {})`,
  },
  { name: "a resolved module", source: `import.meta.resolve("./a.ts")`, result: `import.meta.resolve("./a.js")` },
  { name: "inside a substitution", source: "`${import('./a.ts')} './b.ts'`", result: "`${import('./a.js')} './b.ts'`" },
  {
    name: "two on one line",
    source: `import "./a.ts"; import "./b.ts";`,
    result: `import "./a.js"; import "./b.js";`,
  },
  { name: "a package", source: `import a from "node:a.ts";` },
  { name: "another suffix", source: `import a from "./a.json"; import b from "./b.tsx";` },
  { name: "a string", source: `const a = "./a.ts"; f("./a.ts"); from("./a.ts"); a.from = "./a.ts";` },
  { name: "a comment", source: `// import "./a.ts"\n/* import "./a.ts" */` },
  { name: "a template", source: "const a = `\nimport \"./a.ts\";\n${ { b: `import './a.ts'` }.b }\nimport './a.ts'`;" },
  { name: "a string with an import in it", source: `const a = 'import "./a.ts"'; const b = "import \\"./a.ts\\"";` },
  { name: "a regular expression with quotes", source: `const a = /["'\`/]/.test(b) ? / import "/ : c / d / "e";` },
  { name: "a URL with another base", source: `new URL("./a.ts", base)` },
];

describe("specifiers of emitted modules", () => {
  for (const { name, source, result } of REWRITES) {
    test(`${name} ${result === undefined ? "stays as it is" : "is rewritten"}`, () => {
      assert.equal(rewriteSpecifiers(source), result ?? source);
    });
  }

  test("what follows a regular expression with quotes is still read", () => {
    assert.equal(rewriteSpecifiers(`a = /"/; import "./a.ts";`), `a = /"/; import "./a.js";`);
    assert.equal(rewriteSpecifiers('`${a}${/"/}`; import "./a.ts";'), '`${a}${/"/}`; import "./a.js";');
    assert.equal(rewriteSpecifiers(`return /"/; import "./a.ts";`), `return /"/; import "./a.js";`);
  });

  test("what follows a division is still read", () => {
    assert.equal(rewriteSpecifiers(`a / b; import "./a.ts";`), `a / b; import "./a.js";`);
    assert.equal(rewriteSpecifiers(`a.of / b; import "./a.ts";`), `a.of / b; import "./a.js";`);
    assert.equal(rewriteSpecifiers(`(a) / b; import "./a.ts";`), `(a) / b; import "./a.js";`);
  });

  test("a string without an end is an error and not skipped", () => {
    assert.throws(() => rewriteSpecifiers(`a;\nb = "c\n`), /line 2/);
  });
});

interface ReportCase {
  readonly runner: string;
  readonly xml: string;
  readonly cases: readonly TestCase[];
}

const REPORTS: readonly ReportCase[] = [
  {
    runner: "Deno",
    xml: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="2" errors="0" time="0.230">
    <testsuite name="./test/a_test.ts" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="a &amp; &lt;b&gt;" classname="./test/a_test.ts" time="0.019" line="3" col="1">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="alone" classname="./test/a_test.ts" time="0.000" line="9" col="1">
        </testcase>
    </testsuite>
    <testsuite name="ext:deno_node/testing.ts" tests="3" disabled="1" errors="0" failures="1">
        <testcase name="a &amp; &lt;b&gt; &gt; adds &quot;x&quot;" classname="ext:deno_node/testing.ts" time="0.001">
            <failure message="Uncaught AssertionError">AssertionError: &lt;testcase&gt;</failure>
        </testcase>
        <testcase name="a &amp; &lt;b&gt; &gt; inner" classname="ext:deno_node/testing.ts" time="0.003">
        </testcase>
        <testcase name="a &amp; &lt;b&gt; &gt; inner &gt; deep" classname="ext:deno_node/testing.ts" time="0.000">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>`,
    cases: [
      { name: "alone", file: "./test/a_test.ts", outcome: "passed" },
      { name: `a & <b> > adds "x"`, file: undefined, outcome: "failed" },
      { name: "a & <b> > inner > deep", file: undefined, outcome: "skipped" },
    ],
  },
  {
    runner: "Bun",
    xml: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="3" assertions="0" failures="1" skipped="1" time="0.047265048">
  <testsuite name="test/a_test.ts" file="test/a_test.ts" tests="3" failures="1" skipped="1" time="0.02" hostname="vm">
    <testsuite name="a &amp; &lt;b&gt;" file="test/a_test.ts" line="3" tests="2" failures="1" skipped="1" time="0.01">
      <testcase name="adds &quot;x&quot;" classname="a" time="0.0008" file="test/a_test.ts" line="4" assertions="0">
        <failure type="AssertionError" message="1&#10;2">AssertionError: 1&#10;2</failure>
      </testcase>
      <testsuite name="inner" file="test/a_test.ts" line="7" tests="1" failures="0" skipped="1" time="0">
        <testcase name="deep" classname="inner &gt; a" time="0" file="test/a_test.ts" line="6" assertions="0">
          <skipped />
        </testcase>
      </testsuite>
    </testsuite>
    <testcase name="alone" classname="" time="0.000022" file="test/a_test.ts" line="9" assertions="0" />
  </testsuite>
</testsuites>`,
    cases: [
      { name: `a & <b> > adds "x"`, file: "test/a_test.ts", outcome: "failed" },
      { name: "a & <b> > inner > deep", file: "test/a_test.ts", outcome: "skipped" },
      { name: "alone", file: "test/a_test.ts", outcome: "passed" },
    ],
  },
  {
    runner: "Node 20",
    xml: `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="a &amp; &lt;b>" time="0.013928" disabled="0" errors="0" tests="2" failures="1" skipped="1">
		<testcase name="adds &amp;quot;x&amp;quot;" time="0.000890" classname="test" failure="1 > 2">
			<failure type="testCodeFailure" message="1 > 2">
[Error: 1 > 2] { code: 'ERR_TEST_FAILURE' }
			</failure>
		</testcase>
		<testsuite name="inner" time="0.000661" disabled="0" errors="0" tests="1" failures="0" skipped="1">
			<testcase name="deep" time="0.000197" classname="test">
				<skipped type="skipped" message="why"/>
			</testcase>
		</testsuite>
	</testsuite>
	<testcase name="alone" time="0.000152" classname="test"/>
	<testcase name="fails but is to do" time="0.000231" classname="test">
		<skipped type="todo" message="true"/>
		<failure type="testCodeFailure" message="no">no</failure>
	</testcase>
	<!-- tests 4 -->`,
    cases: [
      { name: `a & <b> > adds "x"`, file: undefined, outcome: "failed" },
      { name: "a & <b> > inner > deep", file: undefined, outcome: "skipped" },
      { name: "alone", file: undefined, outcome: "passed" },
      { name: "fails but is to do", file: undefined, outcome: "skipped" },
    ],
  },
];

describe("reports of test runners", () => {
  for (const { runner, xml, cases } of REPORTS) {
    test(`${runner}'s report gives each test once, with its outcome`, () => {
      assert.deepEqual(withoutGroups(readTestReport(xml)), cases);
    });
  }

  test("a group that failed in a hook of its own stays a failure", () => {
    const group: TestCase = { name: "group", file: "./a_test.ts", outcome: "failed" };
    const inside: TestCase = { name: "group > test", file: undefined, outcome: "passed" };
    assert.deepEqual(withoutGroups([group, inside]), [group, inside]);
  });
});

const LIGHTS = new StateTable<"green" | "yellow" | "red">("a light", "green", {
  green: { yellow: "a minute is over" },
  yellow: { red: "nobody crosses" },
  red: {},
});
const GREEN_TO_YELLOW: Way = ["a light", "green", "yellow"];
const YELLOW_TO_RED: Way = ["a light", "yellow", "red"];
const RED_TO_GREEN: Way = ["a light", "red", "green"];

/** Modules of tests, each with what it imports. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  "test/pure_test.js": ["node:test", "src/pure.js"],
  "test/socket_test.js": ["test/support/client.js"],
  "test/support/client.js": ["node:net", "test/support/client.js"],
  "test/server_test.js": ["mod.js"],
  "test/memory_test.js": ["test/support/memory_runtime.js", "src/pure.js"],
  "test/support/memory_runtime.js": ["runtime/detect.js"],
  "src/pure.js": ["node:net"],
};

describe("test files on Node", () => {
  for (
    const [path, isApart] of [
      ["test/pure_test.js", false],
      ["test/memory_test.js", false],
      ["test/socket_test.js", true],
      ["test/server_test.js", true],
    ] as const
  ) {
    test(`${path} ${isApart ? "has a process of its own" : "shares a process"}`, async () => {
      assert.equal(await standsApart(path, (module) => Promise.resolve(MODULES[module])), isApart);
    });
  }

  test("that share a process are told apart by the test in front of each", () => {
    const names = ["file: test/a_test.ts", "one", "group > two", "file: test/b_test.ts", "file: test/c_test.ts", "one"];
    const cases = names.map((name): TestCase => ({ name, file: undefined, outcome: "passed" }));
    assert.deepEqual(withFiles(cases).map(({ name, file }) => [name, file]), [
      ["one", "test/a_test.ts"],
      ["group > two", "test/a_test.ts"],
      ["one", "test/c_test.ts"],
    ]);
  });
});

describe("the comparison of tables of states with the ways that were taken", () => {
  const rows: { name: string; taken: Way[]; unlisted: string[]; untaken: string[] }[] = [
    {
      name: "finds nothing when every way was taken, however often",
      taken: [GREEN_TO_YELLOW, YELLOW_TO_RED, GREEN_TO_YELLOW],
      unlisted: [],
      untaken: [],
    },
    {
      name: "names a way that no test took",
      taken: [GREEN_TO_YELLOW],
      unlisted: [],
      untaken: ["a light: yellow > red"],
    },
    {
      name: "names a way that is in no table, once",
      taken: [GREEN_TO_YELLOW, YELLOW_TO_RED, RED_TO_GREEN, RED_TO_GREEN],
      unlisted: ["a light: red > green"],
      untaken: [],
    },
    {
      name: "does not take the way of another table for one of this",
      taken: [GREEN_TO_YELLOW, ["another light", "yellow", "red"]],
      unlisted: ["another light: yellow > red"],
      untaken: ["a light: yellow > red"],
    },
    {
      name: "finds that nothing was recorded",
      taken: [],
      unlisted: [],
      untaken: ["a light: green > yellow", "a light: yellow > red"],
    },
  ];
  for (const { name, taken, ...expected } of rows) {
    test(name, () => assert.deepEqual(compareWays(waysOfTables([{ LIGHTS }]), taken), expected));
  }

  test("finds each exported table once, and nothing else that is exported", () => {
    const modules = [{ LIGHTS, other: 1, nothing: null }, { again: LIGHTS }];
    assert.deepEqual(waysOfTables(modules), [GREEN_TO_YELLOW, YELLOW_TO_RED]);
  });

  test("finds the ways of connections, among them the end of each state and none behind an end", () => {
    const ways = waysOfConnections().map((way) => way.join(" "));
    for (const way of ["reading idle head", "reading head closed", "writing awaiting held", "writing held cut"]) {
      assert.ok(ways.includes(way), way);
    }
    for (const last of ["reading closed ", "writing cut ", "writing gone "]) {
      assert.ok(!ways.some((way) => way.startsWith(last)), last);
    }
  });

  test("reads what was written, and no line that was not", () => {
    assert.deepEqual(readWays(writeWay(GREEN_TO_YELLOW) + writeWay(YELLOW_TO_RED)), [GREEN_TO_YELLOW, YELLOW_TO_RED]);
    for (const record of ["a light\tgreen", "a light\tgreen\tyellow\tred"]) assert.throws(() => readWays(record));
  });
});
