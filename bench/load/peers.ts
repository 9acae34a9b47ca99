/**
 * Servers in other languages: how each is built and started.
 *
 * @module
 */

import { runCommand } from "../../scripts/command.ts";

export interface Peers {
  /** The command for a port, by the file of the contender. */
  readonly commands: Readonly<Record<string, (port: number) => string[]>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Those that are left out, and why. */
  readonly missing: readonly string[];
}

const BUILD_DEADLINE_MS = 120_000;
const TITLES: Readonly<Record<string, string>> = {
  beast: "Boost.Beast",
  httplib: "cpp-httplib",
  go: "Go",
  nginx: "nginx",
};

/** Builds the peers whose tools are installed, and keeps what is built for the next run: a minute for a compiler. */
export async function buildPeers(names: readonly string[], beside: string): Promise<Peers> {
  const folder = `${beside}/../trivet-bench-peers`;
  await Deno.mkdir(folder, { recursive: true });
  const commands: Record<string, (port: number) => string[]> = {};
  const versions: Record<string, string> = {};
  const missing: string[] = [];
  const cwd = decodeURIComponent(new URL("../servers/peers", import.meta.url).pathname);
  const options = { cwd, deadlineMs: BUILD_DEADLINE_MS };
  for (const name of names) {
    const title = TITLES[name];
    const make = (target: string) => runCommand(["make", "--silent", `OUT=${folder}`, target], options);
    const { exitCode, output } = await make(`${folder}/${name}`);
    if (exitCode !== 0) {
      missing.push(`${title} is left out, since it can't be built: ${output.trim().split("\n", 1)[0]}`);
      continue;
    }
    commands[name] = name === "nginx" ? (port) => nginx(folder, port) : (port) => [`${folder}/${name}`, `${port}`];
    versions[title] = /\d+[._]\d+([._]\d+)?/.exec((await make(`version-${name}`)).output)?.[0] ?? "";
  }
  return { commands, versions, missing };
}

/** One worker that answers by itself and writes no log. */
function nginx(folder: string, port: number): string[] {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((each) => `${each}_temp_path ${folder};`);
  Deno.writeTextFileSync(
    `${folder}/nginx.conf`,
    `daemon off; master_process off; error_log stderr; pid ${folder}/nginx.pid; events { worker_connections 20000; }
    http { access_log off; keepalive_requests 1000000000; ${paths.join(" ")} default_type "text/plain;charset=UTF-8";
    server { listen 127.0.0.1:${port}; location / { return 200 "Hello, world!"; } } }`,
  );
  return ["nginx", "-e", "stderr", "-c", `${folder}/nginx.conf`, "-p", folder];
}
