/** Methods: handlers see what came, in both kinds of Request, and what a Request can't hold never reaches them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, HttpResponse } from "../../mod.ts";
import { nativeRequestTakes } from "../../src/web/native_request.ts";
import { get, post, startMemoryServer, statuses } from "../support/memory_server.ts";

const echo: Handler = async (request) => new HttpResponse(`${request.method} ${await request.text()}`);

for (const nativeRequest of [false, true]) {
  describe(`a method, ${nativeRequest ? "in a Request of the runtime" : "in a lazy Request"}`, () => {
    for (const method of ["GET", "PATCH", "FOO", "get", "patch", "PROPFIND", "M-SEARCH", "UPDATEREDIRECTREF"]) {
      if (nativeRequest && !nativeRequestTakes(method)) {
        test(`that a Request of this runtime would change is answered with 501: ${method}`, async () => {
          const { send, server, reported } = await startMemoryServer(echo, { nativeRequest });
          const peer = await send(get("/").replace("GET", method));
          assert.deepEqual([statuses(peer.received()), reported], [[501], []]);
          assert.deepEqual(server.stats().errors, { "method-unsupported": 1 });
        });
        continue;
      }
      test(`is handed over as it came: ${method}`, async () => {
        const { send } = await startMemoryServer(echo, { nativeRequest });
        const peer = await send(get("/").replace("GET", method));
        assert.deepEqual(statuses(peer.received()), [200]);
        assert.ok(peer.received().endsWith(`\r\n\r\n${method} `), peer.received());
      });
    }

    test("that is little known can have content", async () => {
      const { send } = await startMemoryServer(echo, { nativeRequest });
      const peer = await send(post("/", 3, "abc").replace("POST", "PROPFIND"));
      assert.ok(peer.received().endsWith("\r\n\r\nPROPFIND abc"), peer.received());
    });

    for (const method of ["CONNECT", "TRACE", "TRACK", "connect", "trace", "TrAcK"]) {
      test(`that the Fetch Standard forbids is answered with 501 before the handler: ${method}`, async () => {
        let calls = 0;
        const handler: Handler = () => {
          calls++;
          return new HttpResponse("no");
        };
        const { send, server, reported } = await startMemoryServer(handler, { nativeRequest });
        const target = /connect/i.test(method) ? "a.test:443" : "/";
        const peer = await send(get(target).replace("GET", method));
        assert.deepEqual([statuses(peer.received()), calls, reported], [[501], 0, []]);
        assert.deepEqual(server.stats().errors, { "method-unsupported": 1 });
      });
    }
  });
}

describe("a report of an error", () => {
  test("comes without the request, when that can't be made", async () => {
    const { Request: Original } = globalThis;
    const { send, clock, reported, server } = await startMemoryServer(echo, { nativeRequest: true });
    globalThis.Request = class {
      constructor() {
        throw new TypeError("No Request today.");
      }
    } as unknown as typeof Request;
    try {
      const peer = await send(get());
      await clock.settle();
      assert.deepEqual(statuses(peer.received()), [500]);
    } finally {
      globalThis.Request = Original;
    }
    assert.deepEqual(reported.map(({ code }) => code), ["handler-failed"]);
    await server.stop();
  });
});
