/**
 * Quantiles of waiting times of which some had not ended when the measurement did.
 *
 * To leave those out would make the worst servers look best. What is known of them is that they take longer than they
 * had waited.
 *
 * @module
 */

/** A quantile. */
export interface Quantile {
  readonly ms: number;
  /** Whether it is known only to be more than this, because what was not answered had waited no longer at the end. */
  readonly isLowerBound: boolean;
}

/** How long answers took. */
export interface Distribution {
  readonly p50: Quantile;
  readonly p99: Quantile;
}

/** A time, and whether it has ended: if not, it is only known to be longer. */
interface Time {
  readonly ms: number;
  readonly hasEnded: boolean;
}

/** For rounding: the product of many quotients is a little off the exact share. */
const TOLERANCE = 1e-9;

/**
 * The median and the 99th percentile of requests that came at a pace. Those that wait at the end are often the worst
 * ones, so nothing is concluded from the others: a quantile of what all have waited at least is given, and called a
 * lower bound where one of those that still wait is among the shorter ones.
 *
 * @returns `null` where there are no times.
 */
export function distributionOfArrivals(ended: readonly number[], waiting: readonly number[]): Distribution | null {
  return quantilesOf(sorted(ended, waiting), (times, part) => {
    const rank = Math.min(times.length - 1, Math.ceil(part * times.length) - 1);
    const isLowerBound = times.slice(0, rank + 1).some(({ hasEnded }) => !hasEnded);
    return { ms: times[rank].ms, isLowerBound };
  });
}

/**
 * The median and the 99th percentile of clients that send one request after another. The end of the measurement cuts
 * each of them short at a time of no meaning, which is what the product-limit estimate of Kaplan and Meier is for: each
 * time that ended lowers the share that lasts longer by one part of those that were still waiting then.
 *
 * @returns `null` where there are no times.
 */
export function distributionOfClients(ended: readonly number[], waiting: readonly number[]): Distribution | null {
  return quantilesOf(sorted(ended, waiting), (times, part) => {
    let lasting = 1;
    const found = times.find(({ hasEnded }, index) => {
      if (hasEnded) lasting *= 1 - 1 / (times.length - index);
      return hasEnded && lasting <= 1 - part + TOLERANCE;
    });
    return { ms: (found ?? times[times.length - 1]).ms, isLowerBound: found === undefined };
  });
}

/** Of equal times those that have ended come first: who still waits lasts longer. */
function sorted(ended: readonly number[], waiting: readonly number[]): Time[] {
  const times = [...ended.map((ms) => ({ ms, hasEnded: true })), ...waiting.map((ms) => ({ ms, hasEnded: false }))];
  return times.sort((a, b) => a.ms - b.ms || Number(b.hasEnded) - Number(a.hasEnded));
}

function quantilesOf(
  times: readonly Time[],
  quantile: (times: readonly Time[], part: number) => Quantile,
): Distribution | null {
  return times.length === 0 ? null : { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

/** Milliseconds with three digits that count; ">" where more is not known. */
export function formatMs(quantile: Quantile | undefined): string {
  if (quantile === undefined) return "none";
  const { ms, isLowerBound } = quantile;
  return `${isLowerBound ? "> " : ""}${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))}`;
}
