/**
 * The program once more, as a process of its own that its runtime starts anew when a file of it changes.
 *
 * Every runtime watches what a program imports, by a flag of its own, which has to be there from the start.
 *
 * @module
 */

/** How long a program under development has to finish what it does, once it is to stop. */
const GRACE_MS = 1_000;

/**
 * Runs this program with other arguments under the runtime's watching, and ends as it ends.
 *
 * @param flags The runtime's own arguments in front of the module's path.
 * @param modulePath The path of the module that this program was started with.
 * @param args The arguments behind it.
 * @returns The exit code.
 */
export async function runWatched(
  flags: readonly string[],
  modulePath: string,
  args: readonly string[],
): Promise<number> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, [...flags, modulePath, ...args], { stdio: "inherit" });
  // The watcher of Deno outlives a program that listens to signals, and waits for the next change of a file.
  const endSoon = (): void => void setTimeout(() => process.kill(child.pid!, "SIGKILL"), GRACE_MS);
  // Ctrl+C reaches both from the terminal; what a supervisor sends reaches this one alone.
  const passOn = (): void => {
    child.kill("SIGTERM");
    endSoon();
  };
  process.on("SIGTERM", passOn).on("SIGINT", endSoon);
  return await new Promise((resolve) => {
    child.on("error", () => resolve(1));
    child.on("exit", (code) => resolve(code ?? 0));
  });
}
