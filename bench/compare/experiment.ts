/**
 * What the experiments have in common: types only.
 *
 * @module
 */

import type { LoadReport } from "../clients/compare_report.ts";
import type { Contestant } from "./contestants.ts";
import type { Lab } from "./lab.ts";

/** What was found of one contestant in one case of an experiment. */
export interface Round {
  /** The case, where an experiment has more than one; else empty. */
  readonly case: string;
  readonly load: LoadReport;
  /** The server's memory when it had started, and the most it had until the end. */
  readonly startBytes: number;
  readonly peakBytes: number;
  /** Figures of this experiment beside the load. */
  readonly facts: Readonly<Record<string, number>>;
  /** What the server counted itself. */
  readonly stats: unknown;
  /** The beginning of what the server printed as warnings and errors. */
  readonly printed: string;
  /** What must not be, such as answers with wrong content. */
  readonly problems: readonly string[];
}

/** A column of the table. */
export interface Column {
  readonly title: string;
  of(round: Round): string;
}

/** What is drawn for one contestant: a bar from the left or a line between two figures, with a note beside it. */
export interface Mark {
  /** Where a line begins; `null` for a bar. */
  readonly from: number | null;
  /** Where it ends; `null` where there is nothing to draw. */
  readonly to: number | null;
  /** Another figure to compare with, drawn as a stroke. */
  readonly ceiling: number | null;
  readonly note: string;
}

/** How an experiment is drawn. */
export interface ChartPlan {
  readonly title: string;
  readonly subtitle: string;
  readonly scale: "logarithmic" | "percent";
  readonly unit: string;
  mark(round: Round): Mark;
}

/** One experiment. */
export interface Experiment {
  /** The name by which `--experiment` selects it, and of its chart. */
  readonly name: string;
  readonly title: string;
  readonly contestants: readonly Contestant[];
  /** Who takes part in a quick run. */
  readonly quickContestants: readonly Contestant[];
  /** What is done, for a reader of the results. */
  describe(isQuick: boolean): string;
  /** Runs it for one contestant: a round for each case. */
  measure(lab: Lab, contestant: Contestant): Promise<Round[]>;
  readonly columns: readonly Column[];
  /** The figure that orders rounds of the same case; the table and the chart show the one in the middle. */
  orderOf(round: Round): number;
  readonly chart: ChartPlan;
}
