/**
 * WebSockets of others on Trivet, on every runtime: hooks of crossws, by themselves and of h3, Hono's helper and `ws`
 * itself, the last two by the recipes of `docs/websocket.md` as they stand there.
 *
 * It needs npm's registry and runs by `deno task test:websocket`. What can't be installed fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  findRuntimes,
  type InstalledRuntime,
  installInto,
  makeFolder,
  packPackage,
  ROOT,
} from "../../package/installation.ts";
import { ServingProgram } from "../../package/serving_program.ts";
import { serveCommand } from "../../frameworks/served_module.ts";

/** Pinned, so that what fails was changed here. */
const PACKAGES = ["ws@8.23.0", "crossws@0.4.17", "h3@2.0.8", "hono@4.13.19"];

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, ...PACKAGES);
await Deno.writeTextFile(`${user}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
for (const name of ["crossws", "hono", "ws_itself"]) {
  await Deno.copyFile(new URL(`${name}.mjs.txt`, import.meta.url), `${user}/${name}.mjs`);
}
const page = await Deno.readTextFile(`${ROOT}/docs/websocket.md`);
await Deno.writeTextFile(`${user}/hono_recipe.mjs`, recipeOf("Hono"));
await Deno.writeTextFile(`${user}/ws_recipe.mjs`, recipeOf("ws"));

/** The first block of code under a heading. */
function recipeOf(heading: string): string {
  const found = new RegExp(`\n## ${heading}\n[^]*?\n\`\`\`js\n([^]*?)\n\`\`\``).exec(page);
  assert.ok(found !== null, `the page has a recipe for ${heading}`);
  return found[1];
}

async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      return await check();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  await check();
}

/** A client, which notes what comes. */
class Client {
  readonly log: (string | Uint8Array)[] = [];
  readonly socket: WebSocket;
  readonly closed: Promise<string>;
  #wake: () => void = () => {};

