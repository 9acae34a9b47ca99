/**
 * Counts how many functions of the package a request passes through, and how often the file changes on the way: what
 * a reader who follows it has to read.
 *
 * Every function, accessor and arrow of `src/` and `runtime/` is counted, from the adapter's read to its write, for a
 * second GET on a kept connection that is answered with a small HttpResponse, on Node.
 *
 * Usage: `deno task count [--trace] [root]`; with `--trace` the calls are printed in order. The root is this repository
 * unless another checkout of it is given.
 *
 * @module
 */

import { runCommand } from "./command.ts";
import { emit } from "./emit.ts";

/** One call, as it was made. */
export interface Call {
  /** The file of the function, relative to the repository. */
  readonly file: string;
  readonly line: number;
  /** The function's name, `=>` where it has none. */
  readonly name: string;
}

/** What was counted. */
export interface CallCounts {
  readonly calls: number;
  /** How often a call is in another file than the call before. */
  readonly fileChanges: number;
  /** The calls in the folder of the connection, without those of Outbound, which is the socket's end of it. */
  readonly inConnection: number;
}

/** What must not be exceeded: a number may be lowered when the code has become shorter, and not raised. */
export const MOST: CallCounts = { calls: 94, fileChanges: 59, inConnection: 24 };

/** The folders of the package, whose functions are counted. */
const COUNTED_FOLDERS = ["src", "runtime"];
/** Where the connection is, and where it was at 7772403, the state that the goal was set by. */
const CONNECTION = /^src\/(?:http1\/)?connection\/(?!outbound|exchange)/;
/** Where the adapter writes: what comes behind that is not counted. */
const WRITE = { file: "runtime/node_net.ts", name: "write" };
const COPIED = ["src", "runtime", "mod.ts", "deno.json"];
const PROGRAM = "scripts/count_calls_program";
const DEADLINE_MS = 60_000;

/** The body of one function. */
interface Body extends Call {
  readonly startByte: number;
  readonly endByte: number;
  readonly isBlock: boolean;
}

/**
 * Counts the calls of a request.
 *
 * @param root The repository whose `src/` and `runtime/` are counted.
 * @returns The calls in order.
 * @throws {Error} The code could not be read, or did not run; the message has the output.
 */
export async function traceCalls(root: string): Promise<Call[]> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "trivet_calls_" }));
  try {
    const copy = `${folder}/typescript`;
    await Deno.mkdir(copy);
    for (const path of COPIED) await run(["cp", "-r", `${root}/${path}`, copy], root);
    for (const empty of ["test", "examples", "scripts"]) await Deno.mkdir(`${copy}/${empty}`);
    const program = new URL(`../${PROGRAM}.ts`, import.meta.url);
    await Deno.copyFile(program, `${copy}/${PROGRAM}.ts`);
    const bodies = await findBodies(copy, folder);
    await instrument(copy, bodies);
    await emit(copy, `${folder}/javascript`);
    const output = await run(["node", `${PROGRAM}.js`], `${folder}/javascript`);
    const calls = (JSON.parse(output) as number[]).map((id) => bodies[id]);
    const end = calls.findLastIndex(({ file, name }) => file === WRITE.file && name === WRITE.name) + 1;
    return calls.slice(0, end).map(({ file, line, name }) => ({ file, line, name }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Counts calls that were traced. */
export function countCalls(calls: readonly Call[]): CallCounts {
  return {
    calls: calls.length,
    fileChanges: calls.filter(({ file }, at) => at > 0 && file !== calls[at - 1].file).length,
    inConnection: calls.filter(({ file }) => CONNECTION.test(file)).length,
  };
}

/** Finds every function of the package by a plugin of the linter, which is Deno's own parser of TypeScript. */
async function findBodies(root: string, folder: string): Promise<Body[]> {
  const plugin = new URL("count_calls_plugin.ts", import.meta.url).href;
  const config = `${folder}/lint.json`;
  const lint = { plugins: [plugin], rules: { tags: [], include: ["count-calls/bodies"] } };
  await Deno.writeTextFile(config, JSON.stringify({ lint }));
  const argv = [Deno.execPath(), "lint", "--quiet", "--json", `--config=${config}`, ...COUNTED_FOLDERS];
  const { output } = await runCommand(argv, { cwd: root, deadlineMs: DEADLINE_MS });
  const { diagnostics, errors } = JSON.parse(output) as LintReport;
  if (errors.length > 0 || diagnostics.length === 0) throw new Error(`The functions were not found.\n${output}`);
  return diagnostics.map(({ filename, range: { start, end }, message }) => {
    const [type, name] = message.split(" ");
    const file = decodeURIComponent(new URL(filename).pathname).slice(root.length + 1);
    const isBlock = type === "BlockStatement";
    return { file, name, line: start.line, startByte: start.bytePos, endByte: end.bytePos, isBlock };
  });
}

/** What `deno lint --json` prints, as far as it is used. */
interface LintReport {
  readonly diagnostics: readonly {
    readonly filename: string;
    readonly message: string;
    readonly range: { readonly start: LintPosition; readonly end: LintPosition };
  }[];
  readonly errors: readonly unknown[];
}

interface LintPosition {
  readonly line: number;
  readonly bytePos: number;
}

/** Makes each function tell its number first. */
async function instrument(root: string, bodies: readonly Body[]): Promise<void> {
  const insertions = new Map<string, { at: number; text: string }[]>();
  bodies.forEach(({ file, startByte, endByte, isBlock }, id) => {
    const inFile = insertions.get(file) ?? [];
    insertions.set(file, inFile);
    const tell = `(globalThis as any).tracedCalls?.push(${id})`;
    if (isBlock) inFile.push({ at: startByte + 1, text: `${tell};` });
    // What begins at the same byte stands outside and what ends there too, as they come from the outside in.
    else inFile.push({ at: startByte, text: `(${tell}, ` }, { at: endByte, text: ")" });
  });
  for (const [file, inFile] of insertions) {
    const bytes = await Deno.readFile(`${root}/${file}`);
    const decoder = new TextDecoder();
    let result = "";
    let end = 0;
    for (const { at, text } of inFile.toSorted((a, b) => a.at - b.at)) {
      result += decoder.decode(bytes.subarray(end, at)) + text;
      end = at;
    }
    await Deno.writeTextFile(`${root}/${file}`, result + decoder.decode(bytes.subarray(end)));
  }
}

async function run(argv: readonly string[], cwd: string): Promise<string> {
  const { exitCode, output } = await runCommand(argv, { cwd, deadlineMs: DEADLINE_MS });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")} ended with exit code ${exitCode}.\n${output}`);
  return output;
}

if (import.meta.main) {
  const here = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");
  const root = Deno.args.find((arg) => !arg.startsWith("--")) ?? here;
  const calls = await traceCalls(await Deno.realPath(root));
  if (Deno.args.includes("--trace")) {
    for (const { file, line, name } of calls) console.log(`${file}:${line}  ${name}`);
  }
  const { calls: all, fileChanges, inConnection } = countCalls(calls);
  console.log(`${all} calls, ${fileChanges} changes of file, ${inConnection} calls inside the connection.`);
}
