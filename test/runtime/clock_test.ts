/** The end of a turn of the event loop, as the adapter of the runtime this runs on tells it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";

const { clock, name } = detectRuntime();

describe(`what is deferred on ${name}`, () => {
  test("is called in its order when the turn is over, and promises settle between two callbacks", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.defer(() => {
        order.push("first");
        queueMicrotask(() => order.push("microtask"));
        Promise.resolve().then(() => {}).then(() => order.push("promise"));
      });
      clock.defer(() => order.push("second"));
      clock.defer(resolve);
      queueMicrotask(() => order.push("this turn"));
    });
    assert.deepEqual(order, ["this turn", "first", "microtask", "promise", "second"]);
  });

  test("within a callback is called in another turn", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.defer(() => {
        clock.defer(() => {
          order.push("next turn");
          resolve();
        });
        order.push("this turn");
      });
      clock.defer(() => order.push("this turn too"));
    });
    assert.deepEqual(order, ["this turn", "this turn too", "next turn"]);
  });
});
