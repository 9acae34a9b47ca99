/**
 * Durations, counted by how long they were.
 *
 * It decides where the buckets end. It must not know what took so long.
 *
 * @module
 */

import type { Histogram } from "../api/stats.ts";

/**
 * Milliseconds: the buckets of Prometheus' own clients, 5 ms to 10 s, and below them those in which a server answers
 * that does not wait for anything.
 */
const BOUNDS_MS: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/** No duration. */
export const NO_DURATIONS: Histogram = { bounds: BOUNDS_MS, counts: new Array(BOUNDS_MS.length + 1).fill(0), sum: 0 };

/** Counts durations. */
export class Durations {
  readonly #counts: number[] = new Array(BOUNDS_MS.length + 1).fill(0);
  #sum = 0;

  /** Counts one, in milliseconds. */
  add(durationMs: number): void {
    // Nearly all are short, and the search ends where they are.
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && durationMs > BOUNDS_MS[bucket]) bucket++;
    this.#counts[bucket]++;
    this.#sum += durationMs;
  }

  /** All that were counted. */
  get histogram(): Histogram {
    return { bounds: BOUNDS_MS, counts: this.#counts.slice(), sum: this.#sum };
  }
}

/** The durations of two histograms together. */
export function addHistograms(one: Histogram, other: Histogram): Histogram {
  return {
    bounds: one.bounds,
    counts: one.counts.map((count, bucket) => count + other.counts[bucket]),
    sum: one.sum + other.sum,
  };
}
