/**
 * What the charts have in common: the frame, its colors in light and dark, text and the legend.
 *
 * @module
 */

import type { RuntimeName } from "./contenders.ts";
import { RUNTIME_TITLES } from "./report.ts";

const LEGEND_STEP = 110;

/** The classes of a chart. Who shows it in the dark gets light ink on a dark ground. */
const STYLE = [
  ".ground{fill:#ffffff}text{fill:#1f2328}.note{fill:#59636e}.grid{stroke:#d8dee4}.axis{stroke:#1f2328}",
  ".deno{fill:#2563eb;stroke:#2563eb}.bun{fill:#d97706;stroke:#d97706}.node{fill:#15803d;stroke:#15803d}",
  ".hollow{fill:#ffffff}",
  "@media (prefers-color-scheme:dark){",
  ".ground{fill:#0d1117}text{fill:#e6edf3}.note{fill:#9198a1}.grid{stroke:#30363d}.axis{stroke:#e6edf3}",
  ".deno{fill:#60a5fa;stroke:#60a5fa}.bun{fill:#fbbf24;stroke:#fbbf24}.node{fill:#4ade80;stroke:#4ade80}",
  ".hollow{fill:#0d1117}",
  "}",
].join("");

/** A whole drawing. */
export function svgDocument(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="100%" height="100%"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

/** A line of text. */
export function text(
  x: string,
  y: number,
  anchor: "start" | "middle" | "end",
  content: string,
  size = 12,
  kind = "",
): string {
  const attributes = `x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}"`;
  return `<text${kind === "" ? "" : ` class="${kind}"`} ${attributes}>${escaped(content)}</text>`;
}

/** Which color is which runtime, in the upper right corner. */
export function runtimeLegend(
  names: readonly RuntimeName[],
  versions: Readonly<Record<string, string>>,
  width: number,
  y: number,
): string[] {
  return names.flatMap((name, index) => {
    const left = width - (names.length - index) * LEGEND_STEP;
    return [
      `<rect class="${name}" x="${left}" y="${y - 10}" width="11" height="11"/>`,
      text(String(left + 16), y, "start", `${RUNTIME_TITLES[name]} ${versions[RUNTIME_TITLES[name]] ?? ""}`),
    ];
  });
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
