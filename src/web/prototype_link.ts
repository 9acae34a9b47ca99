/**
 * Joins a lazy class to the global class whose interface it has, so that `instanceof` holds.
 *
 * It decides what a lazy class inherits and must not know which class that is. No global is changed: only the lazy
 * class gets another prototype. This is done when a server starts and not on import, since the first touch of the
 * global loads the whole Fetch implementation on one runtime (20 to 90 ms).
 *
 * @module
 */

/** A class, seen as what its objects inherit from. */
interface ClassOf<Instance extends object> {
  readonly prototype: Instance;
}

/** Puts the prototype of the global class above that of the lazy class. */
export function linkPrototype(lazy: ClassOf<object>, native: ClassOf<object>): void {
  Object.setPrototypeOf(lazy.prototype, native.prototype);
}

/**
 * Decides what is shown of a lazy object when it is logged. What is inherited asks private fields, which a lazy object
 * lacks, or shows a list of getters; and it should take nothing.
 */
export function defineInspection<Lazy extends object>(lazy: ClassOf<Lazy>, show: (object: Lazy) => object): void {
  Object.defineProperty(lazy.prototype, Symbol.for("nodejs.util.inspect.custom"), {
    configurable: true,
    writable: true,
    value(this: Lazy): object {
      return show(this);
    },
  });
}

/**
 * Forwards what the global class has and the lazy class lacks: a property of a runtime's own, or one younger than this
 * package. Inherited, it would see a lazy object as `this` and refuse it.
 *
 * @param lazy The lazy class.
 * @param native The global class.
 * @param toNative Gives the native object that stands for a lazy one.
 */
export function forwardMissing<Lazy extends object, Native extends object>(
  lazy: ClassOf<Lazy>,
  native: ClassOf<Native>,
  toNative: (object: Lazy) => Native,
): void {
  for (const name of Object.getOwnPropertyNames(native.prototype)) {
    const property = Object.getOwnPropertyDescriptor(native.prototype, name);
    if (property === undefined || Object.hasOwn(lazy.prototype, name)) continue;
    const { get, value, enumerable } = property;
    if (get !== undefined) {
      Object.defineProperty(lazy.prototype, name, {
        configurable: true,
        enumerable,
        get(this: Lazy): unknown {
          return Reflect.apply(get, toNative(this), []);
        },
      });
    } else if (typeof value === "function") {
      Object.defineProperty(lazy.prototype, name, {
        configurable: true,
        enumerable,
        writable: true,
        value(this: Lazy, ...parameters: unknown[]): unknown {
          return Reflect.apply(value, toNative(this), parameters);
        },
      });
    }
  }
}

/**
 * Forwards the properties in which some runtimes keep the state of a native object. They are named by symbols, and the
 * global class reads them from whatever passes `instanceof`; forwarded, a lazy object is as good as a native one there.
 * A runtime that keeps the state in private fields shows no symbol, and nothing is forwarded.
 *
 * @param lazy The lazy class.
 * @param probe Any native object.
 * @param toNative Gives the native object that stands for a lazy one.
 */
export function forwardState<Lazy extends object, Native extends object>(
  lazy: ClassOf<Lazy>,
  probe: Native,
  toNative: (object: Lazy) => Native,
): void {
  for (const symbol of Object.getOwnPropertySymbols(probe)) {
    Object.defineProperty(lazy.prototype, symbol, {
      configurable: true,
      get(this: Lazy): unknown {
        return Reflect.get(toNative(this), symbol);
      },
      set(this: Lazy, value: unknown): void {
        Reflect.set(toNative(this), symbol, value);
      },
    });
  }
}
