/**
 * What TLS costs: the time on a processor that a server takes for a request, on a connection that is kept and on one of
 * its own, beside the runtime's own server with TLS.
 *
 * Usage: `deno run -A bench/tls.ts [--rounds=3] [--runtime=deno,bun,node] [--name=tls]`. It needs Linux and wrk, and takes
 * about a minute. Results are written when a name is given.
 *
 * @module
 */

import { CpuClock } from "./process_figures.ts";
import { amount, choice, NAME, runProgram } from "./program.ts";
import { figure, median, type Report, versionsOf } from "./report.ts";
import { describeSource, findRuntimes, RUNTIME_NAMES, RUNTIME_TITLES } from "./runtimes.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../test/support/test_certificates.ts";

const SERVERS = ["trivet", "own"] as const;
const LOADS = [["kept", []], ["new", ["-H", "Connection: close"]]] as const;
const CONNECTIONS = 64;
const WARM_UP_SECONDS = 1;
const SECONDS = 1;

const OPTIONS = { rounds: amount(3, 20), runtime: choice(RUNTIME_NAMES, (name) => name), name: NAME };

/** One server, loaded once. */
async function measure(argv: readonly string[], env: Record<string, string>, load: readonly string[]): Promise<number> {
  const child = new Deno.Command(argv[0], { args: argv.slice(1), env, stdin: "piped", stdout: "piped", stderr: "null" })
    .spawn();
  try {
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const port = Number((await reader.read()).value);
    const clock = new CpuClock(child.pid);
    await count(port, WARM_UP_SECONDS, load);
    const before = clock.read().seconds;
    const requests = await count(port, SECONDS, load);
    return (clock.read().seconds - before) / requests * 1e6;
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

/** Loads a server, and counts the answers. */
async function count(port: number, seconds: number, load: readonly string[]): Promise<number> {
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, ...load, `https://127.0.0.1:${port}/`];
  const { stdout } = await new Deno.Command("wrk", { args }).output();
  const [, requests] = /(\d+) requests in/.exec(new TextDecoder().decode(stdout)) ?? [];
  if (!(Number(requests) > 0)) throw new Error(`wrk has no answers from port ${port}.`);
  return Number(requests);
}

await runProgram(OPTIONS, async ({ rounds, runtime: names, name }, { root, folder, say }) => {
  const runtimes = await findRuntimes(names, root, folder);
  const figures: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const runtime of runtimes) {
      for (const server of SERVERS) {
        for (const [kind, load] of LOADS) {
          const env = { CERT: TEST_SERVER_CERT, KEY: TEST_SERVER_KEY, SERVER: server, TRIVET: runtime.trivet };
          const argv = [...runtime.command, `${folder}/bench/servers/tls.mjs`];
          (figures[`${runtime.name} ${server} ${kind}`] ??= []).push(await measure(argv, env, load));
        }
      }
      say(`Round ${round + 1}: ${RUNTIME_TITLES[runtime.name]} is done.`);
    }
  }
  const of = (key: string): string => figure(median(figures[key]), 0);
  const report: Report = {
    title: "TLS",
    method: `${CONNECTIONS} connections, the median of ${rounds} rounds.`,
    versions: await versionsOf(runtimes, root, await describeSource(root)),
    sections: [{
      title: "Microseconds on a processor for a request over TLS 1.3",
      head: ["runtime", "Trivet, kept", "own server, kept", "Trivet, new connection", "own server, new connection"],
      rows: runtimes.map(({ name, title }) => [
        title,
        ...LOADS.flatMap(([kind]) => SERVERS.map((server) => of(`${name} ${server} ${kind}`))),
      ]),
    }],
    problems: [],
    figures,
  };
  return { report, name };
});
