/**
 * Every fixture is fed whole, byte by byte, in two pieces and followed by a pipelined request, and has to give the same
 * result each time.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CONTENTS } from "../../fixtures/contents.ts";
import { REQUEST_HEADS, type RequestFixture } from "../../fixtures/request_heads.ts";
import { latin1, parseRequests, type ParseResult } from "../../support/parse_requests.ts";
import { splitsOf } from "../../support/splits.ts";

const NEXT_REQUEST = "GET /next HTTP/1.1\r\nHost: next.test\r\n\r\n";
const NEXT_URI = "http://next.test/next";

function assertFirst(result: ParseResult, fixture: RequestFixture): void {
  if (fixture.error !== undefined) {
    assert.deepEqual(result, { requests: [], end: fixture.error });
    return;
  }
  assert.equal(result.end, "complete");
  const [first] = result.requests;
  for (const [name, expected] of Object.entries(fixture.request ?? {})) {
    assert.deepEqual(first[name as keyof typeof first], expected, name);
  }
}

function assertFixture(fixture: RequestFixture): void {
  const bytes = latin1(fixture.input);
  const whole = parseRequests([bytes]);
  assertFirst(whole, fixture);

  const byteByByte = parseRequests(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)));
  assert.deepEqual(byteByByte, whole, "byte by byte");
  for (const at of splitsOf(bytes.byteLength)) {
    assert.deepEqual(parseRequests([bytes.subarray(0, at), bytes.subarray(at)]), whole, `split at ${at}`);
  }

  const pipelined = parseRequests([latin1(fixture.input + NEXT_REQUEST)]);
  assertFirst(pipelined, fixture);
  if (fixture.error === undefined) assert.equal(pipelined.requests[1].uri, NEXT_URI, "the pipelined request");
}

for (const [heading, fixtures] of Object.entries({ ...REQUEST_HEADS, ...CONTENTS })) {
  describe(heading, () => {
    for (const fixture of fixtures) {
      test(`${fixture.name} (RFC ${fixture.rfc})`, () => assertFixture(fixture));
    }
  });
}

describe("an input that stops early", () => {
  const complete = [...Object.values(REQUEST_HEADS), ...Object.values(CONTENTS)].flat()
    .filter((fixture) => fixture.error === undefined);
  for (const fixture of complete) {
    test(`${fixture.name}: no part of it is taken for a request`, () => {
      const bytes = latin1(fixture.input);
      for (let length = 0; length < bytes.byteLength; length++) {
        assert.deepEqual(parseRequests([bytes.subarray(0, length)]).requests, [], `the first ${length} bytes`);
      }
    });
  }
});
