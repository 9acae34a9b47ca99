/** Joining a lazy class to a global one, with stand-ins for a runtime's classes. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { defineInspection, forwardMissing, forwardState, linkPrototype } from "../../src/web/prototype_link.ts";

const STATE = Symbol("state");

/** Like a runtime's class: it refuses what it did not make, and keeps state under a symbol. */
class Native {
  readonly #name: string;
  [STATE] = { reads: 0 };

  constructor(name: string) {
    this.#name = name;
  }
  get shared(): string {
    return this.#name;
  }
  get own(): string {
    return this.#name;
  }
  greet(greeting: string): string {
    return `${greeting}, ${this.#name}`;
  }
}

class Lazy {
  readonly native: Native = new Native("native");
  get shared(): string {
    return "lazy";
  }
}

linkPrototype(Lazy, Native);
const lazy = new Lazy() as Lazy & Native;

describe("before anything is forwarded", () => {
  test("instanceof holds", () => assert.ok(lazy instanceof Native));

  test("an inherited getter refuses the lazy object", () => {
    assert.throws(() => lazy.own, TypeError);
  });
});

describe("forwarded", () => {
  test("what the lazy class lacks comes from the native object, what it has stays", () => {
    forwardMissing(Lazy, Native, (object) => object.native);
    assert.equal(lazy.own, "native");
    assert.equal(lazy.greet("hello"), "hello, native");
    assert.equal(lazy.shared, "lazy");
    assert.equal(lazy.constructor, Lazy);
    assert.equal(Reflect.get(Native.prototype, "own", new Native("other")), "other", "the native class is unchanged");
  });

  test("state under symbols is read from and written to the native object", () => {
    forwardState(Lazy, new Native("probe"), (object) => object.native);
    assert.equal(lazy[STATE], lazy.native[STATE]);
    const state = { reads: 1 };
    lazy[STATE] = state;
    assert.equal(lazy.native[STATE], state);
    assert.ok(!Object.hasOwn(lazy, STATE));
  });

  test("inspection shows what it was told to", () => {
    defineInspection(Lazy, (object) => ({ shown: object.shared }));
    assert.match(inspect(lazy), /shown: ["']lazy["']/);
  });
});
