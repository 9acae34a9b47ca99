/**
 * What others make of what a server tells of itself, with the package as npm has it, on every runtime: Prometheus.
 *
 * It needs npm's registry, and Prometheus as Debian has it; what needs a program that is not installed is left out, and
 * counted as skipped. It runs by `deno task test:observe`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findRuntimes, installInto, makeFolder, packPackage } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { IS_PROMETHEUS_INSTALLED, lintMetrics, Prometheus } from "./prometheus.ts";

const APPS = new URL("./apps/", import.meta.url);
const MODELS = ["alone", "loops", "pool", "hybrid"];
/** What each model is asked. */
const REQUESTS: readonly (readonly [method: string, path: string])[] = [
  ["GET", "200"],
  ["POST", "201"],
  ["GET", "404"],
  ["PROPFIND", "500"],
];

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball);
for await (const { name } of Deno.readDir(APPS)) await Deno.copyFile(new URL(name, APPS), `${user}/${name}`);

if (!IS_PROMETHEUS_INSTALLED) console.log("SKIPPED: Prometheus is not installed (apt-get install prometheus).");

/** Loops of one thread tell the others what they have counted; a connection a request lets them take turns. */
async function sendRequests(urls: Readonly<Record<string, string>>): Promise<void> {
  for (const url of Object.values(urls)) {
    for (const [method, path] of REQUESTS) {
      const response = await fetch(url + path, { method, headers: { connection: "close" } });
      await response.arrayBuffer();
    }
  }
}

for (const runtime of runtimes) {
  describe(`metrics on ${runtime.name} (${runtime.version})`, { skip: !IS_PROMETHEUS_INSTALLED }, () => {
    it("are what promtool wants, and what Prometheus scrapes, in both formats and under each model", async () => {
      const program = new ServingProgram(runtime.command(`${user}/measured.mjs`), user);
      let prometheus: Prometheus | null = null;
      try {
        const url = await program.listening();
        await sendRequests(await (await fetch(`${url}urls`)).json());
        for (const model of MODELS) {
          const text = await (await fetch(`${url}metrics/${model}`)).text();
          assert.equal(await lintMetrics(text), "", `${model}:\n${text}`);
        }
        const paths = MODELS.flatMap((model) => [`/metrics/${model}`, `/plain/${model}`]);
        prometheus = new Prometheus(`${folder}/${runtime.name}`, new URL(url).host, paths);
        const wanted = (value: number) => Object.fromEntries(paths.map((path) => [path, value]));
        const isWanted = (value: number) => (values: Record<string, number>): boolean =>
          paths.every((path) => values[path] === value);
        assert.deepEqual(await prometheus.query("up", isWanted(1)), wanted(1));
        const sums: readonly (readonly [query: string, value: number])[] = [
          ["sum by (job) (trivet_requests_total)", 4],
          ['sum by (job) (trivet_requests_total{method="_OTHER",status="5xx"})', 1],
          ["sum by (job) (trivet_request_duration_seconds_count)", 4],
          ['sum by (job) (trivet_request_duration_seconds_bucket{le="+Inf"})', 4],
          ["trivet_connections_accepted_total", 4],
        ];
        for (const [query, value] of sums) {
          assert.deepEqual(await prometheus.query(query, isWanted(value)), wanted(value), query);
        }
      } finally {
        await prometheus?.stop();
        await program.stop();
      }
    });
  });
}
