/**
 * Tests that spend their time waiting for programs, played at the same time and told one by one.
 *
 * It knows nothing of what is played.
 *
 * @module
 */

/**
 * Plays all rows at the same time, as soon as one is asked for.
 *
 * @param rows What is played.
 * @param play Plays one.
 * @returns Gives the outcome of a row, or rejects with what it failed with.
 */
export function atOnce<Row, Outcome>(
  rows: readonly Row[],
  play: (row: Row) => Promise<Outcome>,
): (row: Row) => Promise<Outcome> {
  let outcomes: Map<Row, Promise<Outcome>> | undefined;
  return (row) => {
    outcomes ??= new Map(rows.map((each) => [each, play(each)]));
    // A failure is told by the test of its row, which may come to it later.
    for (const outcome of outcomes.values()) outcome.catch(() => {});
    return outcomes.get(row)!;
  };
}
