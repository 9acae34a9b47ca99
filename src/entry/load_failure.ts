/**
 * Why a module could not be loaded, in the lines behind the message: the file, the line and the code there.
 *
 * Each runtime tells it in another place. It decides where to look, and must not know what the module was to be used
 * for.
 *
 * @module
 */

import { userFramesOf } from "../api/telling.ts";
import type { Host } from "../runtime.ts";

/** With the message there are less than ten. */
const MAX_LINES = 8;
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*m/g;

/** Where Bun's errors stand in a file. */
interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly lineText: string;
}

/**
 * The lines that show where a module is wrong; none where nothing tells.
 *
 * @param cause What was thrown.
 * @param url The module's.
 */
export async function explainLoadFailure(cause: unknown, url: string, host: Host): Promise<readonly string[]> {
  const lines = fromPosition(cause) ?? fromMessage(cause) ?? fromStack(cause) ??
    (cause instanceof SyntaxError ? fromCheck(await host.checkSyntax(url)) : null) ?? userFramesOf(cause);
  return lines.filter((line) => line.trim() !== "").slice(0, MAX_LINES);
}

/** Bun collects what it has found in a file, each with its position. */
function fromPosition(cause: unknown): string[] | null {
  const { errors = [cause] } = (cause ?? {}) as { errors?: readonly unknown[] };
  const lines = errors.flatMap((each) => {
    const { message, position } = (each ?? {}) as { message?: string; position?: Position | null };
    if (position === undefined || position === null) return [];
    const { file, line, column, lineText } = position;
    return [
      `    ${file}:${line}:${column}: ${message}`,
      `    ${lineText}`,
      `    ${" ".repeat(Math.max(0, column - 1))}^`,
    ];
  });
  return lines.length > 0 ? lines : null;
}

/** Deno has the code in its message. */
function fromMessage(cause: unknown): string[] | null {
  const [, ...rest] = messageOf(cause).replace(COLOURS, "").split("\n");
  return rest.length > 0 ? rest.map((line) => `    ${line}`) : null;
}

/** Node has it in front of the stack, for what it compiles itself. */
function fromStack(cause: unknown): string[] | null {
  const stack = cause instanceof Error && typeof cause.stack === "string" ? cause.stack : "";
  return fromCheck(/^(?:file:|\/|[A-Z]:).*:\d+\n/.test(stack) ? stack : null);
}

/** The first paragraph of what Node prints of a syntax error: file and line, the code, a mark below. */
function fromCheck(printed: string | null): string[] | null {
  return printed === null ? null : printed.split("\n\n")[0].split("\n").map((line) => `    ${line}`);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "";
}
