/** What a handler is told that makes a lazy request anew where the runtime refuses it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startMemoryServer } from "../support/memory_server.ts";

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
