/**
 * The ratios of a report as a bar chart in SVG.
 *
 * Bars grow from 1 to the right where Trivet takes less CPU time and to the left where it takes more, on a logarithmic
 * scale, so that twice as fast and twice as slow are as long.
 *
 * @module
 */

import { RUNTIME_NAMES } from "./contenders.ts";
import { type BenchReport, ratioRows } from "./report.ts";
import { runtimeLegend, svgDocument, text } from "./svg.ts";

const WIDTH = 860;
const LABEL_WIDTH = 270;
const RIGHT_MARGIN = 50;
const TOP = 84;
const BAR = 11;
const BAR_STEP = 13;
const GROUP_GAP = 12;
/** In powers of two. */
const FIGURE_ROOM = 0.25;

/** Draws the comparison with the runtimes' own servers. */
export function chartOf(report: BenchReport): string {
  const rows = ratioRows(report);
  const known = rows.flatMap(({ ratios }) => Object.values(ratios)).filter((ratio) => ratio !== null);
  // Room for the figure at the end of the longest bar, on each side.
  const low = Math.floor(Math.min(-1, ...known.map((ratio) => Math.log2(ratio) - FIGURE_ROOM)));
  const high = Math.ceil(Math.max(1, ...known.map((ratio) => Math.log2(ratio) + FIGURE_ROOM)));
  const plotWidth = WIDTH - LABEL_WIDTH - RIGHT_MARGIN;
  const x = (ratio: number) => LABEL_WIDTH + plotWidth * (Math.log2(ratio) - low) / (high - low);
  const groupHeight = RUNTIME_NAMES.length * BAR_STEP + GROUP_GAP;
  const bottom = TOP + rows.length * groupHeight;

  const parts: string[] = [];
  for (let power = low; power <= high; power++) {
    const at = x(2 ** power).toFixed(1);
    const kind = power === 0 ? "axis" : "grid";
    parts.push(`<line class="${kind}" x1="${at}" y1="${TOP - 8}" x2="${at}" y2="${bottom}"/>`);
    parts.push(text(at, TOP - 14, "middle", power < 0 ? `1/${2 ** -power}` : `${2 ** power}x`));
  }
  rows.forEach(({ title, ratios }, index) => {
    const top = TOP + index * groupHeight;
    parts.push(text(String(LABEL_WIDTH - 12), top + 1.5 * BAR_STEP + 4, "end", title));
    RUNTIME_NAMES.forEach((name, bar) => {
      const ratio = ratios[name];
      if (ratio !== null) parts.push(barOf(ratio, x, top + bar * BAR_STEP, name));
    });
  });
  return svgDocument(
    WIDTH,
    bottom + 16,
    "CPU time per request of the runtime's own server, divided by that of Trivet",
    [
      text("16", 24, "start", "CPU time per request: the runtime's own server / Trivet", 15),
      text("16", 42, "start", "To the right of the line Trivet takes less, to the left more."),
      ...runtimeLegend(RUNTIME_NAMES, report.versions, WIDTH, 24),
      ...parts,
    ],
  );
}

function barOf(ratio: number, x: (ratio: number) => number, top: number, kind: string): string {
  const start = Math.min(x(1), x(ratio));
  const width = Math.max(1, Math.abs(x(ratio) - x(1)));
  const label = ratio >= 1
    ? text((x(ratio) + 4).toFixed(1), top + 9, "start", ratio.toFixed(2), 10)
    : text((x(ratio) - 4).toFixed(1), top + 9, "end", ratio.toFixed(2), 10);
  return `<rect class="${kind}" x="${start.toFixed(1)}" y="${top}" width="${
    width.toFixed(1)
  }" height="${BAR}"/>${label}`;
}
