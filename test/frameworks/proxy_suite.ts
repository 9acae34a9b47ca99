/**
 * nginx behind a handler that returns `fetch(...)`, and nginx in front of Trivet, on every runtime.
 *
 * It needs npm's registry and nginx (`apt-get install nginx-light` on Debian, or a path in `NGINX`), and runs by
 * `deno task test:proxy`. What is missing fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { freePort } from "../support/free_port.ts";
import { ForegroundProxy } from "./foreground_proxy.ts";
import { findRuntimes, installInto, makeFolder, packPackage } from "../package/installation.ts";
import { ServingProgram } from "../package/serving_program.ts";
import { copyModules, serveCommand } from "./served_module.ts";

const NGINX = Deno.env.get("NGINX") ?? "/usr/sbin/nginx";
const DEADLINE_MS = 10_000;
const TEXT = "served by nginx ".repeat(2000);

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball);
await copyModules(user, []);

/** An nginx of this suite's own, in the foreground. */
class Nginx extends ForegroundProxy {
  readonly url: string;

  constructor(name: string, port: number, server: string) {
    const own = `${folder}/${name}`;
    Deno.mkdirSync(own, { recursive: true });
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((it) => `${it}_temp_path ${own}/${it};`);
    Deno.writeTextFileSync(
      `${own}/nginx.conf`,
      `daemon off; master_process off; pid ${own}/pid; error_log stderr;
       events {}
       http { access_log off; ${paths.join(" ")} default_type text/plain; ${server.replace("<port>", String(port))} }`,
    );
    super(NGINX, ["-p", own, "-c", `${own}/nginx.conf`], port);
    this.url = `http://127.0.0.1:${port}`;
  }
}

for (const runtime of runtimes) {
  describe(`nginx and ${runtime.name} (${runtime.version})`, () => {
    let behind: Nginx;
    let inFront: Nginx;
    let program: ServingProgram;
    let url = "";

    before(async () => {
      await Deno.writeTextFile(`${folder}/page.txt`, TEXT);
      behind = new Nginx(
        `behind_${runtime.name}`,
        freePort(),
        `gzip on; gzip_types text/plain; gzip_min_length 0;
         server { listen 127.0.0.1:<port>; root ${folder}; location /closes { keepalive_timeout 0; return 200 closes; } }`,
      );
      await behind.ready();
      await Deno.writeTextFile(
        `${user}/passes.mjs`,
        `export default { async fetch(request) {
           const { pathname } = new URL(request.url);
           if (pathname === "/echo") return new Response(request.body);
           if (pathname === "/peer") return new Response(request.headers.get("x-forwarded-for"));
           const headers = new Headers(request.headers);
           for (const name of ["host", "connection", "keep-alive", "te", "upgrade"]) headers.delete(name);
           return fetch("${behind.url}" + pathname, { method: request.method, headers, redirect: "manual" });
         } };`,
      );
      program = new ServingProgram(serveCommand(runtime, user, "passes.mjs", ["--port", "0"]), user);
      url = (await program.listening()).replace(/\/$/, "");
      inFront = new Nginx(
        `in_front_${runtime.name}`,
        freePort(),
        `client_max_body_size 8m;
         upstream trivet { server ${new URL(url).host}; keepalive 4; }
         server { listen 127.0.0.1:<port>; location / { proxy_pass http://trivet; proxy_http_version 1.1;
           proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr; proxy_request_buffering off; } }`,
      );
      await inFront.ready();
    });
    after(async () => {
      await program?.stop();
      await Promise.all([behind?.stop(), inFront?.stop()]);
    });

    const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });

    for (const way of ["from behind", "through both"]) {
      const base = (): string => way === "from behind" ? url : inFront.url;

      it(`a page that nginx compresses comes whole, ${way}`, async () => {
        const response = await ask(`${base()}/page.txt`, { headers: { "accept-encoding": "gzip" } });
        assert.equal(await response.text(), TEXT);
        assert.equal(response.headers.get("content-encoding"), null);
      });

      it(`a page comes whole without compression, with its length, ${way}`, async () => {
        const response = await ask(`${base()}/page.txt`, { headers: { "accept-encoding": "identity" } });
        assert.equal(await response.text(), TEXT);
      });

      it(`HEAD is passed on, ${way}`, async () => {
        const response = await ask(`${base()}/page.txt`, { method: "HEAD" });
        assert.equal(response.status, 200);
      });

      it(`a connection that nginx closes is its own, ${way}`, async () => {
        const response = await ask(`${base()}/closes`);
        assert.equal(await response.text(), "closes");
        assert.notEqual(response.headers.get("connection"), "close");
      });

      it(`what is not modified is said so, ${way}`, async () => {
        const first = await ask(`${base()}/page.txt`, { method: "HEAD" });
        const since = first.headers.get("last-modified") ?? "";
        const response = await ask(`${base()}/page.txt`, { headers: { "if-modified-since": since } });
        await response.body?.cancel();
        assert.equal(response.status, 304);
      });

      it(`what is not there is 404, ${way}`, async () => {
        const response = await ask(`${base()}/nothing`);
        await response.body?.cancel();
        assert.equal(response.status, 404);
      });
    }

    it("an upload goes through nginx as a stream, and comes back", async () => {
      const response = await ask(`${inFront.url}/echo`, { method: "POST", body: "x".repeat(2_000_000) });
      assert.equal((await response.text()).length, 2_000_000);
    });

    it("the peer that nginx names is seen", async () => {
      assert.equal(await (await ask(`${inFront.url}/peer`)).text(), "127.0.0.1");
    });
  });
}
