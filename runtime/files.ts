/**
 * Files through `node:fs`, which Deno, Bun and Node have alike, behind the contract of `src/runtime.ts`.
 *
 * Translation only. The modules of Node are loaded when they are needed, because importing them costs Deno 50 ms.
 *
 * @module
 */

import type { FileHandle } from "node:fs/promises";
import type { FileKind, Files, OpenFile, StoredBytes } from "../src/runtime.ts";

/** These mean that there are no more descriptors, of the process or of the system. */
const OUT_OF_DESCRIPTORS = ["EMFILE", "ENFILE"];

interface Modules {
  readonly fs: typeof import("node:fs/promises");
  /** To open without waiting: the open of a pipe that no program writes to would wait for ever. */
  readonly flags: number;
  /** And not through a link: it may have come to lead elsewhere since the real path was asked for. */
  readonly noLink: number;
  readonly toUrl: (path: string) => string;
}

let modules: Promise<Modules> | undefined;

async function load(): Promise<Modules> {
  const [fs, { constants }, { pathToFileURL }] = await Promise.all([
    import("node:fs/promises"),
    import("node:fs"),
    import("node:url"),
  ]);
  // Windows has no such flags, and no pipes among its files.
  return {
    fs,
    flags: constants.O_RDONLY | (constants.O_NONBLOCK ?? 0),
    noLink: constants.O_NOFOLLOW ?? 0,
    toUrl: (path) => pathToFileURL(path).href,
  };
}

function withModules(): Promise<Modules> {
  return modules ??= load();
}

/** Makes the part of a runtime that is concerned with files. */
export function createFiles(): Files {
  return {
    async kindOf(url): Promise<FileKind | null> {
      const { fs } = await withModules();
      const found = await fs.stat(new URL(url)).catch(asNothing);
      if (found === null) return null;
      return found.isFile() ? "file" : found.isDirectory() ? "folder" : "something else";
    },

    async realUrl(url): Promise<string | null> {
      const { fs, toUrl } = await withModules();
      const path = await fs.realpath(new URL(url)).catch(asNothing);
      return path === null ? null : toUrl(path);
    },

    async open(url): Promise<OpenFile | null> {
      const { fs, flags, noLink } = await withModules();
      let handle: FileHandle;
      try {
        handle = await fs.open(new URL(url), flags | noLink);
      } catch (error) {
        if (OUT_OF_DESCRIPTORS.includes((error as { code?: string }).code ?? "")) throw error;
        return asNothing(error);
      }
      return await toOpenFile(handle);
    },
  };
}

/** What is not there or can't be reached is nothing. That Deno was not permitted to look is the user's to mend. */
function asNothing(error: unknown): null {
  if ((error as Error).name === "NotCapable") throw error;
  return null;
}

/** A part of the file at a path, which is opened when it is first read. */
export function fileBytes(path: string, start: number, byteLength: number): StoredBytes {
  let opening: Promise<OpenFile | null> | undefined;
  const open = async (): Promise<OpenFile | null> => {
    const { fs, flags } = await withModules();
    return await toOpenFile(await fs.open(path, flags));
  };
  return {
    byteLength,
    async read(buffer, position) {
      const file = await (opening ??= open());
      return file === null ? 0 : await file.read(buffer, start + position);
    },
    async close() {
      // The error of opening is the reader's.
      await (await opening?.catch(() => null))?.close();
    },
  };
}

/** What was opened is looked at, and not its path, at which something else may stand by now. */
async function toOpenFile(handle: FileHandle): Promise<OpenFile | null> {
  const found = await handle.stat().catch(() => null);
  if (found === null || !found.isFile()) {
    await handle.close();
    return null;
  }
  let closed: Promise<void> | undefined;
  let reading: Promise<unknown> = Promise.resolve();
  return {
    byteLength: found.size,
    changedAtMs: found.mtimeMs,
    async read(buffer, position) {
      const read = handle.read(buffer, 0, buffer.byteLength, position);
      reading = read.catch(() => {});
      return (await read).bytesRead;
    },
    close: () => closed ??= reading.then(() => handle.close()),
  };
}
