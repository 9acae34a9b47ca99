/** The status page: what it sends, and what it does not. A browser looks at it in `observe_suite.ts`. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { statusPage } from "../../src/observe/status_page.ts";
import { get, startMemoryServer, text } from "../support/memory_server.ts";

async function start() {
  const { server, send } = await startMemoryServer(() => text("hello"), { metrics: true });
  const page = statusPage(server);
  const ask = (query = "", init?: RequestInit): Response => page(new Request(`http://a.test/inside${query}`, init));
  return { server, send, ask };
}

describe("the status page", () => {
  const parts: readonly (readonly [query: string, contentType: string, begins: RegExp])[] = [
    ["", "text/html; charset=utf-8", /^<!doctype html>/],
    ["?anything=else", "text/html; charset=utf-8", /^<!doctype html>/],
    ["?icon", "image/svg+xml; charset=utf-8", /^<svg /],
    ["?style", "text/css; charset=utf-8", /^\s*:root/],
    ["?script", "text/javascript; charset=utf-8", /^\s*const/],
    ["?figures", "application/json", /^\{/],
  ];
  for (const [query, contentType, begins] of parts) {
    test(`has a part at "${query}", which is not kept, nor taken for something else, and may load its own alone`, async () => {
      const { ask } = await start();
      const response = ask(query);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("content-type"), contentType);
      assert.equal(response.headers.get("cache-control"), "no-store");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.match(response.headers.get("content-security-policy")!, /^default-src 'none'; style-src 'self'; /);
      assert.match(await response.text(), begins);
    });
  }

  test("names no other place, and has no inline script, style or handler of events", async () => {
    const { ask } = await start();
    for (const query of ["", "?style", "?script"]) {
      const content = await ask(query).text();
      assert.doesNotMatch(content, /https?:|\/\/[a-z]|@import|url\(|innerHTML/);
    }
    const page = await ask().text();
    assert.deepEqual([...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, target]) => target), [
      "?icon",
      "?style",
      "?script",
    ]);
    assert.doesNotMatch(page, /<style|style=|\son[a-z]+=|<script[^>]*>[^<]/);
  });

  test("shows nothing of what clients have sent", async () => {
    const { send, ask } = await start();
    await send(get("/secret-path?secret-query", "X-Secret: secret-value", "User-Agent: secret-agent"));
    await send(get().replace("GET", "SECRET"));
    await send("SECRET NONSENSE\r\n\r\n");
    const figures = await ask("?figures").text();
    assert.doesNotMatch(figures, /secret|10\.0\.0\.2|a\.test/i);
    assert.equal(JSON.parse(figures).measured.responses.GET["2xx"], 1);
  });

  test("is only read", async () => {
    const { ask } = await start();
    assert.deepEqual([ask("", { method: "HEAD" }).status, ask("?figures", { method: "HEAD" }).status], [200, 200]);
    const refused = ask("", { method: "POST" });
    assert.deepEqual([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
  });
});
