/**
 * A file that lines are appended to, the same on Deno, Bun and Node.
 *
 * Writing is left to the runtime's threads, so that a disk which is slow, or a file system which is gone, holds nothing
 * up. Each write appends (O_APPEND), and so several threads and processes can share a file.
 *
 * It decides when the file is opened anew. It must not know what is written.
 *
 * @module
 */

/** How often it is looked whether the file is still the one that its path names. */
const LOOK_INTERVAL_MS = 2_000;

const LINE_FEED = 0x0a;

/** Appends text, and calls back when that is done or has failed. It never throws. */
type Append = (text: string, onDone: (isWritten: boolean) => void) => void;

/** Opens a file. Rejects with the runtime's own error where it can't be written. */
export async function openLogFile(path: string): Promise<Append> {
  const { open, stat } = (await import("node:fs")).promises;
  let file = await open(path, "a");
  let lookedAtMs = performance.now();
  /** Whether only the beginning of a line was written, as on a disk that became full: the next is not to go on there. */
  let isCut = false;

  /** A program that rotates logs renames the file and expects that a new one is begun. */
  const followRotation = async (): Promise<void> => {
    if (performance.now() - lookedAtMs < LOOK_INTERVAL_MS) return;
    lookedAtMs = performance.now();
    const [named, held] = await Promise.all([stat(path).catch(() => null), file.stat()]);
    if (named !== null && named.ino === held.ino && named.dev === held.dev) return;
    const before = file;
    file = await open(path, "a");
    isCut = false;
    await before.close();
  };

  const append = async (text: string): Promise<void> => {
    // Where no new file can be made, the old one is better than none.
    await followRotation().catch(() => {});
    const bytes = new TextEncoder().encode(isCut ? `\n${text}` : text);
    for (let at = 0; at < bytes.byteLength;) {
      at += (await file.write(bytes, at)).bytesWritten;
      isCut = bytes[at - 1] !== LINE_FEED;
    }
  };
  return (text, onDone) => void append(text).then(() => onDone(true), () => onDone(false));
}
