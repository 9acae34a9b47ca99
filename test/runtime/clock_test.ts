/** The end of a turn of the event loop, as the adapter of the runtime this runs on tells it. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
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

describe(`the async context on ${name}`, () => {
  const storage = new AsyncLocalStorage<string>();
  const run = async (act: (see: () => void) => void): Promise<(string | undefined)[]> => {
    const seen: (string | undefined)[] = [];
    // What keeps the context is loaded where it is not there at once.
    await new Promise<void>((resolve) => void clock.after(1, resolve));
    storage.run("of a request", () => act(() => void seen.push(storage.getStore())));
    await new Promise<void>((resolve) => clock.defer(resolve));
    return seen;
  };

  test("of what is deferred is not that of the code which has asked for it", async () => {
    const seen = await run((see) => {
      clock.defer(see);
      clock.defer(see);
    });
    assert.deepEqual(seen, [undefined, undefined]);
  });

  test("of what is called apart is neither that of its caller nor that of the call before", async () => {
    const seen = await run((see) => {
      for (let i = 0; i < 2; i++) {
        clock.callApart(() => {
          see();
          storage.enterWith("of a call");
        });
      }
      see();
    });
    assert.deepEqual(seen, [undefined, undefined, "of a request"]);
  });
});