  constructor(url: string, protocols?: string[]) {
    this.socket = new WebSocket(url.replace("http", "ws"), protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => {
      this.log.push(typeof data === "string" ? data : new Uint8Array(data));
      this.#wake();
    };
    this.closed = new Promise((resolve) => {
      this.socket.onclose = ({ code, reason }) => {
        resolve(`${code} ${reason}`);
        this.#wake();
      };
    });
  }

  /** Waits for so many messages, and takes them. */
  async take(count: number): Promise<(string | Uint8Array)[]> {
    while (this.log.length < count && this.socket.readyState <= 1) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.log.splice(0, count);
  }
}

const UPGRADE = {
  connection: "upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** The response to a request for a WebSocket, which `fetch` can't make. */
async function handshake(url: string, headers: Record<string, string>): Promise<string> {
  const { port, pathname, search } = new URL(url);
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const lines = Object.entries({ host: "a.test", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await connection.write(new TextEncoder().encode(`GET ${pathname}${search} HTTP/1.1\r\n${lines}\r\n`));
  const buffer = new Uint8Array(4096);
  const count = await connection.read(buffer) ?? 0;
  connection.close();
  return new TextDecoder().decode(buffer.subarray(0, count));
}

for (const runtime of runtimes) {
  serve(runtime, "crossws", (url) => {
    it("calls hooks, with what they asked for", async () => {
      assert.equal(await (await fetch(url())).text(), "plain");
      const one = new Client(`${url()}room?name=one`, ["other", "chat.v1"]);
      assert.deepEqual(JSON.parse(String((await one.take(1))[0])), { id: 36, name: "one", ip: "127.0.0.1", peers: 1 });
      assert.equal(one.socket.protocol, "chat.v1");
      one.socket.send("hello");
      one.socket.send(Uint8Array.of(1, 2, 3));
      one.socket.send("json");
      one.socket.send("throw");
      one.socket.send("still here");
      assert.deepEqual(await one.take(4), [
        "echo hello",
        Uint8Array.of(1, 2, 3),
        "[false,1,true]",
        "echo still here",
      ]);
      one.socket.send("close");
      assert.equal(await one.closed, "4001 as you wish");
      const two = new Client(`${url()}room?name=two`);
      await two.take(1);
      two.socket.send(new Uint8Array(100_001));
      assert.match(await two.closed, /^1009/);
      const three = new Client(`${url()}room?name=three`);
      await three.take(1);
      await eventually(async () => {
        three.socket.send("log");
        assert.deepEqual(JSON.parse(String((await three.take(1))[0])), [
          "closed one 4001 as you wish",
          "failed two websocket-violation",
          "closed two 1006 ",
        ]);
      });
      three.socket.close();
      await three.closed;
    });

    it("publishes within a namespace, and to all", async () => {
      const members = [new Client(`${url()}a?name=1`), new Client(`${url()}a?name=2`), new Client(`${url()}b?name=3`)];
      for (const member of members) await member.take(1);
      members[0].socket.send("to others one");
      assert.deepEqual(await members[1].take(1), ["one"]);
      members[0].socket.send("to all two");
      for (const member of members) assert.deepEqual(await member.take(1), ["two"]);
      members[2].socket.send("quiet");
      members[2].socket.send("done");
      await members[2].take(1);
      members[0].socket.send("to all three");
      assert.deepEqual(await members[1].take(1), ["three"]);
      members[2].socket.send("again");
      assert.deepEqual(await members[2].take(1), ["echo again"]);
      for (const member of members) {
        member.socket.close();
        await member.closed;
      }
    });

    it("answers what the hook for upgrades gives or throws, and sends its fields", async () => {
      assert.match(await handshake(`${url()}?refuse`, UPGRADE), /^HTTP\/1\.1 403 .*not you$/s);
      assert.match(await handshake(`${url()}?throw`, UPGRADE), /^HTTP\/1\.1 401 .*not you either$/s);
      assert.match(await handshake(`${url()}`, UPGRADE), /^HTTP\/1\.1 101 .*x-greeting: hello\r\n/s);
      assert.match(await handshake(`${url()}`, { ...UPGRADE, "sec-websocket-version": "8" }), /^HTTP\/1\.1 426 /);
    });

    it("gives h3 its WebSockets", async () => {
      assert.equal(await (await fetch(`${url()}h3`)).text(), "hello from h3");
      assert.equal((await fetch(`${url()}h3/chat`)).status, 426);
      const client = new Client(`${url()}h3/chat`);
      client.socket.onopen = () => client.socket.send("hi");
      assert.deepEqual(await client.take(2), ["welcome to /h3/chat", "h3: hi"]);
      client.socket.close();
      await client.closed;
      assert.match(await handshake(`${url()}h3/nothing`, UPGRADE), /^HTTP\/1\.1 404 /);
    });
  });

  serve(runtime, "hono", (url) => {
    it("upgrades by Hono's helper", async () => {
      assert.equal(await (await fetch(`${url()}ws/you`)).text(), "no WebSocket");
      const client = new Client(`${url()}ws/you`);
      assert.deepEqual(await client.take(1), ["welcome you 1 /ws/you"]);
      client.socket.send("text");
      client.socket.send(Uint8Array.of(4, 5));
      assert.deepEqual(await client.take(2), ["text", Uint8Array.of(4, 5)]);
      client.socket.send("close");
      assert.equal(await client.closed, "4002 as you wish");
      // The server hears of the end behind its client.
      await eventually(async () => {
        assert.deepEqual(await (await fetch(`${url()}log`)).json(), ["4002 as you wish"]);
      });
    });
  });

  // Bun has a module of its own in place of ws, which takes no other socket than those of its own server.
  if (runtime.name === "bun") continue;
  serve(runtime, "ws_itself", (url) => {
    it("lets ws speak on a connection of Trivet", async () => {
      assert.equal(await (await fetch(url())).text(), "plain");
      const client = new Client(`${url()}chat`);
      assert.deepEqual(await client.take(1), ["welcome to /chat"]);
      const long = new Uint8Array(300_000).map((_, i) => i % 251);
      client.socket.send("text");
      client.socket.send(long);
      assert.deepEqual(await client.take(2), ["text", long]);
      client.socket.send("close");
      assert.equal(await client.closed, "4003 as you wish");
      const leaves = new Client(`${url()}chat`);
      await leaves.take(1);
      leaves.socket.close(1000, "bye");
      assert.equal(await leaves.closed, "1000 bye");
      assert.match(await handshake(url(), { ...UPGRADE, "sec-websocket-version": "7" }), /^HTTP\/1\.1 (?:400|426) /);
      assert.match(await handshake(url(), { ...UPGRADE, "sec-websocket-key": "short" }), /^HTTP\/1\.1 400 /);
    });
  });
}

/** A module served by `trivet serve`, and what is asked of it. */
function serve(runtime: InstalledRuntime, name: string, check: (url: () => string) => void): void {
  describe(`${name} on ${runtime.name} (${runtime.version})`, () => {
    let program: ServingProgram;
    let url = "";

    before(async () => {
      program = new ServingProgram(serveCommand(runtime, user, `${name}.mjs`, ["--port", "0"]), user);
      url = await program.listening();
    });

    after(async () => {
      assert.equal(await program.stop(), 0, program.output);
    });

    check(() => url);
  });
}
