/**
 * The arguments of the command-line program.
 *
 * It decides what a command line asks for. It must not know how that is done.
 *
 * @module
 */

import { findNearestName } from "../api/nearest_name.ts";
import { INFINITE_OPTION_NAMES, NUMBER_OPTION_NAMES } from "../api/option_rules.ts";

/** What a command line asks for. */
export type Command =
  | { readonly name: "help" }
  | { readonly name: "version" }
  | {
    readonly name: "serve";
    readonly modulePath: string;
    readonly options: Readonly<Record<string, unknown>>;
    /** Whether `HttpResponse` takes the place of the global `Response`. */
    readonly fastResponse: boolean;
  };

/** A command line that can't be understood; its message is one line for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Options that take text, and flags that take nothing. */
const TEXT_NAMES = ["hostname", "unix", "model", "healthPath"];
const FLAG_NAMES = ["reusePort", "nativeRequest"];

/** Not an option of a server: what it does is done before the module is loaded. */
const FAST_RESPONSE = "--fast-response";

/** Options by the name they have on the command line. */
const NAMES_BY_OPTION = new Map(
  [...NUMBER_OPTION_NAMES, ...TEXT_NAMES, ...FLAG_NAMES].map((name) => [`--${toKebabCase(name)}`, name]),
);

/** What `--help` prints. */
export const USAGE: string = [
  "Usage: trivet serve <module> [options]",
  "",
  "Serves a module whose default export is { fetch }, on Deno, Bun and Node alike.",
  "",
  "Options (they win over what the module's default export sets):",
  ...[...NAMES_BY_OPTION].map(([option, name]) => `  ${option}${valueHint(name)}`),
  `  ${FAST_RESPONSE}  (makes the global Response fast: it becomes HttpResponse)`,
  "  --help",
  "  --version",
  "",
  "Times are in milliseconds (--retry-after in seconds), sizes in bytes. SIGINT and SIGTERM stop the server gracefully,",
  "a second one at once.",
].join("\n");

/**
 * Parses the arguments behind the program's name.
 *
 * @throws {UsageError} With one line that says what is wrong.
 */
export function parseArguments(args: readonly string[]): Command {
  const [command, ...rest] = args;
  if (command === undefined || command === "help" || args.includes("--help") || args.includes("-h")) {
    return { name: "help" };
  }
  if (command === "version" || command === "--version" || command === "-V") return { name: "version" };
  if (command !== "serve") throw new UsageError(`Unknown command ${quote(command)}, expected "serve".`);
  return parseServe(rest);
}

function parseServe(args: readonly string[]): Command {
  const options: Record<string, unknown> = {};
  let modulePath: string | undefined;
  let fastResponse = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith("-")) {
      if (modulePath !== undefined) throw new UsageError(`One module is served, got a second: ${quote(arg)}.`);
      modulePath = arg;
      continue;
    }
    const [option, attached] = splitAtEquals(arg);
    if (arg === FAST_RESPONSE) {
      fastResponse = true;
      continue;
    }
    const name = NAMES_BY_OPTION.get(option);
    if (name === undefined) {
      const nearest = findNearestName(option, [...NAMES_BY_OPTION.keys()]);
      const hint = nearest === null ? "see trivet --help." : `did you mean ${nearest}?`;
      throw new UsageError(`Unknown option ${quote(option)}; ${hint}`);
    }
    if (FLAG_NAMES.includes(name)) {
      if (attached !== undefined) throw new UsageError(`The option ${option} takes no value.`);
      options[name] = true;
      continue;
    }
    const value = attached ?? args[++i];
    if (value === undefined) throw new UsageError(`The option ${option} needs a value.`);
    options[name] = TEXT_NAMES.includes(name) ? value : parseNumber(option, name, value);
  }
  if (modulePath === undefined) throw new UsageError("No module to serve; usage: trivet serve <module> [options].");
  return { name: "serve", modulePath, options, fastResponse };
}

function parseNumber(option: string, name: string, value: string): number {
  const canBeInfinite = INFINITE_OPTION_NAMES.includes(name);
  if (/^\d+$/.test(value)) return Number(value);
  if (canBeInfinite && value.toLowerCase() === "infinity") return Infinity;
  const allowed = canBeInfinite ? "a whole number, or infinity" : "a whole number";
  throw new UsageError(`The option ${option} is ${quote(value)}, allowed is ${allowed}.`);
}

function splitAtEquals(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

function toKebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function valueHint(name: string): string {
  if (FLAG_NAMES.includes(name)) return "";
  if (TEXT_NAMES.includes(name)) return ` <${name}>`;
  return INFINITE_OPTION_NAMES.includes(name) ? " <number or infinity>" : " <number>";
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
