/** What people write with the Fetch standard, over sockets: one table, the same on every runtime. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as fs from "node:fs";
import { createServer, type IncomingMessage, request as ask } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Server } from "../../src/api/server.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { createServer as createOurServer } from "../../src/server/create_server.ts";

/** Long enough for a busy machine; nothing that goes well waits for it. */
const DEADLINE_MS = 30_000;
const runtime = detectRuntime();
const folder = mkdtempSync(join(tmpdir(), "trivet-idioms-"));
const file = join(folder, "page.txt");
writeFileSync(file, "of a file");

/** An origin that says what it got. */
const origin = createServer(async (incoming, outgoing) => {
  let content = "";
  for await (const chunk of incoming) content += chunk;
  outgoing.setHeader("set-cookie", ["a=1", "b=2; Path=/"]);
  outgoing.end(`${incoming.method} ${content}`);
});
let originUrl = "";

type Fetch = (request: Request) => Response | Promise<Response>;
interface StreamInit extends RequestInit {
  duplex?: "half";
}

async function* words(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (const word of ["one ", "two"]) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    yield new TextEncoder().encode(word);
  }
}

let cached: Response | undefined;

/** An idiom, and the status and content that its answer to a POST of `legs=3` has; what else is asked of it. */
interface Idiom {
  readonly name: string;
  readonly fetch: Fetch;
  readonly status?: number;
  readonly content: string;
  readonly fields?: Readonly<Record<string, string | string[]>>;
  readonly on?: readonly string[];
}

const IDIOMS: readonly Idiom[] = [
  {
    name: "Response.redirect() to an absolute URL",
    fetch: (request) => Response.redirect(new URL("/there", request.url), 303),
    status: 303,
    content: "",
    fields: { location: "http://a.test/there" },
  },
  {
    name: "Response.json() with an init",
    fetch: () => Response.json({ legs: 3 }, { status: 201, headers: { "x-a": "1" } }),
    status: 201,
    content: '{"legs":3}',
    fields: { "x-a": "1" },
  },
  {
    name: "several Set-Cookie, appended afterwards",
    fetch() {
      const response = new Response("set");
      response.headers.append("set-cookie", "a=1");
      response.headers.append("set-cookie", "b=2; Path=/");
      return response;
    },
    content: "set",
    fields: { "set-cookie": ["a=1", "b=2; Path=/"] },
  },
  {
    name: "an async generator as a body",
    fetch: () => new Response(words() as unknown as ReadableStream, { headers: { "content-type": "text/plain" } }),
    content: "one two",
  },
  {
    name: "a stream of Node as a body",
    fetch: () => new Response(Readable.toWeb(Readable.from(words())) as unknown as ReadableStream),
    content: "one two",
  },
  { name: "the body of the request", fetch: (request) => new Response(request.body), content: "legs=3" },
  {
    name: "the body of the request, transformed",
    fetch: (request) => new Response(request.body!.pipeThrough(new TransformStream())),
    content: "legs=3",
  },
  { name: "the Blob of the request", fetch: async (request) => new Response(await request.blob()), content: "legs=3" },
  {
    name: "the body of the request, read twice by tee()",
    async fetch(request) {
      const [one, other] = request.body!.tee();
      return new Response(`${await new Response(one).text()} ${await new Response(other).text()}`);
    },
    content: "legs=3 legs=3",
  },
  {
    name: "a form, read after a clone was",
    async fetch(request) {
      const text = await request.clone().text();
      return new Response(`${text} ${(await request.formData()).get("legs")}`);
    },
    content: "legs=3 3",
  },
  {
    name: "a form, read from a clone after the request was",
    async fetch(request) {
      const clone = request.clone();
      return new Response(`${await request.text()} ${(await clone.formData()).get("legs")}`);
    },
    content: "legs=3 3",
  },
  {
    name: "a request that is passed on by its parts",
    fetch({ method, body, signal }) {
      const init: StreamInit = { method, body, signal, duplex: "half" };
      return fetch(originUrl, init);
    },
    content: "POST legs=3",
    fields: { "set-cookie": ["a=1", "b=2; Path=/"] },
  },
  {
    name: "a request that is passed on whole, as a clone",
    fetch: (request) => fetch(new Request(originUrl, request.clone())),
    content: "POST legs=3",
  },
  {
    name: "a fetched response with a field of one's own",
    async fetch() {
      const response = await fetch(originUrl);
      const own = new Response(response.body, response);
      own.headers.set("x-a", "1");
      return own;
    },
    content: "GET ",
    fields: { "x-a": "1" },
  },
  {
    name: "signals that are joined",
    async fetch(request) {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(DEADLINE_MS)]);
      return new Response(await (await fetch(originUrl, { signal })).text());
    },
    content: "GET ",
  },
  { name: "status 204", fetch: () => new Response(null, { status: 204 }), status: 204, content: "" },
  { name: "status 205", fetch: () => new Response(null, { status: 205 }), status: 205, content: "" },
  {
    name: "status 304",
    fetch: () => new Response(null, { status: 304, headers: { etag: '"a"' } }),
    status: 304,
    content: "",
    fields: { etag: '"a"' },
  },
  {
    name: "a clone of a response that is kept",
    fetch: () => (cached ??= new Response("kept", { headers: { "x-a": "1" } })).clone(),
    content: "kept",
    fields: { "x-a": "1" },
  },
  {
    name: "a response that extends Response",
    fetch: () => new (class Page extends Response {})("<p>", { headers: { "content-type": "text/html" } }),
    content: "<p>",
    fields: { "content-type": "text/html" },
  },
  { name: "a response in a promise of another kind", fetch: () => thenable(new Response("then")), content: "then" },
  {
    name: "a compressed stream",
    fetch: (request) =>
      new Response(
        request.body!.pipeThrough(new CompressionStream("gzip")).pipeThrough(new DecompressionStream("gzip")),
      ),
    content: "legs=3",
  },
  {
    name: "a file, by Bun.file()",
    fetch: () => new Response(globals.Bun!.file(file)),
    content: "of a file",
    fields: { "content-length": "9", "content-type": "text/plain;charset=utf-8" },
    on: ["bun"],
  },
  {
    name: "a direct stream of Bun",
    fetch: () =>
      new Response(
        new ReadableStream({
          type: "direct",
          async pull(controller: { write(text: string): void; close(): void }) {
            controller.write("one ");
            await new Promise((resolve) => setTimeout(resolve, 1));
            controller.write("two");
            controller.close();
          },
        } as unknown as UnderlyingDefaultSource),
      ),
    content: "one two",
    on: ["bun"],
  },
  {
    name: "a file, by Deno.open()",
    fetch: async () => new Response((await globals.Deno!.open(file)).readable),
    content: "of a file",
    on: ["deno"],
  },
  {
    // Its length is sent only if it is read soon enough: a difference that docs/differences.md lists.
    name: "a file, by openAsBlob()",
    fetch: async () => new Response(await fs.openAsBlob(file, { type: "text/plain" })),
    content: "of a file",
    fields: { "content-type": "text/plain" },
    on: ["node"],
  },
];

