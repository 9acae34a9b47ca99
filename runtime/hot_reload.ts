/**
 * `bun --hot`: the whole program is evaluated anew within its process whenever a file of it changes, and nothing that
 * the evaluation before has opened is closed.
 *
 * So what listens is remembered where every evaluation finds it, and gives way to what the next one has at its place.
 *
 * It must not know what listens, nor how that gives way.
 *
 * @module
 */

import type { Runtime } from "../src/runtime.ts";

/** What listens at a place. */
interface Tenant {
  /** The evaluation of the program that has put it there. */
  readonly evaluation: number;
  readonly giveWay: () => Promise<void> | void;
}

interface Places {
  evaluations: number;
  readonly tenants: Map<string, Tenant>;
}

/** The global object is all that stays. */
const KEY = Symbol.for("@trivet/http: servers by place");
const globals = globalThis as { [KEY]?: Places };
const places: Places = globals[KEY] ??= { evaluations: 0, tenants: new Map() };
/** This module is evaluated with the program. */
const evaluation = ++places.evaluations;

/** What a runtime that was started with `--hot` has more than others. */
export function hotReload(flags: readonly string[]): Pick<Runtime, "takePlace"> {
  return flags.includes("--hot") ? { takePlace } : {};
}

function takePlace(place: string, giveWay: () => Promise<void> | void): (() => Promise<void> | void) | null {
  const { tenants } = places;
  // The second server of a program at one address takes nothing from the first: at port 0 there is room for both.
  let name = place;
  for (let count = 2; tenants.get(name)?.evaluation === evaluation; count++) name = `${place} ${count}`;
  const before = tenants.get(name);
  tenants.set(name, { evaluation, giveWay });
  return before?.giveWay ?? null;
}
