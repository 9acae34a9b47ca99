/**
 * The ratios of a report as a bar chart in SVG.
 *
 * Bars grow from 1 to the right where Trivet takes less CPU time and to the left where it takes more, on a logarithmic
 * scale, so that twice as fast and twice as slow are as long.
 *
 * @module
 */

import { RUNTIME_NAMES, type RuntimeName } from "./contenders.ts";
import { type BenchReport, ratioRows } from "./report.ts";

const COLORS: Readonly<Record<RuntimeName, string>> = { deno: "#2563eb", bun: "#d97706", node: "#15803d" };
const TITLES: Readonly<Record<RuntimeName, string>> = { deno: "Deno", bun: "Bun", node: "Node" };

const WIDTH = 860;
const LABEL_WIDTH = 270;
const RIGHT_MARGIN = 50;
const TOP = 84;
const BAR = 11;
const BAR_STEP = 13;
const GROUP_GAP = 12;
/** In powers of two. */
const FIGURE_ROOM = 0.25;
const INK = "#1f2328";
const FAINT = "#d0d7de";

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
    const color = power === 0 ? INK : FAINT;
    parts.push(`<line x1="${at}" y1="${TOP - 8}" x2="${at}" y2="${bottom}" stroke="${color}"/>`);
    parts.push(text(at, TOP - 14, "middle", power < 0 ? `1/${2 ** -power}` : `${2 ** power}x`));
  }
  rows.forEach(({ title, ratios }, index) => {
    const top = TOP + index * groupHeight;
    parts.push(text(String(LABEL_WIDTH - 12), top + 1.5 * BAR_STEP + 4, "end", title));
    RUNTIME_NAMES.forEach((name, bar) => {
      const ratio = ratios[name];
      if (ratio !== null) parts.push(barOf(ratio, x, top + bar * BAR_STEP, COLORS[name]));
    });
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 16}" width="${WIDTH}" ` +
    `height="${bottom + 16}" font-family="system-ui, sans-serif" font-size="12" role="img">`,
    "<title>CPU time per request of the runtime's own server, divided by that of Trivet</title>",
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text("16", 24, "start", "CPU time per request: the runtime's own server / Trivet", 15),
    text("16", 42, "start", "To the right of the line Trivet takes less, to the left more."),
    ...legend(report),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function barOf(ratio: number, x: (ratio: number) => number, top: number, color: string): string {
  const start = Math.min(x(1), x(ratio));
  const width = Math.max(1, Math.abs(x(ratio) - x(1)));
  const label = ratio >= 1
    ? text((x(ratio) + 4).toFixed(1), top + 9, "start", ratio.toFixed(2), 10)
    : text((x(ratio) - 4).toFixed(1), top + 9, "end", ratio.toFixed(2), 10);
  return `<rect x="${start.toFixed(1)}" y="${top}" width="${
    width.toFixed(1)
  }" height="${BAR}" fill="${color}"/>${label}`;
}

function legend({ versions }: BenchReport): string[] {
  return RUNTIME_NAMES.flatMap((name, index) => {
    const left = WIDTH - 330 + index * 110;
    const label = `${TITLES[name]} ${versions[TITLES[name]] ?? ""}`;
    return [
      `<rect x="${left}" y="14" width="11" height="11" fill="${COLORS[name]}"/>`,
      text(String(left + 16), 24, "start", label),
    ];
  });
}

function text(x: string, y: number, anchor: "start" | "middle" | "end", content: string, size = 12): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${INK}">${escaped}</text>`;
}
