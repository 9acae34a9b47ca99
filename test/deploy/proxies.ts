/**
 * nginx and HAProxy, as Debian has them, with the configurations of `docs/deploy.md` and what these are without their
 * options.
 *
 * @module
 */

import { documented, substitute } from "./documented.ts";

/** A reverse proxy under test. */
export interface ProxyKind {
  readonly name: string;
  readonly program: "nginx" | "haproxy";
  /** Whether it speaks TLS with the servers. */
  readonly isSecured: boolean;
  /** Its configuration, with the ports of the page. */
  compose(): string;
}

/** Where the page has the proxy listen, and the servers behind it. */
export const DOCUMENTED_PORT = "8080";
export const DOCUMENTED_SERVERS: readonly string[] = ["8001", "8002", "8003"];

const KEEPALIVE_LINES = ["  keepalive 32;\n", "    proxy_http_version 1.1;\n", '    proxy_set_header Connection "";\n'];

/** Each proxy as it comes, and as it keeps or does not keep connections. */
export const PROXIES: readonly ProxyKind[] = [
  {
    name: "nginx, default",
    program: "nginx",
    isSecured: false,
    compose: () => substitute(documented("nginx.conf"), ...KEEPALIVE_LINES.map((line) => [line, ""] as const)),
  },
  {
    name: "nginx, HTTP/1.1 with keepalive 32",
    program: "nginx",
    isSecured: false,
    compose: () => documented("nginx.conf"),
  },
  { name: "HAProxy, default", program: "haproxy", isSecured: false, compose: () => documented("haproxy.cfg") },
  {
    name: "HAProxy, http-server-close",
    program: "haproxy",
    isSecured: false,
    compose: () =>
      substitute(documented("haproxy.cfg"), ["  mode http\n", "  mode http\n  option http-server-close\n"]),
  },
  // A check has as long as lies between two of them, with its handshake, which on a busy machine is more than 200 ms.
  {
    name: "HAProxy, TLS to the servers",
    program: "haproxy",
    isSecured: true,
    compose: () => substitute(documented("haproxy.cfg"), ["check inter 200ms", "ssl verify none check inter 500ms"]),
  },
];

/** Where Debian has a program that may not be in the path of a user; `null` where it is not installed. */
export async function findProgram(name: string): Promise<string | null> {
  for (const folder of ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/bin"]) {
    const path = `${folder}/${name}`;
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  return null;
}

/** A running proxy. */
export interface RunningProxy {
  stop(): Promise<void>;
}

/** Starts a proxy that listens at a port of its own. */
export async function startProxy(
  { program, compose }: ProxyKind,
  path: string,
  folder: string,
  port: number,
  servers: readonly number[],
): Promise<RunningProxy> {
  const ports = DOCUMENTED_SERVERS.map((documented, i) =>
    [`127.0.0.1:${documented}`, `127.0.0.1:${servers[i]}`] as const
  );
  const listens = program === "nginx"
    ? [`listen ${DOCUMENTED_PORT};`, `listen 127.0.0.1:${port};`] as const
    : [`bind :${DOCUMENTED_PORT}`, `bind 127.0.0.1:${port}`] as const;
  const text = substitute(compose(), ...ports, listens);
  const file = `${folder}/${program}-${port}.conf`;
  await Deno.writeTextFile(file, program === "nginx" ? await wrap(text, `${folder}/${port}`) : text);
  const args = program === "nginx" ? ["-c", file, "-e", "stderr"] : ["-db", "-f", file];
  const child = new Deno.Command(path, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  await untilListening(port, child.status);
  return {
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

/** A file of `conf.d` is part of the configuration that Debian comes with; this one needs no rights. */
async function wrap(server: string, folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((it) => `${it}_temp_path ${folder}/${it};`);
  return `daemon off; master_process off; pid ${folder}/pid;
    events {}
    http { access_log off; error_log off; ${paths.join(" ")}
    ${server}
    }`;
}

async function untilListening(port: number, ended: Promise<Deno.CommandStatus>): Promise<void> {
  let status: Deno.CommandStatus | null = null;
  ended.then((result) => status = result);
  for (const untilMs = Date.now() + 10_000;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (status !== null || Date.now() > untilMs) {
        throw new Error(`A proxy does not listen at ${port}.`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
