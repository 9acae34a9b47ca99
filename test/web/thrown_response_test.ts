/** A Response that a handler throws is its response, as frameworks such as Remix and SvelteKit mean it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { get, startMemoryServer, VIRTUAL_DATE } from "../support/memory_server.ts";

const REFUSAL = { status: 403, headers: { "content-type": "text/plain;charset=UTF-8" } };
const REFUSED =
  `HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain;charset=UTF-8\r\n${VIRTUAL_DATE}Content-Length: 2\r\n\r\nno`;

const HANDLERS: readonly (readonly [string, Handler])[] = [
  ["a Response at once", () => {
    throw new Response("no", REFUSAL);
  }],
  ["a Response later", () => Promise.reject(new Response("no", REFUSAL))],
  ["an HttpResponse", () => {
    throw new HttpResponse("no", REFUSAL);
  }],
];

describe("a handler that throws", () => {
  for (const [name, handler] of HANDLERS) {
    test(`${name} answers with it, and onError is not told`, async () => {
      const { send, reported, runtime } = await startMemoryServer(handler);
      const peer = await send(get());
      await runtime.clock.settle();
      assert.equal(peer.received(), REFUSED);
      assert.deepEqual(reported, []);
    });
  }

  test("a Response that was read fails like one that is returned", async () => {
    const { send, reported } = await startMemoryServer(async () => {
      const response = new Response("no");
      await response.text();
      throw response;
    });
    const peer = await send(get());
    assert.match(peer.received(), /^HTTP\/1\.1 500 /);
    assert.deepEqual(reported.map(({ code }) => code), ["response-invalid"]);
  });

  for (const thrown of ["text", null, undefined, { status: 403, headers: {}, body: null }]) {
    test(`${JSON.stringify(thrown)} fails`, async () => {
      const { send, reported } = await startMemoryServer(() => {
        throw thrown;
      });
      const peer = await send(get());
      assert.match(peer.received(), /^HTTP\/1\.1 500 /);
      assert.deepEqual(reported.map(({ code }) => code), ["handler-failed"]);
    });
  }
});
