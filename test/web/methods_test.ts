/** A method reaches the handler as it came, or the request is refused: it is never changed (RFC 9110 section 9.1). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HttpResponse } from "../../src/web/http_response.ts";
import { nativeRequestTakes } from "../../src/web/lazy_request.ts";
import { startMemoryServer } from "../support/memory_server.ts";

const METHODS = ["POST", "get", "pAtCh", "QUERY", "BREW", "REPORT"];

describe("the method of a request", () => {
  for (const nativeRequest of [false, true]) {
    for (const method of METHODS) {
      test(`${method}${nativeRequest ? ", with nativeRequest" : ""}`, async () => {
        const seen: string[] = [];
        const { send, reported } = await startMemoryServer((request) => {
          seen.push(request.method);
          return new HttpResponse(null);
        }, { nativeRequest });
        const peer = await send(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`);
        if (!nativeRequest || nativeRequestTakes(method)) {
          assert.deepEqual(seen, [method]);
          assert.match(peer.received(), /^HTTP\/1\.1 200 /);
        } else {
          assert.deepEqual(seen, []);
          assert.match(peer.received(), /^HTTP\/1\.1 501 /);
        }
        assert.deepEqual(reported, []);
      });
    }
  }
});

describe("a handler that makes a lazy request anew where the runtime refuses it", () => {
  test("is told what to do", async () => {
    const { send, reported } = await startMemoryServer((request) => {
      void request;
      // As Node 24 and newer throw it.
      throw new TypeError("Cannot read private member #state from an object whose class did not declare it");
    });
    await send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert.match(reported[0].message, /nativeRequest/);
  });
});