const globals = globalThis as {
  Bun?: { file(path: string): Blob };
  Deno?: { open(path: string): Promise<{ readable: ReadableStream }> };
};

function thenable(response: Response): Promise<Response> {
  const then = (resolve: (response: Response) => void): void => void setTimeout(() => resolve(response), 1);
  return { then } as unknown as Promise<Response>;
}

interface Answer {
  readonly status?: number;
  readonly headers: IncomingMessage["headers"];
  readonly content: string;
}

function post(port: number, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: "a.test", "content-type": "application/x-www-form-urlencoded" };
    const options = { port, path, method: "POST", headers, host: "127.0.0.1", agent: false as const };
    const outgoing = ask({ ...options, signal: AbortSignal.timeout(DEADLINE_MS) }, async (incoming) => {
      let content = "";
      for await (const chunk of incoming) content += chunk;
      resolve({ status: incoming.statusCode, headers: incoming.headers, content });
    });
    outgoing.on("error", reject);
    outgoing.end("legs=3");
  });
}

describe("what people write with the Fetch standard", () => {
  let server: Server;
  const reported: string[] = [];
  before(async () => {
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    originUrl = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/`;
    const options = {
      port: 0,
      hostname: "127.0.0.1",
      onListen: () => {},
      onError: (error: Error) => void reported.push(`${error.message} ${error.cause}`),
    };
    const handler: Fetch = (request) => IDIOMS[Number(new URL(request.url).pathname.slice(1))].fetch(request);
    server = await createOurServer(runtime, THREAD_ENTRY, options, handler).ready();
  });
  after(async () => {
    await server.shutdown({ timeout: DEADLINE_MS });
    origin.close();
    rmSync(folder, { recursive: true });
  });

  for (const { name, status = 200, content, fields = {}, on } of IDIOMS) {
    if (on !== undefined && !on.includes(runtime.name)) continue;
    const place = IDIOMS.findIndex((idiom) => idiom.name === name);
    test(`${name} is sent, as often as it is asked for`, async () => {
      for (let time = 0; time < 2; time++) {
        const answer = await post(server.port, `/${place}`);
        assert.deepEqual([answer.status, answer.content], [status, content], reported.at(-1));
        for (const [field, value] of Object.entries(fields)) assert.deepEqual(answer.headers[field], value, field);
      }
    });
  }
});
