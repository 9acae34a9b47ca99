/**
 * The soak: servers that are started and stopped, and whose threads are killed, each for a bounded time.
 *
 * Usage: `deno run -A bench/soak.ts [--quick] [--runtime=deno,bun,node] [--only=rounds,kills] [--case=hybrid]
 * [--rounds=100] [--seconds=60] [--name=soak]`. Results are written when a name is given. It fails when something was
 * violated. It needs Linux.
 *
 * @module
 */

import { KILLS } from "./soak/kills.ts";
import { ROUNDS } from "./soak/rounds.ts";
import { runTrials } from "./trials.ts";

await runTrials("Soak", [ROUNDS, KILLS]);
