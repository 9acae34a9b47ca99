/**
 * `deno task test:deploy`: rolling restarts behind nginx and HAProxy, on every runtime. It prints the table of what was
 * lost, writes it into `docs/restarts.md`, and fails if anything was. With `--quick` fewer of the rows are run, in a
 * minute, and nothing is written.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { findProgram } from "./proxies.ts";
import { type Contender, type RestartRow, restartUnderLoad } from "./restarts.ts";
import { findContenders } from "./runners.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PAGE = new URL("../../docs/restarts.md", import.meta.url);
const MODELS = ["event-driven", "hybrid"] as const;

const isQuick = Deno.args.includes("--quick");
const programs = { nginx: await findProgram("nginx"), haproxy: await findProgram("haproxy") };
for (const [name, path] of Object.entries(programs)) {
  if (path === null) console.log(`NOT RUN behind ${name}, which is not installed: apt-get install ${name}.`);
}
if (programs.nginx === null && programs.haproxy === null) Deno.exit(0);

const folder = await Deno.makeTempDir({ prefix: "trivet-" });
const rows: RestartRow[] = [];
try {
  for (const [i, { runtime, command }] of (await findContenders()).entries()) {
    for (const [j, model] of MODELS.entries()) {
      if (isQuick && j !== i % 2) continue;
      const contender: Contender = { runtime, model, command };
      for (const row of await restartUnderLoad(contender, programs, folder)) {
        rows.push(row);
        const { total, lost, ways } = row.count;
        console.log(`${runtime}, ${model}, ${row.proxy}: ${lost} lost of ${total}`);
        for (const way of ways) console.log(`  ${way}`);
      }
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}

const lost = rows.reduce((sum, { count }) => sum + count.lost, 0);
const total = rows.reduce((sum, { count }) => sum + count.total, 0);
console.log(`\n${composeTable(rows)}\n\n${lost} lost of ${total} POSTs.`);
const failed = rows.filter(({ count }) => count.lost > 0);
for (const { runtime, model, proxy } of failed) console.log(`FAILED: ${runtime}, ${model}, ${proxy}.`);
if (!isQuick && failed.length === 0 && programs.nginx !== null && programs.haproxy !== null) await writeTable();
if (failed.length > 0) Deno.exit(1);

/** Lost of all, by proxy, and by what serves. */
function composeTable(rows: readonly RestartRow[]): string {
  const columns = [...new Set(rows.map(({ proxy }) => proxy))];
  const lines = [...new Set(rows.map(({ runtime, model }) => `${runtime}, ${model}`))];
  const cell = (line: string, column: string): string => {
    const row = rows.find(({ runtime, model, proxy }) => `${runtime}, ${model}` === line && proxy === column);
    return row === undefined ? "" : `${row.count.lost} / ${row.count.total}`;
  };
  return [
    `| lost / POSTs | ${columns.join(" | ")} |`,
    `| --- |${" ---: |".repeat(columns.length)}`,
    ...lines.map((line) => `| ${line} | ${columns.map((column) => cell(line, column)).join(" | ")} |`),
  ].join("\n");
}

async function writeTable(): Promise<void> {
  const page = await Deno.readTextFile(PAGE);
  const drawn = /(<!-- drawn: restarts -->\n)[^]*?(\n<!-- end -->)/;
  const all = `${lost} lost of ${total} POSTs, on Linux with 2 cores.`;
  await Deno.writeTextFile(PAGE, page.replace(drawn, `$1\n${composeTable(rows)}\n\n${all}\n$2`));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", fileURLToPath(PAGE)], cwd: ROOT }).output();
}
