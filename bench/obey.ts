/**
 * The other end of a child program, on every runtime: it does what it is told in lines.
 *
 * @module
 */

import process from "node:process";

export type Commands = Readonly<Record<string, (...words: string[]) => unknown>>;

/**
 * Does what each line of standard input says, a command and its words, and answers with a line of JSON, which has an
 * `error` where the command has failed.
 *
 * @param lifetimeMs When the process ends in any case; where it is given, the process ends with its input, too.
 */
export function obey(commands: Commands, lifetimeMs = 0): void {
  // The next line comes when this one was answered, and no line is long.
  process.stdin.on("data", async (bytes: Uint8Array) => {
    const [command, ...words] = new TextDecoder().decode(bytes).trim().split(" ");
    try {
      console.log(JSON.stringify(await commands[command](...words) ?? null));
    } catch (error) {
      console.log(JSON.stringify({ error: String((error as Error).stack ?? error) }));
    }
  });
  if (lifetimeMs === 0) return;
  process.stdin.on("end", () => process.exit(0));
  setTimeout(() => process.exit(1), lifetimeMs).unref();
}
