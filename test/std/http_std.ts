/**
 * Handlers of @std/http on Trivet, on Deno only.
 *
 * It runs by `deno task test:std` where JSR is reachable, or with `--import-map` and a map to a checkout of @std. Where
 * neither is so, the tests are ignored and one line says why.
 *
 * @module
 */

import { type Handler, serve } from "../../mod.ts";
import { loadStd, type Std } from "./std_modules.ts";

const FILE = "0123456789abcdef".repeat(8_192);

const std = await loadStd();
if (typeof std === "string") console.log(`The tests with @std did not run, because it is out of reach: ${std}`);

/** A test that needs @std, ignored without it; it fails too if it leaves a file or a connection open. */
function test(name: string, body: (std: Std) => Promise<void>): void {
  Deno.test({ name, ignore: typeof std === "string", sanitizeResources: true, fn: () => body(std as Std) });
}

/** Serves with a handler while a function uses the server. */
async function serving(handler: Handler, use: (url: string) => Promise<void>): Promise<void> {
  await using server = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler).ready();
  await use(server.url);
}

/** Serves a folder with a page, a large file, a hidden file and a folder. */
async function servingFolder({ http }: Std, use: (url: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "trivet_std_" });
  try {
    await Deno.mkdir(`${folder}/pages`);
    await Deno.writeTextFile(`${folder}/index.html`, "<h1>index</h1>");
    await Deno.writeTextFile(`${folder}/large.txt`, FILE);
    await Deno.writeTextFile(`${folder}/.hidden`, "hidden");
    await Deno.writeTextFile(`${folder}/pages/ünï.json`, "{}");
    const options = { fsRoot: folder, showDirListing: true, enableCors: true, quiet: true, headers: ["x-added: yes"] };
    await serving((request) => http.serveDir(request, options), (url) => use(url, folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

test("serveDir gives files with their type, length and tag", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals, assertMatch } = std.assert;
    const response = await fetch(`${url}large.txt`);
    assertEquals(await response.text(), FILE);
    assertEquals(response.headers.get("content-length"), String(FILE.length));
    assertEquals(response.headers.get("transfer-encoding"), null);
    assertMatch(response.headers.get("content-type")!, /^text\/plain/);
    assertMatch(response.headers.get("etag")!, /^(?:W\/)?".+"$/);
    assertEquals(response.headers.get("accept-ranges"), "bytes");
    assertEquals(response.headers.get("access-control-allow-origin"), "*");
    assertEquals(response.headers.get("x-added"), "yes");
  }));

test("serveDir answers HEAD with the length of GET and no content", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals } = std.assert;
    const response = await fetch(`${url}large.txt`, { method: "HEAD" });
    assertEquals([response.status, await response.text()], [200, ""]);
    assertEquals(response.headers.get("content-length"), String(FILE.length));
  }));

test("serveDir gives an index, a list, and names that are not ASCII", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals, assertStringIncludes } = std.assert;
    assertEquals(await (await fetch(url)).text(), "<h1>index</h1>");
    assertStringIncludes(await (await fetch(`${url}pages/`)).text(), "ünï.json");
    assertEquals(await (await fetch(`${url}pages/${encodeURIComponent("ünï.json")}`)).json(), {});
  }));

test("serveDir redirects a folder without a slash, hides what is hidden, and knows what is missing", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals } = std.assert;
    const redirect = await fetch(`${url}pages`, { redirect: "manual" });
    assertEquals([redirect.status, redirect.headers.get("location")], [301, `${url}pages/`]);
    await redirect.body?.cancel();
    for (const path of [".hidden", "missing.txt", "..%2f..%2fetc%2fpasswd"]) {
      const response = await fetch(url + path);
      assertEquals([path, response.status], [path, 404]);
      await response.body?.cancel();
    }
    const refused = await fetch(`${url}large.txt`, { method: "DELETE" });
    assertEquals(refused.status, 405);
    await refused.body?.cancel();
  }));

test("serveDir gives ranges", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals } = std.assert;
    const last = FILE.length - 1;
    const ranges: readonly (readonly [string, string, string])[] = [
      ["bytes=0-4", FILE.slice(0, 5), `bytes 0-4/${FILE.length}`],
      ["bytes=-3", FILE.slice(-3), `bytes ${last - 2}-${last}/${FILE.length}`],
      [`bytes=${last}-`, FILE.slice(-1), `bytes ${last}-${last}/${FILE.length}`],
      ["bytes=1-70000", FILE.slice(1, 70_001), `bytes 1-70000/${FILE.length}`],
    ];
    for (const [range, content, contentRange] of ranges) {
      const response = await fetch(`${url}large.txt`, { headers: { range } });
      assertEquals(response.status, 206);
      assertEquals(await response.text(), content);
      assertEquals(response.headers.get("content-range"), contentRange);
      assertEquals(response.headers.get("content-length"), String(content.length));
    }
    const beyond = await fetch(`${url}large.txt`, { headers: { range: `bytes=${FILE.length}-` } });
    assertEquals([beyond.status, beyond.headers.get("content-range")], [416, `bytes */${FILE.length}`]);
    await beyond.body?.cancel();
  }));

test("serveDir answers 304 to whom has the entity already", (std) =>
  servingFolder(std, async (url) => {
    const { assertEquals } = std.assert;
    const first = await fetch(`${url}large.txt`);
    await first.body?.cancel();
    const conditions: readonly Record<string, string>[] = [
      { "if-none-match": first.headers.get("etag")! },
      { "if-modified-since": first.headers.get("last-modified")! },
    ];
    for (const headers of conditions) {
      const response = await fetch(`${url}large.txt`, { headers });
      assertEquals([response.status, await response.text()], [304, ""]);
      assertEquals(response.headers.get("etag"), first.headers.get("etag"));
    }
  }));

