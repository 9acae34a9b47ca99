/**
 * How much there is to read on the way of a request through the package.
 *
 * The counting needs Deno, which has the parser; the server whose calls are counted runs on the machine's Node.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Call, countCalls, MOST, traceCalls } from "../scripts/count_calls.ts";

const call = (file: string): Call => ({ file, line: 1, name: "f" });

describe("the counting of calls", () => {
  test("counts calls, changes from one file to another, and the connection's own share", () => {
    const calls = [
      "runtime/node.ts",
      "src/http1/connection/http1_connection.ts",
      "src/http1/connection/http1_connection.ts",
      "src/http1/codec/request_head.ts",
      "src/http1/connection/request_decoder.ts",
      "src/http1/connection/outbound.ts",
      "src/exchange/exchange.ts",
      "runtime/node.ts",
    ].map(call);
    assert.deepEqual(countCalls(calls), { calls: 8, fileChanges: 6, inConnection: 3 });
    assert.deepEqual(countCalls([]), { calls: 0, fileChanges: 0, inConnection: 0 });
  });
});

if ("Deno" in globalThis) {
  test("a GET with a small response passes through no more calls and files than it is allowed to", async () => {
    const calls = await traceCalls(decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, ""));
    const counts = countCalls(calls);
    const found = `${JSON.stringify(counts)}, allowed are ${JSON.stringify(MOST)}; deno task count --trace lists them`;
    assert.match(calls[0].file, /^runtime\/node_net\.ts$/, "it begins where the adapter reads");
    assert.ok(calls.some(({ file }) => file.startsWith("src/http1/codec/")), "the protocol is among it");
    for (const name of ["calls", "fileChanges", "inConnection"] as const) {
      assert.ok(counts[name] <= MOST[name], `${name}: ${found}`);
    }
  });
}
