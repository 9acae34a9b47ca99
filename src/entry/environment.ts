/**
 * Where the environment has the command listen: at a socket that systemd hands over, or at `PORT` and `HOST`, as
 * platforms set them.
 *
 * It decides what these variables mean. It must not know what the command line or the module say.
 *
 * @module
 */

import { NUMBER_RULES } from "../api/option_rules.ts";
import type { ServeOptions } from "../api/options.ts";
import type { Host } from "../runtime.ts";
import { UsageError } from "./cli_arguments.ts";

/** The descriptor of the first socket that systemd hands over (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3;

/**
 * Reads them; empty ones are taken for ones that are not set.
 *
 * @throws {UsageError} With one line that says what is wrong.
 */
export function optionsOfEnvironment(host: Host): ServeOptions {
  const environment = (name: string): string | null => host.environment(name);
  // LISTEN_PID names the process that the sockets are meant for, since its children inherit the variables.
  if (environment("LISTEN_PID") === String(host.pid)) return { fd: readActivation(environment("LISTEN_FDS")) };
  const port = environment("PORT") ?? "";
  const hostname = environment("HOST") ?? "";
  return {
    ...(port === "" ? {} : { port: readPort(port) }),
    ...(hostname === "" ? {} : { hostname }),
  };
}

function readActivation(count: string | null): number {
  if (count === "1") return FIRST_DESCRIPTOR;
  throw new UsageError(
    `The environment variable LISTEN_FDS is ${JSON.stringify(count)}, and one socket is served: allowed is 1.`,
  );
}

function readPort(port: string): number {
  const { min, max } = NUMBER_RULES.port;
  if (/^\d+$/.test(port) && Number(port) <= max) return Number(port);
  const given = JSON.stringify(port.slice(0, 100));
  throw new UsageError(`The environment variable PORT is ${given}, allowed is a whole number from ${min} to ${max}.`);
}
