/**
 * The flags of the command-line program: one row each.
 *
 * It decides what each is called, what value it takes, and what the help says of it. It must not know how a command
 * line is read or what is done with the values.
 *
 * @module
 */

import { NUMBER_RULES, type NumberRule } from "../api/option_rules.ts";
import type { ServeOptions } from "../api/options.ts";

/** What the command line tells the program itself, and not the server. */
export interface Settings {
  /** Whether `HttpResponse` takes the place of the global `Response`. */
  readonly fastResponse?: boolean;
  /** Whether the program starts anew when a file of it changes. */
  readonly watch?: boolean;
  /** The folder of files that are served beside the module. */
  readonly static?: string;
  /** How requests are logged, or "none". */
  readonly log?: string;
  /** The file they are logged to. */
  readonly logFile?: string;
}

/** One flag. It sets an option of the server, or a setting of the program. */
export interface Flag {
  /** Its name, first the one that the help shows. */
  readonly names: readonly string[];
  readonly option?: keyof ServeOptions;
  readonly setting?: keyof Settings;
  /** Where the option is an object: what it sets in it. */
  readonly member?: string;
  /** What stands behind it: a whole number, or text of this name. Without it the flag is a switch. */
  readonly value?: "number" | "<peers>" | `<${string}>`;
  /** What the help says, without the default of a number, which is added. */
  readonly help: string;
}

/** Flags that belong together. */
interface FlagGroup {
  readonly title: string;
  readonly flags: readonly Flag[];
}

/** Every flag, as the help shows them. */
export const FLAG_GROUPS: readonly FlagGroup[] = [
  {
    title: "Where it listens",
    flags: [
      { names: ["--port", "-p"], option: "port", value: "number", help: "TCP port; 0 lets the system choose" },
      { names: ["--host", "--hostname"], option: "hostname", value: "<address>", help: 'address (default "::")' },
      { names: ["--unix"], option: "unix", value: "<path>", help: "Unix domain socket, in place of TCP" },
      { names: ["--unix-mode"], option: "unixMode", value: "<mode>", help: "who may connect to it, such as 660" },
      { names: ["--fd"], option: "fd", value: "number", help: "a socket that was handed over, by its descriptor" },
      { names: ["--reuse-port"], option: "reusePort", help: "share the port with other processes" },
      { names: ["--tcp-backlog"], option: "tcpBacklog", value: "number", help: "connections that wait for accept" },
    ],
  },
  {
    title: "TLS, and proxies in front",
    flags: [
      { names: ["--tls-cert"], option: "tls", member: "cert", value: "<path>", help: "certificate chain, in PEM" },
      { names: ["--tls-key"], option: "tls", member: "key", value: "<path>", help: "its private key, in PEM" },
      {
        names: ["--tls-min-version"],
        option: "tls",
        member: "minVersion",
        value: "<version>",
        help: "TLSv1.2 or TLSv1.3 (default TLSv1.2)",
      },
      { names: ["--tls-watch"], option: "tlsWatch", help: "look every 5 s whether they have changed" },
      {
        names: ["--trust-proxy"],
        option: "trustProxy",
        member: "from",
        value: "<peers>",
        help:
          "believe X-Forwarded-For and -Proto of loopback, of ranges with commas between, or of a number of proxies",
      },
      {
        names: ["--proxy-protocol"],
        option: "proxyProtocol",
        member: "from",
        value: "<peers>",
        help: "expect PROXY headers of loopback, or of ranges with commas between",
      },
    ],
  },
  {
    title: "How it serves",
    flags: [
      {
        names: ["--model"],
        option: "model",
        value: "<name>",
        help: "blocking, worker-pool, event-driven or hybrid (default event-driven)",
      },
      { names: ["--loops"], option: "loops", value: "number", help: "event loops of event-driven" },
      { names: ["--workers"], option: "workers", value: "number", help: "of worker-pool (default: twice the cores)" },
      { names: ["--threads"], option: "threads", value: "number", help: "of hybrid (default: the cores)" },
      { names: ["--max-queue"], option: "maxQueue", value: "number", help: "what waits for its turn; then 503" },
      {
        names: ["--max-requests-per-thread"],
        option: "maxRequestsPerThread",
        value: "number",
        help: "then a fresh one",
      },
      { names: ["--max-thread-memory"], option: "maxThreadMemory", value: "number", help: "bytes of a heap, on Node" },
      {
        names: ["--unhandled-rejections"],
        option: "unhandledRejections",
        value: "<what>",
        help: "on threads: report, or fatal to the thread (default report)",
      },
      { names: ["--watch"], setting: "watch", help: "start anew when a file of the program changes" },
      { names: ["--static", "-s"], setting: "static", value: "<folder>", help: "its files, beside the module" },
      { names: ["--fast-response"], setting: "fastResponse", help: "the global Response becomes HttpResponse" },
      { names: ["--native-request"], option: "nativeRequest", help: "handlers get a Request of the runtime" },
      { names: ["--health-path"], option: "healthPath", value: "<path>", help: "answered with 200 by the loop itself" },
    ],
  },
  {
    title: "What it tells",
    flags: [
      {
        names: ["--log"],
        setting: "log",
        value: "<format>",
        help: "of requests: short, common, combined, json or none (default: short on a terminal, else none)",
      },
      { names: ["--log-file"], setting: "logFile", value: "<path>", help: "logs them to a file (default: combined)" },
    ],
  },
  {
    title: "Timeouts, in milliseconds; 0 is none",
    flags: [
      { names: ["--headers-timeout"], option: "headersTimeout", value: "number", help: "for a head; then 408" },
      { names: ["--request-timeout"], option: "requestTimeout", value: "number", help: "for a request; then 408" },
      { names: ["--keep-alive-timeout"], option: "keepAliveTimeout", value: "number", help: "for the next request" },
      { names: ["--handler-timeout"], option: "handlerTimeout", value: "number", help: "for a response; then 503" },
      { names: ["--queue-timeout"], option: "queueTimeout", value: "number", help: "for its turn; then 503" },
      { names: ["--write-timeout"], option: "writeTimeout", value: "number", help: "for a client to take 64 KiB" },
      {
        names: ["--half-close-timeout"],
        option: "halfCloseTimeout",
        value: "number",
        help: "for a client that has ended its side; 0 is at once",
      },
      {
        names: ["--drain-delay"],
        option: "drainDelay",
        value: "number",
        help: "of SIGTERM, in which a stop is only announced; 1000 with --health-path",
      },
      { names: ["--drain-timeout"], option: "drainTimeout", value: "number", help: "of a stop, then for what is open" },
    ],
  },
  {
    title: "Limits; sizes in bytes",
    flags: [
      { names: ["--max-header-size"], option: "maxHeaderSize", value: "number", help: "of a header; then 431" },
      { names: ["--max-headers-count"], option: "maxHeadersCount", value: "number", help: "lines of it; then 431" },
      { names: ["--max-request-target-size"], option: "maxRequestTargetSize", value: "number", help: "then 414" },
      { names: ["--max-request-body-size"], option: "maxRequestBodySize", value: "number", help: "then 413" },
      {
        names: ["--max-connections"],
        option: "maxConnections",
        value: "number",
        help: "of a loop; then 503 (default: from the limit on descriptors)",
      },
      { names: ["--max-connections-per-ip"], option: "maxConnectionsPerIp", value: "number", help: "0 is no bound" },
      { names: ["--max-requests-per-socket"], option: "maxRequestsPerSocket", value: "number", help: "0 is no bound" },
      { names: ["--retry-after"], option: "retryAfter", value: "number", help: "seconds that a 503 asks to wait" },
    ],
  },
];

