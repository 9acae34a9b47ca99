/**
 * Finds the name that was meant by one that is not known.
 *
 * @module
 */

/** A name that is further away than this part of its length was not meant. */
const MAX_DISTANCE_SHARE = 0.4;

/**
 * The known name that is nearest to a given one, without regard to case; `null` where none is near.
 *
 * @param given What a user wrote.
 * @param known The names there are.
 */
export function findNearestName(given: string, known: readonly string[]): string | null {
  let nearest: string | null = null;
  let least = Infinity;
  for (const name of known) {
    const distance = distanceOf(given.toLowerCase(), name.toLowerCase());
    if (distance >= least || distance > MAX_DISTANCE_SHARE * name.length) continue;
    nearest = name;
    least = distance;
  }
  return nearest;
}

/** How many chars have to be added, left out, replaced or swapped with their neighbour to make one text of another. */
function distanceOf(one: string, other: string): number {
  // What is this long is no slip of the finger, and comparing it costs the product of the lengths.
  if (Math.abs(one.length - other.length) > other.length) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (isSame ? 0 : 1));
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isSwapped) row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
    }
    beforeLast = last;
    last = row;
  }
  return last[other.length];
}
