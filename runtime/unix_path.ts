/**
 * The file of a Unix domain socket: making way for it where a server before has left one behind, and who may connect.
 *
 * A process that is killed leaves the file, and no runtime listens where there is one.
 *
 * It decides when the file may be removed. It must not know what listens there.
 *
 * @module
 */

import type { Listener, ListenOptions } from "../src/transport.ts";

/** Listens at the path of a Unix domain socket, if the options name one. */
export function listenAtPath(
  options: ListenOptions,
  listen: () => Listener | Promise<Listener>,
): Listener | Promise<Listener> {
  const { unixPath, unixMode } = options;
  if (unixPath === undefined) return listen();
  return makeWayAndListen(unixPath, unixMode, listen);
}

async function makeWayAndListen(
  path: string,
  mode: number | undefined,
  listen: () => Listener | Promise<Listener>,
): Promise<Listener> {
  let listener: Listener;
  try {
    listener = await listen();
  } catch (error) {
    if ((error as { code?: unknown }).code !== "EADDRINUSE" || !await removeStale(path)) throw error;
    listener = await listen();
  }
  if (mode === undefined) return listener;
  try {
    const { chmodSync } = await import("node:fs");
    chmodSync(path, mode);
  } catch (error) {
    listener.close();
    throw error;
  }
  return listener;
}

/** Removes the file of a socket at which nothing listens. Returns whether it did. */
async function removeStale(path: string): Promise<boolean> {
  const { lstatSync, unlinkSync } = await import("node:fs");
  try {
    const before = lstatSync(path);
    if (!before.isSocket() || await isListening(path)) return false;
    // Another server may have made way as well, and listen here by now.
    if (lstatSync(path).ino !== before.ino) return false;
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Only a refusal says that nothing does: a server whose queue is full, or that is not ours to connect to, listens. */
async function isListening(path: string): Promise<boolean> {
  const { connect } = await import("node:net");
  return await new Promise((resolve) => {
    const socket = connect({ path }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: Error & { code?: string }) => resolve(error.code !== "ECONNREFUSED"));
  });
}