test("serveDir closes the file when the peer goes away in the middle", (std) =>
  servingFolder(std, async (url, folder) => {
    await Deno.writeFile(`${folder}/huge.bin`, new Uint8Array(8 * 1024 * 1024));
    const abort = new AbortController();
    const response = await fetch(`${url}huge.bin`, { signal: abort.signal });
    await response.body!.getReader().read();
    abort.abort();
  }));

test("serveFile gives one file, also to a request with content", (std) =>
  servingFolder(std, async (_url, folder) => {
    const { assertEquals } = std.assert;
    await serving((request) => std.http.serveFile(request, `${folder}/index.html`), async (url) => {
      assertEquals(await (await fetch(url)).text(), "<h1>index</h1>");
      const response = await fetch(url, { method: "POST", body: "x".repeat(100_000) });
      assertEquals(response.status, 405);
      await response.body?.cancel();
    });
  }));

test("route finds the handler by path and method, and hands on what Trivet tells", ({ assert, http }) => {
  const routes = [
    { pattern: new URLPattern({ pathname: "/about" }), handler: () => new Response("about") },
    {
      pattern: new URLPattern({ pathname: "/users/:id" }),
      method: ["GET", "PUT"],
      handler: async (request: Request, params: URLPatternResult, info?: unknown) =>
        Response.json({
          id: params.pathname.groups.id,
          content: await request.text(),
          hostname: (info as { remoteAddr: { hostname: string } }).remoteAddr.hostname,
        }),
    },
  ];
  const handler = http.route(routes, ({ method }) => new Response(`none for ${method}`, { status: 404 }));
  return serving(handler, async (url) => {
    assert.assertEquals(await (await fetch(`${url}about?x=1`)).text(), "about");
    const put = await fetch(`${url}users/7`, { method: "PUT", body: "content" });
    assert.assertEquals(await put.json(), { id: "7", content: "content", hostname: "127.0.0.1" });
    const post = await fetch(`${url}users/7`, { method: "POST" });
    assert.assertEquals([post.status, await post.text()], [404, "none for POST"]);
  });
});

test("cookies are read, set several at a time, and deleted", ({ assert, http }) =>
  serving((request) => {
    const headers = new Headers();
    http.setCookie(headers, { name: "first", value: "1", httpOnly: true, sameSite: "Lax", maxAge: 60 });
    http.setCookie(headers, { name: "second", value: "2", secure: true });
    http.deleteCookie(headers, "third");
    return Response.json(http.getCookies(request.headers), { headers });
  }, async (url) => {
    const response = await fetch(url, { headers: { cookie: "a=1; b=two" } });
    assert.assertEquals(await response.json(), { a: "1", b: "two" });
    const [first, second, third, ...others] = response.headers.getSetCookie();
    assert.assertMatch(first, /^first=1; .*HttpOnly/);
    assert.assertMatch(second, /^second=2; Secure/);
    assert.assertMatch(third, /^third=; Expires=Thu, 01 Jan 1970/);
    assert.assertEquals(others, []);
  }));

test("server-sent events arrive as they are sent, and their source ends when the peer goes away", async (std) => {
  const { assert: { assertEquals }, http } = std;
  const cancelled = Promise.withResolvers<void>();
  let wanted = Promise.withResolvers<void>();
  let sentCount = 0;
  let isGone = false;
  // While the peer is there, each event but the first is made only when the one before has arrived. A peer that has only
  // ended its side may still listen, so that it takes a further write to find out that it is gone.
  const source = () =>
    new ReadableStream({
      async pull(controller) {
        if (sentCount > 0 && !isGone) await wanted.promise;
        wanted = Promise.withResolvers();
        controller.enqueue({ event: "tick", data: `tick\n${sentCount}`, id: sentCount++ });
      },
      cancel: () => cancelled.resolve(),
    }, { highWaterMark: 0 });
  await serving(() =>
    new Response(source().pipeThrough(new http.ServerSentEventStream()), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
    }), async (url) => {
    const abort = new AbortController();
    const response = await fetch(url, { signal: abort.signal });
    assertEquals(response.headers.get("content-type"), "text/event-stream");
    const events = response.body!.pipeThrough(new http.ServerSentEventParseStream()).getReader();
    for (const id of ["0", "1", "2"]) {
      const { value } = await events.read();
      assertEquals({ ...value }, { ...value, id, event: "tick", data: `tick\n${id}` });
      wanted.resolve();
    }
    isGone = true;
    wanted.resolve();
    abort.abort();
    await events.closed.catch(() => {});
    await cancelled.promise;
  });
});

test("an entity tag of one's own answers 304", ({ assert, http }) =>
  serving(async (request) => {
    const tag = await http.eTag("entity");
    if (http.ifNoneMatch(request.headers.get("if-none-match"), tag)) {
      return new Response("entity", { headers: { etag: tag! } });
    }
    return new Response(null, { status: 304, headers: { etag: tag! } });
  }, async (url) => {
    const first = await fetch(url);
    assert.assertEquals(await first.text(), "entity");
    const again = await fetch(url, { headers: { "if-none-match": first.headers.get("etag")! } });
    assert.assertEquals([again.status, await again.text()], [304, ""]);
    assert.assertEquals(again.headers.get("content-length"), null);
  }));

test("content is negotiated by the fields of the request", ({ assert, http }) =>
  serving((request) => new Response(http.accepts(request, "text/html", "application/json") ?? "none"), async (url) => {
    const accepted = async (accept: string) => await (await fetch(url, { headers: { accept } })).text();
    assert.assertEquals(await accepted("application/json, text/html;q=0.5"), "application/json");
    assert.assertEquals(await accepted("text/*"), "text/html");
    assert.assertEquals(await accepted("image/png"), "none");
  }));