const OF_RUNTIME = "is told to the runtime, in front of the module: see docs/command.md.";

/** Flags of `deno serve`, `bun` and `srvx`, by which a person looks for something here; what `docs/command.md` says. */
export const FOREIGN_FLAGS: Readonly<Record<string, string>> = {
  "--tls": "write --tls-cert and --tls-key.",
  "--cert": "write --tls-cert.",
  "--key": "write --tls-key.",
  "--parallel": "write --loops, or --model hybrid --threads.",
  "--hot": "write --watch; bun --hot needs a program that calls serve().",
  "--watch-hmr": "write --watch.",
  "--entry": "the module stands alone: trivet app.ts.",
  "--dir": "change the working directory.",
  "--prod": "there is no other mode; --watch is for development.",
  "--max-http-header-size": "write --max-header-size.",
  "--insecure-http-parser": "there is no lenient parser.",
  "--import": OF_RUNTIME,
  "--preload": OF_RUNTIME,
  "--require": OF_RUNTIME,
  "--env-file": OF_RUNTIME,
  "--inspect": OF_RUNTIME,
};

/** Every flag. */
export const FLAGS: readonly Flag[] = FLAG_GROUPS.flatMap(({ flags }) => flags);

/** What bounds a flag's number has; `null` for one that takes none. */
export function ruleOf({ option, value }: Flag): NumberRule | null {
  if (value !== "number") return null;
  return (NUMBER_RULES as Readonly<Record<string, NumberRule>>)[option ?? ""] ?? null;
}

const COMMANDS: readonly [what: string, help: string][] = [
  ["-h, --help", "print this"],
  ["-v, --version", "print the versions of Trivet and of the runtime"],
];

/** What `--help` prints. */
export function composeHelp(): string {
  const groups: [title: string, rows: readonly (readonly [string, string])[]][] = [
    ...FLAG_GROUPS.map(({ title, flags }): [string, [string, string][]] => [
      title,
      flags.map((flag) => [composeName(flag), composeMeaning(flag)]),
    ]),
    ["And", COMMANDS],
  ];
  const width = Math.max(...groups.flatMap(([, rows]) => rows.map(([name]) => name.length)));
  return [
    "Usage: trivet <module or folder> [options]",
    "",
    "Serves a module whose default export has a fetch function, or the files of a folder, on Deno, Bun and Node alike.",
    "Options win over what the default export sets.",
    ...groups.flatMap((
      [title, rows],
    ) => ["", title, ...rows.map(([name, help]) => `  ${name.padEnd(width)}  ${help}`)]),
    "",
    "PORT and HOST of the environment win over the module, and options over them.",
    "SIGTERM and SIGINT stop the server gracefully, a second one at once. The exit code is 0, or 3 where that has cut off",
    "a request; 2 for a wrong command line, and 1 where it can't be done.",
  ].join("\n");
}

function composeName(flag: Flag): string {
  const shorts = flag.names.filter((name) => !name.startsWith("--")).map((name) => `${name}, `);
  const value = flag.value === "number" ? "<number>" : flag.value ?? "";
  return `${shorts.join("")}${flag.names[0]} ${value}`.trimEnd();
}

function composeMeaning(flag: Flag): string {
  const rule = ruleOf(flag);
  if (rule === null) return flag.help;
  const infinity = rule.canBeInfinite === true ? ", infinity is never" : "";
  const byDefault = rule.default === undefined ? "" : ` (default ${rule.default})`;
  return `${flag.help}${infinity}${byDefault}`;
}
