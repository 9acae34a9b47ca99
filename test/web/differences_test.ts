/** Where the runtimes differ, as docs/differences.md has it: a row that fails says that the page has to change. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";

const runtime = detectRuntime();
const { name } = runtime;
const major = Number.parseInt(runtime.version);
const isOldNode = name === "node" && major < 22;

/** Whether the URL Standard as the runtime has it takes a host. */
function takesHost(host: string): boolean {
  return URL.canParse(`http://\xe4.${host}/`);
}

describe("hosts whose Punycode depends on the version of Unicode", () => {
  for (
    const [host, isTaken] of [
      ["xn--test-", isOldNode],
      ["xn--a-0hc", isOldNode],
      ["1.xn--mgbaam7a8h", name === "node"],
      ["xn--xn---epa", name === "deno" || isOldNode],
      ["xn--a", false],
      ["xn--mgbaam7a8h", true],
    ] as const
  ) {
    test(`${host} is ${isTaken ? "taken" : "refused"} here`, () => assert.equal(takesHost(host), isTaken));
  }
});

describe("the codings that fetch has decoded", () => {
  const { decodes } = runtime.responseContents(Response);
  for (
    const [codings, isDecoded] of [
      ["gzip", true],
      ["br", true],
      ["deflate", name !== "deno"],
      ["zstd", name === "bun" || (name === "node" && major >= 24)],
      ["gzip, br", name === "node"],
      ["rot13", false],
    ] as const
  ) {
    test(`${codings} is ${isDecoded ? "one" : "none"} here`, () => assert.equal(decodes(codings), isDecoded));
  }
});

describe("Bun's Blob", () => {
  for (const type of ["text/plain", "application/json"]) {
    test(`adds a charset to ${type}`, () => {
      assert.equal(new Blob([], { type }).type, name === "bun" ? `${type};charset=utf-8` : type);
    });
  }
});

describe("forms, as the runtime reads them", () => {
  async function readNatively(content: string): Promise<string> {
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    try {
      const form = await new Response(content, { headers }).formData();
      return [...form].map(([name, value]) => `${name} is ${typeof value === "string" ? "text" : "a file"}`).join();
    } catch {
      return "refused";
    }
  }

  test("a file whose name stands without quotation marks", async () => {
    const content = "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nx\r\n--b--\r\n";
    const expected = { bun: "a; filename=f is text", node: isOldNode ? "refused" : "a is a file" };
    assert.equal(await readNatively(content), name in expected ? expected[name as "bun"] : "a is a file");
  });

  test("a form that was cut off", async () => {
    const content = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n';
    assert.equal(await readNatively(content), name === "deno" ? "" : "refused");
  });
});
