/** What a peer gets for each error, and who is to blame. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Blame, type ErrorCode, TrivetError } from "../../src/api/errors.ts";

/** Codes by their blame and status; `null` where no response can be sent any more. */
const EXPECTED: readonly (readonly [Blame, number | null, readonly ErrorCode[]])[] = [
  ["peer", 400, [
    "request-line-invalid",
    "request-target-invalid",
    "version-invalid",
    "field-line-invalid",
    "host-missing",
    "host-repeated",
    "host-invalid",
    "content-length-invalid",
    "content-length-repeated",
    "content-length-with-transfer-encoding",
    "transfer-encoding-invalid",
    "transfer-encoding-in-http-1-0",
    "chunk-invalid",
    "chunk-extensions-too-long",
    "message-incomplete",
  ]],
  ["peer", 413, ["content-too-large"]],
  ["peer", 414, ["request-target-too-long"]],
  ["peer", 421, ["misdirected"]],
  ["peer", 417, ["expectation-unknown"]],
  ["peer", 431, ["field-section-too-large", "too-many-field-lines"]],
  ["peer", 501, ["method-unsupported", "transfer-coding-unknown"]],
  ["peer", 505, ["version-unsupported"]],
  ["peer", null, ["peer-disconnected"]],
  ["timeout", 408, ["head-timeout", "content-timeout", "data-rate-too-low"]],
  ["timeout", 503, ["handler-timeout"]],
  ["timeout", null, ["write-timeout", "shutdown-timeout"]],
  ["handler", 500, [
    "handler-failed",
    "response-invalid",
    "response-field-invalid",
    "response-content-failed",
    "response-content-length-mismatch",
    "upgrade-not-requested",
    "too-late",
  ]],
  ["handler", 503, ["thread-lost"]],
  ["handler", null, ["thread-crashed", "module-invalid"]],
  ["overload", 503, ["connection-limit", "queue-full", "draining"]],
  ["transport", null, ["listen-failed", "accept-failed", "log-failed", "not-listening"]],
];

for (const [blame, status, codes] of EXPECTED) {
  for (const code of codes) {
    test(`${code} is the doing of the ${blame}, and is answered with ${status ?? "nothing"}`, () => {
      const error = new TrivetError(code, "A message.");
      assert.deepEqual([error.blame, error.status], [blame, status]);
    });
  }
}
