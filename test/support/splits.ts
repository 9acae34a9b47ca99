/**
 * How many ways of splitting an input are tried: one for each in `deno task test`, all of them in `deno task test:splits`,
 * which `deno task proof` runs.
 *
 * @module
 */

import process from "node:process";

const TRIES_ALL = process.env.TRIVET_TEST_EVERY_SPLIT !== undefined;

/**
 * The places at which an input of this length is split in two.
 *
 * @param most About how many they are at most.
 */
export function splitsOf(length: number, most = Infinity): number[] {
  if (!TRIES_ALL) return length > 1 ? [length >> 1] : [];
  const step = Math.ceil(length / most) || 1;
  return Array.from({ length: Math.ceil((length - 1) / step) }, (_, i) => 1 + i * step);
}

/** How many rounds of random input are played of these, which are all. */
export function roundsOf(all: number): number {
  return TRIES_ALL ? all : all / 20;
}
