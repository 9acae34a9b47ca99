/**
 * Options of the programs of this folder: what they share in reading them.
 *
 * @module
 */

/** The command line asks for what there is not. */
export class UsageError extends Error {}

/**
 * The known things that a comma-separated value names, in their own order.
 *
 * @throws {UsageError} One of them is not known.
 */
export function select<T>(what: string, known: readonly T[], value: string, nameOf: (each: T) => string): T[] {
  const names = value.split(",");
  const unknown = names.find((name) => !known.some((each) => nameOf(each) === name));
  if (unknown === undefined) return known.filter((each) => names.includes(nameOf(each)));
  throw new UsageError(`Unknown ${what} "${unknown}": known are ${known.map(nameOf).join(", ")}.`);
}

/**
 * A number of rounds, seconds or the like.
 *
 * @throws {UsageError} It is none.
 */
export function positiveInteger(option: string, value: string): number {
  if (/^[1-9]\d{0,2}$/.test(value)) return Number(value);
  throw new UsageError(`${option} takes a positive whole number below 1000, got "${value}".`);
}
