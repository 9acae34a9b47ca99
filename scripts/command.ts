/**
 * Runs a command to its end or to its deadline, and leaves nothing behind.
 *
 * Each command leads a process group of its own, so that what it started in turn ends with it: on its exit, on its
 * deadline, and when this program ends, be it killed. It does not judge what a command printed.
 *
 * @module
 */

/** What a command did. */
export interface CommandResult {
  /** The exit code; 128 and the signal's number after a signal; 126 or 127 if there is no such program. */
  readonly exitCode: number;
  /** Standard output and standard error, in the order in which they came. */
  readonly output: string;
  /** How long it ran. */
  readonly seconds: number;
  /** Whether it was ended because its deadline had passed. */
  readonly timedOut: boolean;
}

/** How to run a command. */
export interface CommandOptions {
  /** The working directory. */
  readonly cwd: string;
  /** When the command is ended. */
  readonly deadlineMs: number;
  /** Whether the deadline begins anew with whatever the command prints. */
  readonly mayGoOnWhilePrinting?: boolean;
  /** What its environment has beside this program's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Told what the command prints, as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** The time a command has between the polite signal and the last one, to say what it was doing. */
const GRACE_MS = 2_000;
/** Enough for every report of a command's exit, short enough not to be noticed. */
const LAST_OUTPUT_MS = 1_000;

/**
 * Starts the program in place of the shell, with its own exit code and signals, and beside it a reader of the pipe this
 * program holds open. The pipe ends with this program, however it ends, and then the reader ends the group.
 */
const LIFELINE = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-';

/**
 * Runs a command without a terminal, without colors and without input.
 *
 * @param argv The program and its arguments.
 * @param options Where and for how long.
 * @returns What it did; never rejects because of the command.
 */
export async function runCommand(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const startMs = performance.now();
  const chunks: string[] = [];
  const take = (text: string): void => {
    chunks.push(text);
    options.onOutput?.(text);
    if (options.mayGoOnWhilePrinting) setDeadline();
  };
  const child = new Deno.Command("sh", {
    args: ["-c", LIFELINE, "sh", ...argv],
    cwd: options.cwd,
    env: { ...commandEnvironment(), ...options.env },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  }).spawn();

  let timedOut = false;
  let isOver = false;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  let lastResort: ReturnType<typeof setTimeout> | undefined;
  const setDeadline = (): void => {
    if (timedOut || isOver) return;
    clearTimeout(deadline);
    deadline = setTimeout(() => {
      timedOut = true;
      signalGroup(child.pid, "SIGTERM");
      lastResort = setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_MS);
    }, options.deadlineMs);
  };
  setDeadline();
  const output = Promise.all([collect(child.stdout, take), collect(child.stderr, take)]);
  const status = await child.status;
  isOver = true;
  clearTimeout(deadline);
  clearTimeout(lastResort);

  // A process the command left behind would hold the pipes open.
  signalGroup(child.pid, "SIGKILL");
  await child.stdin.close().catch(() => undefined);
  await settledWithin(output, LAST_OUTPUT_MS);
  const seconds = (performance.now() - startMs) / 1000;
  return { exitCode: status.code, output: chunks.join(""), seconds, timedOut };
}

/** This program's environment without what would change a command's output or make it run something else. */
function commandEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of ["FORCE_COLOR", "NODE_TEST_CONTEXT", "npm_config_package", "npm_config_call"]) {
    delete environment[name];
  }
  return { ...environment, NO_COLOR: "1", npm_config_loglevel: "error" };
}

async function collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of stream) take(decoder.decode(bytes, { stream: true }));
}

async function settledWithin(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<void>((resolve) => timer = setTimeout(resolve, milliseconds));
  await Promise.race([promise, expired]);
  clearTimeout(timer);
}

function signalGroup(leader: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-leader, signal);
  } catch {
    // The group has ended already.
  }
}
