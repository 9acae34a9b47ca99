/**
 * Where the environment has the command listen: `PORT` and `HOST`, as platforms set them.
 *
 * It decides what these variables mean. It must not know what the command line or the module say.
 *
 * @module
 */

import { NUMBER_RULES } from "../api/option_rules.ts";
import type { ServeOptions } from "../api/options.ts";
import type { Host } from "../runtime.ts";
import { UsageError } from "./cli_arguments.ts";

/**
 * Reads them; empty ones are taken for ones that are not set.
 *
 * @throws {UsageError} With one line that says what is wrong.
 */
export function optionsOfEnvironment({ environment }: Host): ServeOptions {
  const port = environment("PORT") ?? "";
  const hostname = environment("HOST") ?? "";
  return {
    ...(port === "" ? {} : { port: readPort(port) }),
    ...(hostname === "" ? {} : { hostname }),
  };
}

function readPort(port: string): number {
  const { min, max } = NUMBER_RULES.port;
  if (/^\d+$/.test(port) && Number(port) <= max) return Number(port);
  const given = JSON.stringify(port.slice(0, 100));
  throw new UsageError(`The environment variable PORT is ${given}, allowed is a whole number from ${min} to ${max}.`);
}
