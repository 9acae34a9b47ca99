/**
 * Figures as they are read.
 *
 * @module
 */

import type { Quantile } from "../clients/compare_report.ts";

const MIB = 1024 ** 2;

/** Milliseconds with three digits that count; ">" where more is not known. */
export function formatMs(quantile: Quantile | undefined): string {
  if (quantile === undefined) return "none";
  const { ms, isLowerBound } = quantile;
  return `${isLowerBound ? "> " : ""}${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))}`;
}

/** Whole above a hundred, else with a decimal. */
export function formatRate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

/** A part as percentage. */
export function formatShare(share: number): string {
  const percent = 100 * share;
  return `${percent > 0 && percent < 1 || percent > 99 && percent < 100 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** Memory. */
export function formatMiB(bytes: number): string {
  return String(Math.round(bytes / MIB));
}
