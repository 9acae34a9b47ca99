/**
 * The clients that are sent through all lanes at once: silent ones, computing requests and quick ones.
 *
 * Everything is bounded in number and time, and goes to the lanes of this machine alone.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Model } from "../../../mod.ts";

/** What clients there are. */
export interface Traffic {
  /** Clients that connect and say nothing. */
  readonly silent: number;
  /** How long each computing request takes; 0 for none. */
  readonly computingMs: number;
  /** Whether threads are ended meanwhile. */
  readonly endsThreads: boolean;
}

/** What a button of the page sends. */
export const TRAFFICS: Readonly<Record<string, Traffic>> = {
  all: { silent: 8, computingMs: 250, endsThreads: false },
  silent: { silent: 8, computingMs: 0, endsThreads: false },
  threads: { silent: 0, computingMs: 0, endsThreads: true },
};

/** What has happened to a quick request, at a time of the run. `tookMs` is `null` where no answer came. */
export interface QuickEnd {
  readonly model: Model;
  readonly atMs: number;
  readonly tookMs: number | null;
}

/** For so long requests are sent. */
export const RUN_MS = 5_000;
const QUICK_EVERY_MS = 150;
const COMPUTE_EVERY_MS = 800;
const END_THREAD_EVERY_MS = 1_500;
/** The last quick request has so long for its answer. */
const PATIENCE_MS = 1_000;

/** Sends the traffic through one lane until the run is over, and tells how each quick request ended. */
export async function sendThrough(
  model: Model,
  port: number,
  traffic: Traffic,
  signal: AbortSignal,
  tell: (end: QuickEnd) => void,
): Promise<void> {
  const startMs = performance.now();
  const sockets = new Set<Socket>();
  const hasTime = (): boolean => performance.now() - startMs < RUN_MS && !signal.aborted;
  const ask = (path: string): Promise<boolean> => request(port, path, sockets);
  for (let i = 0; i < traffic.silent; i++) void request(port, null, sockets);
  const repeat = async (everyMs: number, act: () => unknown): Promise<void> => {
    for (; hasTime(); await delay(everyMs)) await act();
  };
  const computing = traffic.computingMs === 0
    ? null
    : repeat(COMPUTE_EVERY_MS, () => void ask(`/compute?ms=${traffic.computingMs}`));
  const ending = traffic.endsThreads ? repeat(END_THREAD_EVERY_MS, () => void ask("/end-thread")) : null;
  const ends: Promise<void>[] = [];
  const quick = repeat(QUICK_EVERY_MS, () => {
    const atMs = performance.now() - startMs;
    ends.push(
      ask("/quick").then((isAnswered) => {
        tell({ model, atMs, tookMs: isAnswered ? performance.now() - startMs - atMs : null });
      }),
    );
  });
  await Promise.all([computing, ending, quick]);
  if (!signal.aborted) await delay(PATIENCE_MS);
  for (const socket of sockets) socket.destroy();
  await Promise.all(ends);
}

/** Sends a request, or connects and says nothing, over a connection of its own. Resolves to whether it was answered. */
function request(port: number, path: string | null, sockets: Set<Socket>): Promise<boolean> {
  return new Promise((resolve) => {
    let isAnswered = false;
    const socket = connect({ host: "127.0.0.1", port }, () => {
      if (path !== null) socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    });
    sockets.add(socket);
    socket.on("data", (bytes: Uint8Array) => {
      isAnswered ||= new TextDecoder().decode(bytes).startsWith("HTTP/1.1 200");
      if (isAnswered) socket.end();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      resolve(isAnswered);
    });
  });
}
