/**
 * Attacks: what clients and handlers do to take a server down, against Trivet and the runtime's own server.
 *
 * Usage: `deno task attack`, or `deno run -A bench/attack.ts [--quick] [--runtime=deno,bun,node] [--case=TEXT]
 * [--name=attack]`, where the text is a part of the titles of the cases that are run. It fails when something was
 * violated. It needs Linux.
 *
 * @module
 */

import { ATTACK } from "./stress/attack.ts";
import { runTrials } from "./trials.ts";

await runTrials("Attacks", [ATTACK]);
