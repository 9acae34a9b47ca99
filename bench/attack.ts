/**
 * Attacks: what clients and handlers do to take a server down, against Trivet and the runtime's own server.
 *
 * Usage: `deno task attack`, or `deno run -A bench/attack.ts [--quick] [--runtime=deno,bun,node] [--case=TEXT]
 * [--name=attack]`, where the text is a part of the titles of the cases that are run. It fails when something was
 * violated. It needs Linux.
 */

import { ATTACKS } from "./attack/attack_cases.ts";
import { runAttack } from "./attack/attack_site.ts";
import { judge, runProgram } from "./program.ts";

await runProgram({ case: "" }, ({ quick, case: part }, site) => {
  const cases = ATTACKS.flatMap((attack) =>
    (attack.alsoNative ? ["trivet", "own"] as const : ["trivet"] as const).map((serves) => ({
      title: `${attack.part} ${attack.title}: ${serves === "trivet" ? "Trivet" : "its own"}`,
      run: runAttack.bind(null, attack, serves, quick),
    }))
  ).filter(({ title }) => title.includes(part));
  const text =
    "Each attack has a server of its own, with the options of its row and else with default ones. The wait is that of " +
    "another client, which asks for what costs nothing, from connecting to the last byte; memory is the most that was " +
    "resident during the attack beyond the idle server, which before part 1 has answered 40,000 requests of 16 ordinary " +
    "clients, since V8 keeps what any load has it grow to; survived has a server that answers afterwards. Attacker and " +
    `client share the cores with the server. ${quick ? "This is a quick run, in which no time is judged. " : ""}` +
    "Violated is what is listed below, of Trivet; the runtime's own server is there to compare with.";
  return judge("Attacks", [{ name: "attack", title: "Attacks", text, cases }], site, quick);
});
