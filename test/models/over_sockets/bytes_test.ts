/**
 * The same bytes under every concurrency model: the tables of `test/server/differential_test.ts`, whose rows are the
 * exact bytes of the responses, played against each model.
 *
 * Conversations are played at the same time as far as the model serves connections at the same time, and each is a test.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { DifferentialRow } from "../../fixtures/differential.ts";
import { play, playAlone, sendWhole, type TestedServer, TestedServers } from "../../fixtures/differential_play.ts";
import { DIFFERENTIAL_TABLES } from "../../fixtures/differential_tables.ts";
import { handler } from "../../fixtures/handlers.ts";
import {
  serveUnder,
  TESTED_MODELS,
  type TestedHandler,
  type TestedModel,
  TEXTBOOK_BLOCKING,
} from "../../fixtures/models/tested_models.ts";

const HANDLER: TestedHandler = {
  fetch: handler,
  module: new URL("../../fixtures/handlers_module.ts", import.meta.url),
};

/** What became of each row, once it was played: `null`, or what it failed with. */
type Outcomes = ReadonlyMap<DifferentialRow, Promise<unknown>>;

/** Plays all rows against a model. Rows of different servers do not wait for each other. */
function playAll(model: TestedModel, rows: readonly DifferentialRow[], servers: TestedServers): Outcomes {
  const outcomes = new Map<DifferentialRow, Promise<unknown>>();
  const optionSets = [...new Set(rows.map((row) => row.options))];
  // Threads that start would slow down servers whose deadlines are short.
  const allStarted = Promise.all(optionSets.map((options) => servers.with(options)));
  optionSets.forEach((options, at) => {
    const tested = allStarted.then((all) => all[at]);
    const rowsHere = rows.filter((row) => row.options === options);
    const enqueue = (before: Promise<unknown>, row: DifferentialRow, start: Start): Promise<unknown> => {
      const outcome = before.then(() => tested).then((server) => start(row, server)).then(() => null, (error) => error);
      outcomes.set(row, outcome);
      return outcome;
    };
    const lanes: Promise<unknown>[] = new Array(model.conversationsAtOnce).fill(tested);
    rowsHere.filter((row) => row.reported === undefined).forEach((row, number) => {
      const lane = number % lanes.length;
      lanes[lane] = enqueue(lanes[lane], row, playBesideOthers);
    });
    // Whoever else talked to the server would mix up what onError is told, so these are played alone at the end.
    let last: Promise<unknown> = Promise.all(lanes);
    for (const row of rowsHere) {
      if (row.reported !== undefined) last = enqueue(last, row, playAloneWhole);
    }
  });
  return outcomes;
}

type Start = (row: DifferentialRow, tested: TestedServer) => Promise<void>;

const playBesideOthers: Start = (row, { server }) => play(row, server.port, sendWhole);
const playAloneWhole: Start = (row, tested) => playAlone(row, tested, sendWhole);

/** The row on a server that closes each connection behind its response; `null` where it is about persistence. */
function closingRow(row: DifferentialRow): DifferentialRow | null {
  const [first, second, third] = row.talk;
  const isSimple = row.after === "persists" && row.options === undefined && third === undefined;
  if (!isSimple || typeof first !== "object" || !("send" in first)) return null;
  if (typeof second !== "object" || !("receive" in second)) return null;
  const { receive } = second;
  const headEnd = receive.indexOf("\r\n\r\n", receive.lastIndexOf("HTTP/1.1 ")) + 2;
  // What HTTP/1.0 asks for by "keep-alive" is refused by saying nothing but "close" too.
  const finalHead = receive.slice(0, headEnd).replace("Connection: keep-alive\r\n", "");
  const closing = `${finalHead}Connection: close\r\n${receive.slice(headEnd)}`;
  return { ...row, talk: [first, { receive: closing }], after: "closes" };
}

/** Rows about one request. What is behind it is not read by a server that closes. */
const CLOSING_TABLES: typeof DIFFERENTIAL_TABLES = DIFFERENTIAL_TABLES
  .filter(([table]) => table === "requests" || table === "responses")
  .map(([table, rows]) => [table, rows.map(closingRow).filter((row) => row !== null)]);

const PLAYED: readonly (readonly [TestedModel, typeof DIFFERENTIAL_TABLES])[] = [
  ...TESTED_MODELS.map((model) => [model, DIFFERENTIAL_TABLES] as const),
  [TEXTBOOK_BLOCKING, CLOSING_TABLES],
];

for (const [model, tables] of PLAYED) {
  describe(`the bytes on the wire, ${model.name}`, () => {
    const servers = new TestedServers((options) => serveUnder(model, options, HANDLER));
    after(() => servers.shutdown());
    let outcomes: Outcomes | undefined;
    for (const [table, rows] of tables) {
      for (const row of rows) {
        test(`${table}: ${row.name} (${row.rfc})`, async () => {
          outcomes ??= playAll(model, tables.flatMap(([, all]) => all), servers);
          const failure = await outcomes.get(row);
          if (failure !== null) throw failure;
        });
      }
    }

    test("nothing is reported that a row does not say, and the servers stop in order", async () => {
      assert.deepEqual(await servers.leftReports(), []);
      const reports = await servers.shutdown();
      assert.deepEqual(reports.map(({ aborted }) => aborted), reports.map(() => 0));
    });
  });
}
