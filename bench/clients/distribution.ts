/**
 * Quantiles of waiting times of which some had not ended when the measurement did: of those it is known that they take
 * longer than they had waited. To leave them out would make the worst servers look best.
 *
 * @module
 */

/** A quantile; a lower bound is known only to be more, because what was not answered had waited no longer at the end. */
export interface Quantile {
  readonly ms: number;
  readonly isLowerBound: boolean;
}

/** For rounding: the product of many quotients is a little off the exact share. */
const TOLERANCE = 1e-9;

/**
 * The median and the 99th percentile; `null` where there are no times.
 *
 * Of requests that come at a pace, those that wait at the end are often the worst ones, so nothing is concluded from the
 * others: a quantile of what all have waited at least is given, and called a lower bound where one of those that still
 * wait is among the shorter ones. Clients that send one request after another are cut short by the end of the measurement
 * at a time of no meaning, which is what the product-limit estimate of Kaplan and Meier is for: each time that ended
 * lowers the share that lasts longer by one part of those that were still waiting then.
 */
export function distributionOf(ended: readonly number[], waiting: readonly number[], isPaced: boolean) {
  const of = (times: readonly number[], hasEnded: boolean) => times.map((ms) => ({ ms, hasEnded }));
  // Of equal times those that have ended come first: one that still waits lasts longer.
  const times = [...of(ended, true), ...of(waiting, false)].sort((a, b) => a.ms - b.ms);
  const quantile = (part: number): Quantile => {
    if (isPaced) {
      const rank = Math.ceil(part * times.length) - 1;
      return { ms: times[rank].ms, isLowerBound: times.slice(0, rank + 1).some(({ hasEnded }) => !hasEnded) };
    }
    let lasting = 1;
    const found = times.find(({ hasEnded }, index) => {
      if (hasEnded) lasting *= 1 - 1 / (times.length - index);
      return hasEnded && lasting <= 1 - part + TOLERANCE;
    });
    return { ms: (found ?? times[times.length - 1]).ms, isLowerBound: found === undefined };
  };
  return times.length === 0 ? null : { p50: quantile(0.5), p99: quantile(0.99) };
}

/** Milliseconds with three digits that count; ">" where more is not known. */
export function formatMs(quantile: Quantile | undefined): string {
  if (quantile === undefined) return "none";
  const { ms, isLowerBound } = quantile;
  return `${isLowerBound ? "> " : ""}${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))}`;
}
