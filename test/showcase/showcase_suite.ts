/**
 * The page of `deno task start` in a real browser, served by each runtime: it opens without an error, sends its traffic
 * through the four lanes, and can be used by people who see little, use a telephone or have no mouse.
 *
 * It needs npm's registry and chromium (`apt-get install chromium` on Debian, or a path in `CHROMIUM`), and runs by
 * `deno task test:showcase`. What is missing fails it as a whole. `TRIVET_SCREENSHOTS` names a folder that keeps what
 * the page looks like.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, type InstalledRuntime, makeFolder, ROOT, succeed } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";

const PACKAGES = ["playwright-core@1.65.1", "axe-core@4.14.1"];
const INSTALL_DEADLINE_MS = 180_000;
/** Enough for three runs of traffic on a busy machine. */
const VISIT_DEADLINE_MS = 180_000;
const BROWSER = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";
/** Older ones do not take TypeScript as it is. */
const RUNTIMES = ["deno", "bun", "node@24"];

/** What became of the quick requests of one lane. */
interface SeenLane {
  readonly unanswered: number;
  readonly half: string;
}

/** What `visit.mjs` prints. */
interface Visit {
  readonly problems: readonly string[];
  readonly violations: readonly string[];
  readonly runs: Readonly<
    Record<string, { readonly lanes: Readonly<Record<string, SeenLane>>; readonly result: string }>
  >;
  readonly widths: Readonly<Record<string, number>>;
  readonly withoutScript: string;
}

const folder = await makeFolder();
const runtimes = (await findRuntimes()).filter(({ name }) => RUNTIMES.includes(name));
await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ private: true, type: "module" }));
await succeed(["npm", "install", "--no-audit", "--no-fund", ...PACKAGES], folder, INSTALL_DEADLINE_MS);
await Deno.copyFile(new URL("visit.mjs.txt", import.meta.url), `${folder}/visit.mjs`);

it("is there for every runtime", () => assert.deepEqual(runtimes.map(({ name }) => name).sort(), RUNTIMES.toSorted()));

for (const runtime of runtimes) {
  describe(`the showcase on ${runtime.name} (${runtime.version})`, () => {
    let visit: Visit;

    it("opens and is used", async () => {
      visit = await visitShowcase(runtime);
    });

    it("has no error", () => assert.deepEqual(visit.problems, []));

    it("has nothing that keeps a person out (axe)", () => assert.deepEqual(visit.violations, []));

    it("needs no scrolling sideways, on a telephone either", () => {
      assert.deepEqual(visit.widths, { light: 0, dark: 0, mobile: 0 });
    });

    it("says without JavaScript what the models are", () => assert.match(visit.withoutScript, /hybrid/));

    it("shows that silent clients stop blocking and the pool, and neither of the others", () => {
      const { lanes } = visit.runs.silent;
      assert.ok(lanes.blocking.unanswered > 0 && lanes["worker-pool"].unanswered > 0, JSON.stringify(lanes));
      assert.ok(lanes["event-driven"].unanswered === 0 && lanes.hybrid.unanswered === 0, JSON.stringify(lanes));
    });

    it("shows that with computing requests beside them", () => {
      const { lanes } = visit.runs.all;
      assert.ok(lanes.blocking.unanswered > 0 && lanes["worker-pool"].unanswered > 0, JSON.stringify(lanes));
      assert.equal(lanes.hybrid.unanswered, 0, JSON.stringify(lanes));
    });

    it("shows that threads which end are replaced", () => {
      for (const [model, { half }] of Object.entries(visit.runs.threads.lanes)) assert.notEqual(half, "–", model);
    });
  });
}

async function visitShowcase(runtime: InstalledRuntime): Promise<Visit> {
  const screenshots = `${Deno.env.get("TRIVET_SCREENSHOTS") ?? folder}/${runtime.name}`;
  await Deno.mkdir(screenshots, { recursive: true });
  const program = new ServingProgram(runtime.command(`${ROOT}/examples/showcase/main.ts`), ROOT, { PORT: "0" });
  try {
    const url = await program.listening();
    const argv = ["node", `${folder}/visit.mjs`, BROWSER, url, screenshots];
    return JSON.parse((await succeed(argv, folder, VISIT_DEADLINE_MS)).trim().split("\n").at(-1)!);
  } finally {
    await program.stop();
  }
}
