/**
 * The arguments of the command-line program.
 *
 * It decides what a command line asks for. It must not know how that is done, or which flags there are: those are in
 * `cli_flags.ts`.
 *
 * @module
 */

import { findNearestName } from "../api/nearest_name.ts";
import type { ServeOptions } from "../api/options.ts";
import { type Flag, FLAGS, FOREIGN_FLAGS, ruleOf, type Settings } from "./cli_flags.ts";

/** What a command line asks for. */
export type Command =
  | { readonly name: "help" }
  | { readonly name: "version" }
  | {
    readonly name: "serve";
    /** The path of what is served. */
    readonly target: string;
    readonly options: ServeOptions;
    readonly settings: Settings;
  };

/** A command line that can't be understood; its message is one line for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Parses the arguments behind the program's name.
 *
 * @throws {UsageError} With one line that says what is wrong.
 */
export function parseArguments(args: readonly string[]): Command {
  if (args.length === 0 || args[0] === "help" || args.includes("--help") || args.includes("-h")) {
    return { name: "help" };
  }
  if (args.includes("--version") || args.includes("-v")) return { name: "version" };
  // `serve` is the only command, so that its name may be left out.
  return parseServe(args[0] === "serve" ? args.slice(1) : args);
}

function parseServe(args: readonly string[]): Command {
  const options: Record<string, unknown> = {};
  const settings: Record<string, unknown> = {};
  let target: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (!arg.startsWith("-")) {
      if (target !== undefined) throw new UsageError(`One module is served, got a second: ${quote(arg)}.`);
      target = arg;
      continue;
    }
    const [name, attached] = splitAtEquals(arg);
    const flag = findFlag(name);
    const given = flag.value === undefined ? attached : attached ?? args[++i];
    const value = readValue(name, flag, given);
    if (flag.option !== undefined) {
      options[flag.option] = flag.member === undefined
        ? value
        : { ...options[flag.option] as object | undefined, [flag.member]: value };
    }
    if (flag.setting !== undefined) settings[flag.setting] = value;
  }
  const served = target ?? settings.static;
  if (typeof served !== "string" || served === "") {
    throw new UsageError("No module to serve; usage: trivet <module or folder> [options].");
  }
  return { name: "serve", target: served, options, settings };
}

function findFlag(name: string): Flag {
  const flag = FLAGS.find(({ names }) => names.includes(name));
  if (flag !== undefined) return flag;
  const nearest = findNearestName(name, FLAGS.flatMap(({ names }) => names));
  const hint = nearest === null ? "see trivet --help." : `did you mean ${nearest}?`;
  throw new UsageError(`Unknown option ${quote(name)}; ${FOREIGN_FLAGS[name] ?? hint}`);
}

function readValue(name: string, flag: Flag, given: string | undefined): unknown {
  if (flag.value === undefined) {
    if (given !== undefined) throw new UsageError(`The option ${name} takes no value.`);
    return true;
  }
  // An empty one is mostly a variable of a shell that is not set; as a path it would be the working directory.
  if (given === undefined || given === "") throw new UsageError(`The option ${name} needs a value.`);
  if (flag.value === "<peers>") return readPeers(given);
  if (flag.value !== "number") return given;
  if (/^\d+$/.test(given)) return Number(given);
  const canBeInfinite = ruleOf(flag)?.canBeInfinite === true;
  if (canBeInfinite && given.toLowerCase() === "infinity") return Infinity;
  const allowed = canBeInfinite ? "a whole number, or infinity" : "a whole number";
  throw new UsageError(`The option ${name} is ${quote(given)}, allowed is ${allowed}.`);
}

/** "loopback", ranges of addresses with commas between them, or a number of proxies. */
function readPeers(given: string): string | number | string[] {
  if (given === "loopback") return given;
  return /^[0-9]{1,3}$/.test(given) ? Number(given) : given.split(",");
}

function splitAtEquals(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
