/**
 * Content that a connection reads into memory which it uses again: what lies in a file or a Blob, and streams that fill
 * the memory of their reader.
 *
 * Read as a stream each piece would have new memory, which costs many times what reading into it does. It decides what is
 * such content, what is read next, and that what is read from is let go of. For a handler it is an ordinary stream. It
 * must not know the connection, nor how the memory is shared.
 *
 * @module
 */

import type { StoredBytes } from "../runtime.ts";

/** What a reader of the stream is given at once. */
const PIECE_BYTES = 64 * 1024;

const NO_BYTES = new Uint8Array(0);

/** What can still be read by the one who sends it. */
const unread = new WeakMap<ReadableStream, StoredContent>();

/** Content that a connection reads into memory of its own. */
export interface PartSource {
  /** How many bytes are left; more than any memory has where that is not known. */
  readonly leftBytes: number;
  /**
   * Reads on, into a buffer from its start on. Resolves to what was read, which lies there, although the memory may have
   * moved to another buffer; nothing at the end. One read at a time.
   */
  read(buffer: Uint8Array): Promise<Uint8Array>;
  /** Lets go of what it reads from. Calling it again changes nothing. */
  cancel(reason: unknown): Promise<void>;
}

/** A part of stored bytes, read from its start to its end. */
export class StoredContent implements PartSource {
  readonly #bytes: StoredBytes;
  #at: number;
  readonly #end: number;

  constructor(bytes: StoredBytes, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** How many bytes are left. */
  get leftBytes(): number {
    return this.#end - this.#at;
  }

  /** Reads on. What it reads from is let go of at the end and at a failure. */
  async read(buffer: Uint8Array): Promise<Uint8Array> {
    try {
      let readBytes = 0;
      if (this.leftBytes > 0) {
        readBytes = await this.#bytes.read(buffer.subarray(0, this.leftBytes), this.#at);
        // A file that has shrunk can't give what its Content-Length says.
        if (readBytes === 0) throw new Error("The file has become shorter while it was sent.");
        this.#at += readBytes;
      }
      if (this.leftBytes === 0) await this.cancel();
      return buffer.subarray(0, readBytes);
    } catch (error) {
      await this.cancel();
      throw error;
    }
  }

  cancel(): Promise<void> {
    return this.#bytes.close();
  }
}

/** The bytes from `start` up to `end` as a stream, which reads as its reader takes. */
export function streamStored(bytes: StoredBytes, start = 0, end = bytes.byteLength): ReadableStream<Uint8Array> {
  const content = new StoredContent(bytes, start, end);
  const stream: ReadableStream<Uint8Array> = new ReadableStream({
    async pull(controller) {
      // What was read here may wait in the stream.
      unread.delete(stream);
      const buffer = new Uint8Array(Math.min(PIECE_BYTES, content.leftBytes));
      controller.enqueue(await content.read(buffer));
      if (content.leftBytes === 0) controller.close();
    },
    cancel: () => content.cancel(),
  }, { highWaterMark: 0 });
  unread.set(stream, content);
  return stream;
}

/** How many bytes a stream that was made here still has, if nothing was read of it; else `null`. */
export function storedLength(stream: ReadableStream | null): number | null {
  return stream === null ? null : unread.get(stream)?.leftBytes ?? null;
}

/** Takes the content of a stream that was made here and of which nothing was read, and locks the stream; else `null`. */
export function takeStored(stream: ReadableStream): StoredContent | null {
  const content = unread.get(stream);
  if (content === undefined || stream.locked) return null;
  unread.delete(stream);
  stream.getReader();
  return content;
}

/**
 * A stream of bytes that fills the memory of its reader, as Deno makes them of files and of what was fetched. Read with
 * memory of its own, each piece costs that again.
 */
class FillingStream implements PartSource {
  readonly leftBytes = Infinity;
  readonly #reader: ReadableStreamBYOBReader;
  /** Ends the read under way. */
  #end: () => void = ignore;

  /** @param afterTurn Calls back when the present turn of the event loop is over. */
  constructor(reader: ReadableStreamBYOBReader, afterTurn: (callback: () => void) => void) {
    this.#reader = reader;
    // A source may close its stream without a word to the read under way, which is pending for ever then.
    reader.closed.then(() => afterTurn(() => this.#end()), ignore);
  }

  read(buffer: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#end = () => resolve(NO_BYTES);
      this.#reader.read(buffer as Uint8Array<ArrayBuffer>).then(({ value }) => resolve(value ?? NO_BYTES), reject);
    });
  }

  cancel(reason: unknown): Promise<void> {
    return this.#reader.cancel(reason);
  }
}

/** Takes over a stream that is read into the memory of its reader, where it can be; `null` where it can't. */
export function takeFilling(
  stream: ReadableStream<Uint8Array>,
  afterTurn: (callback: () => void) => void,
): PartSource | null {
  try {
    return new FillingStream(stream.getReader({ mode: "byob" }), afterTurn);
  } catch {
    return null;
  }
}

function ignore(): void {}
