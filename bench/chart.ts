/**
 * The chart of every program: groups of marks, one mark for each runtime, with a note at the right of each.
 *
 * A mark is a bar from the chart's base to a figure, or a line between two figures, with a stroke where a third one is.
 *
 * @module
 */

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  /** Above the labels. */
  readonly unit: string;
  readonly scale: "logarithmic" | "percent";
  /** Where bars begin on a logarithmic scale: at the left unless set. */
  readonly base?: number;
  readonly groups: readonly { readonly title: string; readonly marks: readonly Mark[] }[];
}

export interface Mark {
  /** The name of a runtime, which is its color. */
  readonly runtime: string;
  /** Where a line begins; absent for a bar. */
  readonly from?: number | null;
  /** Where it ends; `null` where there is nothing to draw. */
  readonly to: number | null;
  /** Another figure to compare with, drawn as a stroke. */
  readonly ceiling?: number;
  readonly note: string;
}

const [WIDTH, LABEL_WIDTH, TOP, LEGEND_STEP] = [900, 260, 92, 110];
const [STEP, BAR, GROUP_GAP] = [14, 10, 12];
const [NOTE_SIZE, NOTE_CHAR_WIDTH] = [11, 6];

/** In the dark, light ink on a dark ground. */
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

export function svgOf({ title, subtitle, unit, scale, base, groups }: Chart, versions: Record<string, string>): string {
  const marks = groups.flatMap((group) => group.marks);
  const noteAt = WIDTH - 6 - NOTE_CHAR_WIDTH * Math.max(...marks.map(({ note }) => note.length));
  const { share, ticks } = axisOf(scale, base, marks);
  const place = (value: number) => LABEL_WIDTH + (noteAt - 14 - LABEL_WIDTH) * share(value);
  const left = base === undefined ? LABEL_WIDTH : place(base);
  const height = groups.reduce((sum, group) => sum + group.marks.length * STEP + GROUP_GAP, TOP);
  const parts = [text(16, 24, "start", title, 15), text(16, 44, "start", subtitle, 12, "note")];
  const runtimes = Object.keys(versions).filter((name) => marks.some((mark) => mark.runtime === name.toLowerCase()));
  runtimes.forEach((name, index) => {
    const x = WIDTH - (runtimes.length - index) * LEGEND_STEP;
    parts.push(`<rect class="${name.toLowerCase()}" x="${x}" y="54" width="11" height="11"/>`);
    parts.push(text(x + 16, 64, "start", `${name} ${versions[name]}`));
  });
  for (const tick of ticks) {
    parts.push(line(tick === base ? "axis" : "grid", place(tick), TOP - 6, place(tick), height - GROUP_GAP / 2));
    parts.push(text(place(tick), TOP - 12, "middle", tick.toLocaleString("en-US"), NOTE_SIZE, "note"));
  }
  parts.push(text(LABEL_WIDTH - 12, TOP - 12, "end", unit, NOTE_SIZE, "note"));
  let top = TOP;
  for (const { title, marks } of groups) {
    parts.push(text(LABEL_WIDTH - 12, top + marks.length * STEP / 2 + 4, "end", title));
    for (const mark of marks) {
      parts.push(...drawn(mark, place, left, top + STEP / 2));
      parts.push(text(noteAt, top + STEP / 2 + 4, "start", mark.note, NOTE_SIZE, "note"));
      top += STEP;
    }
    top += GROUP_GAP;
  }
  const size = `viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="100%" height="100%"/>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

/** Which share of the width lies left of a figure, and the figures at the lines of the grid. */
function axisOf(scale: Chart["scale"], base: number | undefined, marks: readonly Mark[]) {
  if (scale === "percent") return { share: (value: number) => value / 100, ticks: [0, 25, 50, 75, 100] };
  const known = marks.flatMap(({ from, to, ceiling }) => [from ?? 0, to ?? 0, ceiling ?? 0, base ?? 0]);
  const values = known.filter((each) => each > 0);
  // Ratios are told in powers of two, everything else in powers of ten. A bar has to have a length.
  const power = base === undefined ? 10 : 2;
  const log = (value: number) => Math.log2(value) / Math.log2(power);
  const hasBars = base === undefined && marks.some(({ from, to }) => from === undefined && to !== null);
  const low = Math.floor(log(Math.min(...values) / (hasBars ? 2 : 1)) - 1e-9);
  const high = Math.max(low + 1, Math.ceil(log(Math.max(...values))));
  const share = (value: number) => (log(Math.max(value, power ** low)) - low) / (high - low);
  return { share, ticks: Array.from({ length: high - low + 1 }, (_, index) => power ** (low + index)) };
}

function drawn(mark: Mark, place: (value: number) => number, left: number, y: number): string[] {
  const { runtime, from, to, ceiling } = mark;
  const parts: string[] = [];
  if (to !== null && from === undefined) {
    const [start, end] = [left, place(to)].sort((a, b) => a - b);
    const size = `width="${(end - start).toFixed(1)}" height="${BAR}"`;
    parts.push(`<rect class="${runtime}" x="${start.toFixed(1)}" y="${y - BAR / 2}" ${size}/>`);
  } else if (to !== null) {
    const [start, end] = [place(from ?? to), place(to)];
    parts.push(line(`${runtime}" stroke-width="2`, start, y, end, y));
    parts.push(`<circle class="${runtime}" cx="${end.toFixed(1)}" cy="${y}" r="4"/>`);
    parts.push(`<circle class="${runtime} hollow" cx="${start.toFixed(1)}" cy="${y}" r="4" stroke-width="1.5"/>`);
  }
  if (ceiling === undefined) return parts;
  const x = place(ceiling);
  return [...parts, line('axis" stroke-width="2', x, y - STEP / 2, x, y + STEP / 2)];
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${x1.toFixed(1)}" y1="${y1}" x2="${x2.toFixed(1)}" y2="${y2}"/>`;
}

function text(x: number, y: number, anchor: "start" | "middle" | "end", content: string, size = 12, kind = ""): string {
  const attributes = `x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" font-size="${size}"`;
  return `<text${kind === "" ? "" : ` class="${kind}"`} ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
