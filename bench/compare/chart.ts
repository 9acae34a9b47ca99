/**
 * The chart of an experiment: for each model and case a bar or a line for each runtime, with a note at its end.
 *
 * @module
 */

import { RUNTIME_NAMES, type RuntimeName } from "../contenders.ts";
import { runtimeLegend, svgDocument, text } from "../svg.ts";
import type { ChartPlan, Experiment, Mark } from "./experiment.ts";
import { type CompareReport, type Row, rowsOf } from "./report.ts";

const WIDTH = 900;
const LABEL_WIDTH = 250;
/** For the notes, which stand in one column at the right. */
const NOTE_WIDTH = 265;
const TOP = 92;
const STEP = 15;
const BAR = 10;
const RADIUS = 4;
const GROUP_GAP = 12;
const BOTTOM = 18;
const NOTE_SIZE = 11;

/** A place on the axis. */
type Scale = (value: number) => number;

/** Draws an experiment; `null` when there is nothing to draw. */
export function chartOf(report: CompareReport, experiment: Experiment): string | null {
  const plan = experiment.chart;
  const groups = groupsOf(rowsOf(report, experiment));
  if (groups.length === 0) return null;
  const runtimes = RUNTIME_NAMES.filter((name) => groups.some(({ rows }) => rows.some((row) => row.runtime === name)));
  const marks = groups.flatMap(({ rows }) => rows.map(({ round }) => plan.mark(round)));
  const { scale, ticks } = axisOf(plan, marks);
  const heights = groups.map(({ rows }) => rows.length * STEP + GROUP_GAP);
  const bottom = TOP + heights.reduce((sum, height) => sum + height, 0);

  const parts: string[] = [];
  for (const tick of ticks) {
    const x = scale(tick).toFixed(1);
    parts.push(`<line class="grid" x1="${x}" y1="${TOP - 6}" x2="${x}" y2="${bottom - GROUP_GAP / 2}"/>`);
    parts.push(text(x, TOP - 12, "middle", tick.toLocaleString("en-US"), NOTE_SIZE, "note"));
  }
  parts.push(text(String(LABEL_WIDTH - 12), TOP - 12, "end", axisTitle(plan), NOTE_SIZE, "note"));
  let top = TOP;
  groups.forEach(({ title, rows }, index) => {
    parts.push(text(String(LABEL_WIDTH - 12), top + rows.length * STEP / 2 + 4, "end", title));
    rows.forEach(({ runtime, round }, row) => {
      parts.push(...drawMark(plan.mark(round), runtime, scale, top + row * STEP + STEP / 2));
    });
    top += heights[index];
  });
  return svgDocument(WIDTH, bottom + BOTTOM, plan.title, [
    text("16", 24, "start", plan.title, 15),
    text("16", 44, "start", plan.subtitle, 12, "note"),
    ...runtimeLegend(runtimes, report.versions, WIDTH, 64),
    ...parts,
  ]);
}

/** The rows of one contestant in one case, one for each runtime. */
function groupsOf(rows: readonly Row[]): { title: string; rows: Row[] }[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const { contestant, round } = row;
    const title = round.case === "" ? contestant.title : `${contestant.title}, ${round.case}`;
    groups.set(title, [...groups.get(title) ?? [], row]);
  }
  return [...groups].map(([title, own]) => ({ title, rows: own }));
}

function axisTitle({ unit, scale }: ChartPlan): string {
  return scale === "logarithmic" ? `${unit}, logarithmic` : unit;
}

function axisOf({ scale }: ChartPlan, marks: readonly Mark[]): { scale: Scale; ticks: number[] } {
  const left = LABEL_WIDTH;
  const width = WIDTH - LABEL_WIDTH - NOTE_WIDTH;
  if (scale === "percent") return { scale: (value) => left + width * value / 100, ticks: [0, 25, 50, 75, 100] };
  const values = marks.flatMap(({ from, to, ceiling }) => [from, to, ceiling]).filter((value) => value !== null);
  const known = values.filter((value) => value > 0);
  // A bar has to have a length, so the axis of bars begins well below the least of them.
  const hasBars = marks.some(({ from, to }) => from === null && to !== null);
  const low = Math.floor(Math.log10(Math.min(...known, 1e9) / (hasBars ? 2 : 1)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known, 1))));
  return {
    scale: (value) => left + width * (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low),
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  };
}

function drawMark({ from, to, ceiling, note }: Mark, runtime: RuntimeName, scale: Scale, y: number): string[] {
  const parts: string[] = [];
  if (to !== null && from === null) {
    const width = Math.max(0, scale(to) - LABEL_WIDTH).toFixed(1);
    parts.push(`<rect class="${runtime}" x="${LABEL_WIDTH}" y="${y - BAR / 2}" width="${width}" height="${BAR}"/>`);
  } else if (to !== null && from !== null) {
    const [start, end] = [scale(from).toFixed(1), scale(to).toFixed(1)];
    parts.push(
      `<line class="${runtime}" x1="${start}" y1="${y}" x2="${end}" y2="${y}" stroke-width="2"/>`,
      `<circle class="${runtime}" cx="${end}" cy="${y}" r="${RADIUS}"/>`,
      `<circle class="${runtime} hollow" cx="${start}" cy="${y}" r="${RADIUS}" stroke-width="1.5"/>`,
    );
  }
  if (ceiling !== null) {
    const x = scale(ceiling).toFixed(1);
    parts.push(`<line class="axis" x1="${x}" y1="${y - STEP / 2}" x2="${x}" y2="${y + STEP / 2}" stroke-width="2"/>`);
  }
  parts.push(text(String(WIDTH - NOTE_WIDTH + 14), y + 4, "start", note, NOTE_SIZE, "note"));
  return parts;
}
