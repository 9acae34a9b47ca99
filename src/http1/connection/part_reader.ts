/**
 * The parts of content that a connection reads itself, on their way to the transport.
 *
 * It decides into which memory they are read, and knows whose that is: of the read under way, of the connection that
 * holds what was read, of what is being sent, or of nothing that looks at it, so that it is used again. Each read goes to
 * another thread and back, which costs more than 64 KiB of content do, so that a part is larger than that. It must not
 * know where they lie.
 *
 * @module
 */

import type { PartSource } from "../../web/part_sources.ts";

const PART_BYTES = 256 * 1024;
/** So many are made at most, and kept. While all are in use others read less, so that slow clients hold little. */
const MAX_PARTS = 32;
const SMALL_PART_BYTES = 64 * 1024;

const NO_BYTES = new Uint8Array(0);
const END = { done: true, value: undefined } as const;

let partsInUse = 0;
const freeParts: Uint8Array[] = [];

/** Reads the content of one response. */
export class PartReader {
  readonly #content: PartSource;
  /** The memory of a part that the connection holds and has not added to what it sends. */
  #held: Uint8Array | null = null;
  #isCancelled = false;

  constructor(content: PartSource) {
    this.#content = content;
  }

  /** Reads the next part. The one before it must have been lent. */
  async read(): Promise<ReadableStreamReadResult<Uint8Array>> {
    const content = this.#content;
    let memory = takeMemory(content.leftBytes);
    const memoryBytes = memory.byteLength;
    let part: Uint8Array = NO_BYTES;
    try {
      part = await content.read(memory);
      // A stream that fills memory gives it back in another buffer.
      if (part.buffer.byteLength === memoryBytes) memory = new Uint8Array(part.buffer);
    } finally {
      if (part.byteLength === 0 || this.#isCancelled) giveMemory(memory, memoryBytes);
      else this.#held = memory;
    }
    return part.byteLength === 0 ? END : { done: false, value: part };
  }

  /** The present part is sent from its memory. Returns what is to be called when nothing looks at it any more. */
  lend(): () => void {
    const memory = this.#held!;
    this.#held = null;
    return () => giveMemory(memory);
  }

  /** The rest is not wanted; of a read that is under way nothing is looked at. */
  cancel(reason: unknown): Promise<void> {
    this.#isCancelled = true;
    if (this.#held !== null) giveMemory(this.#held);
    this.#held = null;
    return this.#content.cancel(reason);
  }
}

function takeMemory(neededBytes: number): Uint8Array {
  if (neededBytes <= SMALL_PART_BYTES || partsInUse === MAX_PARTS) {
    return new Uint8Array(Math.min(neededBytes, SMALL_PART_BYTES));
  }
  partsInUse++;
  return freeParts.pop() ?? new Uint8Array(PART_BYTES);
}

/** @param memoryBytes How much it was: a read that has ended without a part may have kept it. */
function giveMemory(memory: Uint8Array, memoryBytes = memory.byteLength): void {
  if (memoryBytes < PART_BYTES) return;
  partsInUse--;
  if (memory.byteLength === PART_BYTES) freeParts.push(memory);
}
