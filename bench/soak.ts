/**
 * The soak: servers that are started and stopped, whose threads are killed, that are kept busy, each for a bounded time.
 *
 * Usage: `deno run -A bench/soak.ts [--quick] [--runtime=deno,bun,node] [--only=rounds,kills,light] [--case=hybrid]
 * [--rounds=100] [--seconds=60] [--name=soak]`. Results are written when a name is given. It fails when something was
 * violated. It needs Linux.
 *
 * @module
 */

import { KILLS } from "./soak/kills.ts";
import { LIGHT } from "./soak/light.ts";
import { ROUNDS } from "./soak/rounds.ts";
import { runTrials } from "./trials.ts";

await runTrials("Soak", [ROUNDS, KILLS, LIGHT]);
