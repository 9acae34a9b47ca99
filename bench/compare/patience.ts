/**
 * Measuring on a machine that others use as well: waiting until they rest, and knowing when they did not.
 *
 * @module
 */

import { cpuSecondsOfMachine } from "../process_figures.ts";
import type { Round } from "./experiment.ts";

/** A round in which everything else took more than this part of a core is called disturbed. The attackers take a little. */
const DISTURBED_SHARE = 0.3;
/** How often a measurement is made anew for that reason. */
const MAX_REPEATS = 5;
const QUIET_SHARE = 0.15;
const QUIET_STEP_MS = 500;
const QUIET_STEPS = 3;
/** What is waited in all, for each runtime. */
const MAX_WAIT_MS = 600_000;

/** Whether others were so busy in one of these rounds that it says little. */
export function isDisturbed(rounds: readonly Round[]): boolean {
  return disturbanceOf(rounds) > DISTURBED_SHARE;
}

function disturbanceOf(rounds: readonly Round[]): number {
  return Math.max(...rounds.map(({ load }) => load.otherCpuShare));
}

/** Waits while others are busy, but not for ever. */
export class Patience {
  #leftMs: number;

  /** @param isPatient Whether it waits at all. */
  constructor(isPatient: boolean) {
    this.#leftMs = isPatient ? MAX_WAIT_MS : 0;
  }

  /**
   * Measures, again and again while it is disturbed. Gives what was disturbed least, whatever its figures are, and how
   * many results were thrown away.
   */
  async measure(once: () => Promise<Round[]>): Promise<{ rounds: Round[]; discarded: number }> {
    let rounds: Round[] | null = null;
    for (let discarded = 0;; discarded++) {
      await this.untilQuiet();
      const found = await once();
      if (rounds === null || disturbanceOf(found) < disturbanceOf(rounds)) rounds = found;
      if (!isDisturbed(rounds) || discarded === MAX_REPEATS || this.#leftMs <= 0) return { rounds, discarded };
    }
  }

  /** Waits until nobody has used the machine for a moment. */
  async untilQuiet(): Promise<void> {
    for (let quietSteps = 0; quietSteps < QUIET_STEPS && this.#leftMs > 0;) {
      const fromMs = performance.now();
      const from = cpuSecondsOfMachine();
      await new Promise((resolve) => setTimeout(resolve, QUIET_STEP_MS));
      const tookMs = performance.now() - fromMs;
      this.#leftMs -= tookMs;
      quietSteps = 1000 * (cpuSecondsOfMachine() - from) / tookMs <= QUIET_SHARE ? quietSteps + 1 : 0;
    }
  }
}
