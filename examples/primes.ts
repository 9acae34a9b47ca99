/**
 * A handler that computes for a while: how many primes there are below a number.
 *
 * On one event loop it would hold up everybody else. `hybrid.ts` runs it on threads, and so does the command line:
 *
 *     deno run -A src/entry/cli.ts serve examples/primes.ts --model hybrid --threads 2
 *
 * @module
 */

const MAX_LIMIT = 20_000_000;

function countPrimes(limit: number): number {
  const isComposite = new Uint8Array(limit);
  let count = 0;
  for (let candidate = 2; candidate < limit; candidate++) {
    if (isComposite[candidate] === 1) continue;
    count++;
    for (let multiple = candidate * candidate; multiple < limit; multiple += candidate) isComposite[multiple] = 1;
  }
  return count;
}

export default {
  fetch(request: Request): Response {
    const limit = Number(new URL(request.url).searchParams.get("below") ?? 1_000_000);
    if (!Number.isInteger(limit) || limit < 0 || limit > MAX_LIMIT) {
      return Response.json({ error: `below must be a whole number from 0 to ${MAX_LIMIT}` }, { status: 400 });
    }
    return Response.json({ below: limit, primes: countPrimes(limit) });
  },
};
