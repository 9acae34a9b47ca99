/**
 * The soak: servers that are started and stopped, and whose threads are killed, each for a bounded time.
 *
 * Usage: `deno run -A bench/soak.ts [--quick] [--runtime=deno,bun,node] [--only=rounds,kills] [--case=hybrid]
 * [--rounds=100] [--seconds=60] [--name=soak]`. Results are written when a name is given. It fails when something was
 * violated. It needs Linux.
 */

import { judge, runProgram } from "./program.ts";
import { killsOf } from "./soak/kills.ts";
import { roundsOf } from "./soak/rounds.ts";

const QUICK = { rounds: 10, warmUpRounds: 3, seconds: 8 };
/** Rounds before anything is measured: code is compiled, and allocators and pools of threads reach their size. */
const WARM_UP_ROUNDS = 20;

await runProgram({ rounds: 100, seconds: 60 }, (options, site) => {
  const { rounds, warmUpRounds, seconds } = options.quick ? QUICK : { ...options, warmUpRounds: WARM_UP_ROUNDS };
  return judge("Soak", [roundsOf(rounds, warmUpRounds), killsOf(seconds)], site);
});
