/**
 * How many descriptors this process may have open, which Linux tells in a file.
 *
 * @module
 */

/** Where the limit is told. */
const LIMITS_PATH = "/proc/self/limits";

/**
 * Reads the limit that holds now: the runtimes raise it to the hard limit when they start.
 *
 * @param readTextFile Reads a file at once; it may throw, and may be missing.
 * @returns The number of descriptors, or `null` where that is not known or there is no limit.
 */
export function readDescriptorLimit(
  readTextFile: ((path: string, encoding: "utf8") => string) | undefined,
): number | null {
  try {
    const line = /^Max open files +(\d+) /m.exec(readTextFile?.(LIMITS_PATH, "utf8") ?? "");
    return line === null ? null : Number(line[1]);
  } catch {
    return null;
  }
}
