/**
 * nginx and HAProxy in front, configured as docs/behind-a-proxy.md shows it, on every runtime: whom a handler is told of.
 *
 * It needs both as Debian has them, and runs by `deno task test:proxy`. What is missing fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TEST_RUNTIMES } from "../../scripts/test_runtimes.ts";
import { ask } from "../fixtures/tls_features.ts";
import { freePort } from "../support/free_port.ts";
import { ForegroundProxy } from "./foreground_proxy.ts";
import { ROOT } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";

const NGINX = Deno.env.get("NGINX") ?? "/usr/sbin/nginx";
const HAPROXY = Deno.env.get("HAPROXY") ?? "/usr/sbin/haproxy";
/** How each runtime runs the command from its source. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  "deno": ["run", "--quiet", "--allow-all", "--no-check", "--no-lock"],
  "bun": ["run"],
  "node@24": ["--disable-warning=ExperimentalWarning"],
};
/** The machine's own address, from which a client is none of loopback. */
const OWN_ADDRESS =
  Deno.networkInterfaces().find(({ family, address }) => family === "IPv4" && !address.startsWith("127."))?.address ??
    null;

const page = await Deno.readTextFile(`${ROOT}/docs/behind-a-proxy.md`);
const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trivet_in_front_" }));
after(() => Deno.remove(folder, { recursive: true }));
await Deno.writeTextFile(`${folder}/cert.pem`, TEST_SERVER_CERT);
await Deno.writeTextFile(`${folder}/key.pem`, TEST_SERVER_KEY);
await Deno.writeTextFile(
  `${folder}/app.mjs`,
  `export default { fetch: (request, { remoteAddr, peerAddr }) =>
     Response.json({ url: request.url, remote: remoteAddr, peer: peerAddr }) };`,
);

/** The block of the page in a language, with this port in place of its own. */
function configuration(language: string, port: number): string {
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms").exec(page)?.[1];
  assert.ok(block !== undefined, `the page shows no ${language}`);
  return block.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`);
}

/** Starts a proxy with a configuration for the port that it takes. */
function startProxy(
  program: string,
  args: (configurationPath: string) => string[],
  configure: (port: number) => string,
): ForegroundProxy {
  const port = freePort();
  const path = `${folder}/${port}.conf`;
  Deno.writeTextFileSync(path, configure(port));
  return new ForegroundProxy(program, args(path), port);
}

function startNginx(name: string, port: number): ForegroundProxy {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((it) =>
    `${it}_temp_path ${folder}/${name}_${it};`
  );
  return startProxy(
    NGINX,
    (path) => ["-p", folder, "-c", path],
    (own) =>
      `daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr; events {}
     http { access_log off; ${paths.join(" ")} server { listen ${own}; ${configuration("nginx", port)} } }`,
  );
}

function startHaproxy(port: number, version: "send-proxy" | "send-proxy-v2"): ForegroundProxy {
  return startProxy(HAPROXY, (path) => ["-db", "-f", path], (own) =>
    `global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend all
  bind 127.0.0.1:${own}
  default_backend trivet
${configuration("haproxy", port).replace("send-proxy-v2", version)}`);
}

interface Told {
  readonly url: string;
  readonly remote: Deno.NetAddr;
  readonly peer: Deno.NetAddr;
}

for (const runtime of TEST_RUNTIMES.filter(({ name }) => name in FLAGS)) {
  describe(`in front of ${runtime.name}`, () => {
    const programs: ServingProgram[] = [];
    let command: string[] = [];

    before(async () => {
      const { path } = await runtime.find(ROOT);
      command = [path, ...FLAGS[runtime.name], `${ROOT}/src/entry/cli.ts`];
    });
    after(() => Promise.all(programs.map((program) => program.stop())));

    const serve = async (...options: string[]): Promise<number> => {
      const program = new ServingProgram([...command, "app.mjs", "--port=0", "--host=127.0.0.1", ...options], folder);
      programs.push(program);
      return Number(new URL(await program.listening()).port);
    };

    it("nginx tells the client's address and scheme, whatever the client says", async () => {
      const nginx = startNginx(`nginx_${runtime.name}`, await serve("--trust-proxy=loopback"));
      try {
        await nginx.ready();
        const hostname = OWN_ADDRESS ?? "127.0.0.1";
        const lies: Record<string, string> = OWN_ADDRESS === null
          ? {}
          : { "x-forwarded-for": "1.1.1.1", "x-forwarded-proto": "https" };
        const response = await fetch(`http://${hostname}:${nginx.port}/a?b`, { headers: lies });
        const { url, remote, peer }: Told = await response.json();
        assert.deepEqual([url, remote.hostname, peer.hostname], [`http://${hostname}/a?b`, hostname, "127.0.0.1"]);
      } finally {
        await nginx.stop();
      }
    });

    for (const version of ["send-proxy", "send-proxy-v2"] as const) {
      it(`HAProxy tells the client's address before TLS, and nothing else may connect: ${version}`, async () => {
        const port = await serve("--proxy-protocol=loopback", "--tls-cert=cert.pem", "--tls-key=key.pem");
        const haproxy = startHaproxy(port, version);
        try {
          await haproxy.ready();
          const { url, remote, peer }: Told = JSON.parse((await ask(haproxy.port)).body);
          assert.deepEqual([url, remote.hostname, peer.hostname], ["https://a.test/", "127.0.0.1", "127.0.0.1"]);
          assert.notEqual(remote.port, peer.port);
          await assert.rejects(ask(port), "there was no header");
        } finally {
          await haproxy.stop();
        }
      });
    }
  });
}
