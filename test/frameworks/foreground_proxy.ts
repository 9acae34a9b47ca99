/**
 * A proxy of Debian that a suite starts in the foreground, and ends.
 *
 * @module
 */

const DEADLINE_MS = 10_000;
const POLL_MS = 50;

/** A proxy that runs. */
export class ForegroundProxy {
  readonly port: number;
  readonly #child: Deno.ChildProcess;

  constructor(program: string, args: readonly string[], port: number) {
    this.port = port;
    this.#child = new Deno.Command(program, { args: [...args], stdin: "null", stdout: "null", stderr: "inherit" })
      .spawn();
  }

  /** Waits until it takes connections. */
  async ready(): Promise<void> {
    for (const untilMs = Date.now() + DEADLINE_MS;;) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
        return;
      } catch (error) {
        if (Date.now() > untilMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    }
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}
