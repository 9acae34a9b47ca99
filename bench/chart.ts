/**
 * The chart of every program: groups of marks, one for each runtime with a note at its right: a bar from the chart's
 * base to a figure, or a line between two figures, with a stroke where a third one is.
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

/** Loaded only when there is something to draw: not named where they are imported, so that no check needs them. */
const [PLOT, DOM] = ["npm:@observablehq/plot@0.6.17", "npm:linkedom@0.18.15"];

const [WIDTH, LEFT, TOP, NAME_WIDTH] = [900, 330, 92, 40];
const [STEP, GROUP_GAP, NOTE_CHAR_WIDTH] = [14, 12, 6];

/** In the dark, light ink on a dark ground. */
const STYLE = "svg{--ground:#ffffff;--ink:#1f2328;--deno:#2563eb;--bun:#d97706;--node:#15803d}" +
  "@media(prefers-color-scheme:dark){" +
  "svg{--ground:#0d1117;--ink:#e6edf3;--deno:#60a5fa;--bun:#fbbf24;--node:#4ade80}}";

export async function svgOf(chart: Chart, versions: Readonly<Record<string, string>>): Promise<string> {
  const [Plot, { parseHTML }] = await Promise.all([import(PLOT), import(DOM)]);
  const { title, subtitle, unit, scale, base, groups } = chart;
  const marks = groups.flatMap((group) => group.marks.map((mark) => ({ ...mark, group: group.title })));
  const runtimes = Object.keys(versions).filter((name) => marks.some(({ runtime }) => runtime === name.toLowerCase()));
  const names = runtimes.map((name) => name.toLowerCase());
  const ticks = scale === "percent" ? [0, 25, 50, 75, 100] : powersAround(marks, base);
  const place = { y: "runtime", fy: "group" };
  const bars = marks.filter(({ from, to }) => from === undefined && to !== null);
  const lines = marks.filter(({ from, to }) => from !== undefined && to !== null);
  const noteWidth = NOTE_CHAR_WIDTH * Math.max(...marks.map(({ note }) => note.length));
  const above = (text: string, dy: number, fontSize: number) =>
    Plot.text([text], { facet: "super", frameAnchor: "top-left", dx: 16 - LEFT, dy, fontSize });
  const { document } = parseHTML("<html></html>");
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height: TOP + groups.length * (names.length * STEP + GROUP_GAP),
    marginLeft: LEFT,
    marginTop: TOP,
    marginRight: noteWidth + 20,
    marginBottom: GROUP_GAP,
    style: { background: "var(--ground)", color: "var(--ink)", fontFamily: "system-ui, sans-serif" },
    x: {
      type: scale === "percent" ? "linear" : "log",
      domain: [ticks[0], ticks.at(-1)],
      base: base === undefined ? 10 : 2,
      clamp: true,
    },
    y: { domain: names, padding: 0.25 },
    fy: { domain: groups.map((group) => group.title), padding: 0.2 },
    color: { domain: names, range: names.map((name) => `var(--${name})`) },
    marks: [
      Plot.ruleX(ticks, { facet: null, inset: -GROUP_GAP / 2, strokeOpacity: 0.15 }),
      Plot.axisX(ticks, { anchor: "top", label: null, tickFormat: (tick: number) => tick.toLocaleString("en-US") }),
      Plot.axisFy({ anchor: "left", label: null, dx: -NAME_WIDTH, fontSize: 12 }),
      Plot.axisY({ label: null, tickSize: 0, tickFormat: (name: string) => runtimes[names.indexOf(name)] }),
      Plot.barX(bars, { ...place, x1: base ?? 0, x2: "to", fill: "runtime" }),
      Plot.link(lines, { ...place, x1: (line: Mark) => line.from ?? line.to, x2: "to", stroke: "runtime" }),
      Plot.dot(lines, { ...place, x: "to", fill: "runtime", r: 4 }),
      Plot.dot(lines, { ...place, x: "from", stroke: "runtime", fill: "var(--ground)", r: 4 }),
      Plot.tickX(marks, { ...place, x: "ceiling", strokeWidth: 2 }),
      Plot.text(marks, { ...place, text: "note", frameAnchor: "right", textAnchor: "start", dx: 14, fontSize: 11 }),
      Plot.ruleX(base === undefined ? [] : [base], { facet: null, inset: -GROUP_GAP / 2 }),
      above(title, -68, 15),
      above(`${subtitle} ${runtimes.map((name) => `${name} ${versions[name]}`).join(", ")}.`, -48, 12),
      above(unit, -18, 10),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.prepend(Object.assign(document.createElement("style"), { textContent: STYLE }));
  return `${svg.outerHTML}\n`;
}

/** Ratios are told in powers of two, everything else in powers of ten. A bar has to have a length. */
function powersAround(marks: readonly Mark[], base: number | undefined): number[] {
  const known = marks.flatMap(({ from, to, ceiling }) => [from ?? 0, to ?? 0, ceiling ?? 0, base ?? 0]);
  const values = known.filter((each) => each > 0);
  const power = base === undefined ? 10 : 2;
  const log = (value: number) => Math.log2(value) / Math.log2(power);
  const hasBars = base === undefined && marks.some(({ from, to }) => from === undefined && to !== null);
  const low = Math.floor(log(Math.min(...values) / (hasBars ? 2 : 1)) - 1e-9);
  const high = Math.max(low + 1, Math.ceil(log(Math.max(...values))));
  return Array.from({ length: high - low + 1 }, (_, index) => power ** (low + index));
}
