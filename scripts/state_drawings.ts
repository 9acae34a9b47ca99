/**
 * Draws the tables of states into `src/ARCHITECTURE.md`, each between two comments that name it.
 *
 * Usage: `deno task draw`. A test fails while what stands there is not what the tables say.
 *
 * @module
 */

import { LOOP_HOST_STATES } from "../src/entry/loop_host.ts";
import { EXCHANGE_STATES } from "../src/exchange/exchange.ts";
import { READING, WRITING } from "../src/http1/connection/lifecycle.ts";
import { LOOP_STATES } from "../src/models/loops/loop_thread.ts";
import { BEGINNING_STATES } from "../src/server/preface.ts";
import { SERVER_PHASES } from "../src/server/server_state.ts";
import type { StateTable } from "../src/states.ts";
import { LIFE_STATES } from "../src/threads/sign_of_life.ts";
import { SEAT_STATES } from "../src/threads/thread_seat.ts";
import { CALL_STATES, THREAD_STATES } from "../src/threads/thread_states.ts";
import { WEBSOCKET_STATES } from "../src/websocket/socket_states.ts";
import { drawStateDiagram, transitionsOf } from "../test/support/state_diagram.ts";

/** Every table of the code but that of HTTP/1.1 connections, which has two states. */
export const STATE_TABLES: readonly StateTable<string>[] = [
  SERVER_PHASES,
  EXCHANGE_STATES,
  CALL_STATES,
  THREAD_STATES,
  SEAT_STATES,
  LIFE_STATES,
  LOOP_STATES,
  LOOP_HOST_STATES,
  BEGINNING_STATES,
  WEBSOCKET_STATES,
];

/** What is drawn, by the name that stands in the comment before it. */
export function drawings(): Map<string, string> {
  const diagrams = STATE_TABLES.map((table): [string, string] => [table.name, drawStateDiagram(transitionsOf(table))]);
  return new Map([...diagrams, ["reading", drawReading()], ["writing", drawWriting()]]);
}

/** Puts what is drawn in its places of a text of Markdown. */
export function drawInto(markdown: string): string {
  let drawn = markdown;
  for (const [name, drawing] of drawings()) {
    const [begin, end] = [`<!-- drawn: ${name} -->\n`, "\n<!-- end -->"];
    const start = drawn.indexOf(begin);
    if (start < 0) throw new Error(`No place for a drawing of ${name}: "${begin.trim()}" is missing.`);
    drawn = `${drawn.slice(0, start)}${begin}\n${drawing}\n${drawn.slice(drawn.indexOf(end, start))}`;
  }
  return drawn;
}

function drawReading(): string {
  const names = (states: readonly number[], rows: readonly { readonly name: string }[]): string =>
    states.map((state) => `\`${rows[state].name}\``).join(", ");
  return drawTable(["Reading", "reads", "deadline", "FIN", "when it passes", "goes to", "with"], [
    ...READING.map((row) => [
      `\`${row.name}\``,
      row.reads,
      row.deadline,
      row.fin,
      row.late,
      names(row.to, READING),
      names(row.with, WRITING),
    ]),
  ]);
}

function drawWriting(): string {
  return drawTable(["Writing", "deadline", "goes to"], [
    ...WRITING.map((row) => [
      `\`${row.name}\``,
      row.deadline,
      row.to.map((state) => `\`${WRITING[state].name}\``).join(", "),
    ]),
  ]);
}

/** A table as the formatter leaves it. */
function drawTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column].length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}

if (import.meta.main) {
  const path = new URL("../src/ARCHITECTURE.md", import.meta.url);
  await Deno.writeTextFile(path, drawInto(await Deno.readTextFile(path)));
}
