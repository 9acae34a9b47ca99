/**
 * Node, behind the contract of `src/runtime.ts`.
 *
 * Translation only. The modules of Node are loaded when they are needed, because importing them costs Deno 50 ms and
 * this file is imported everywhere.
 *
 * @module
 */

import type { ResponseContents, Runtime } from "../src/runtime.ts";
import type { Listener, ListenOptions, TransportEvents } from "../src/transport.ts";
import { bufferCodecs, builtinCodecs } from "./builtin_codecs.ts";
import { createSystemClock } from "./clock.ts";
import { readDescriptorLimit } from "./descriptor_limit.ts";
import { createFiles } from "./files.ts";
import { listenOverNet } from "./node_net.ts";
import { ProcessHost } from "./process_host.ts";
import { whyNotBalanced } from "./sharing.ts";
import { listenAtPath } from "./unix_path.ts";
import { createThreads } from "./threads.ts";
import { tracingChannels } from "./tracing.ts";

/** The first versions of Node that can share a port. */
const REUSE_PORT_SINCE = [[22, 12], [23, 1]];

/** Makes the adapter. */
export function createNodeRuntime(): Runtime {
  return {
    name: "node",
    version: process.versions.node,
    clock: createSystemClock((handle) => (handle as { unref(): void }).unref()),
    host: new ProcessHost(process.argv.slice(2), process.argv[1]),
    files: createFiles(),
    availableCores,
    descriptorLimit: () => readDescriptorLimit(process.getBuiltinModule?.("node:fs").readFileSync),
    listen: (options, events) => listenAtPath(options, () => listen(options, events)),
    whyNotShared,
    ...createThreads({ canEndBusyThreads: true, limitsThreadMemory: true, searchesMessages: false }),
    ...bufferCodecs(),
    ...builtinCodecs(),
    ...tracingChannels(),
    responseContents: () => STREAMS_ONLY,
  };
}

/**
 * Nothing public tells what a Response was made of: Node 20 and 22 keep that in undocumented objects and 24 in private
 * fields; printing it shows the same byte stream for text, bytes, a Blob and a form, as does reading from it; cloning,
 * posting it to another thread and `v8.serialize` tell no more. Its streams give text and bytes of any length, and
 * forms of text, within the turn, so that their length is known all the same; from Node 24 on that of a Blob tells its
 * end in the next one.
 */
const STREAMS_ONLY: ResponseContents = {
  takeWhole: () => null,
  givesOwnBytes: false,
  namesTextType: true,
  streamTurns: 2,
  streamsFill: false,
  decodes,
};

/** Codings that fetch knows, also several; Zstandard since Node 24. */
function decodes(codings: string): boolean {
  const hasZstandard = Number.parseInt(process.versions.node) >= 24;
  return codings.split(",").every((coding) => {
    return /^(?:x-gzip|gzip|deflate|br)$/.test(coding.trim()) || (hasZstandard && coding.trim() === "zstd");
  });
}

function listen(options: ListenOptions, events: TransportEvents): Promise<Listener> {
  const why = options.reusePort ? whyCannotReusePort() : null;
  if (why !== null) {
    return Promise.reject(Object.assign(new Error(`${why}.`), { code: "ERR_REUSE_PORT_UNSUPPORTED" }));
  }
  return listenOverNet(options, events, {
    ownsHandles: true,
    readsBelowTls: false,
    resetsTls: false,
    stopsAcceptingAtLimit: false,
    openLibrary,
  });
}

function openLibrary(): never {
  throw new Error("Node has no way to call a C library.");
}

function whyNotShared(options: ListenOptions): string | null {
  return whyNotBalanced(options, process.platform) ?? whyCannotReusePort();
}

/** Node 20 has no navigator, and no way to its modules without waiting before 20.16. */
function availableCores(): number {
  return process.getBuiltinModule?.("node:os").availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

function whyCannotReusePort(): string | null {
  const { node: version } = process.versions;
  const [major, minor] = version.split(".").map(Number);
  const can = REUSE_PORT_SINCE.some(([since, sinceMinor]) => major === since && minor >= sinceMinor) || major > 23;
  return can ? null : `Node ${version} can't share a port; Node 22.12 and newer can`;
}
