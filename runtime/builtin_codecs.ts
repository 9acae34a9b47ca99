/**
 * What Deno, Bun and Node share of `Buffer`, `node:crypto` and `node:zlib`. Translation only.
 *
 * @module
 */

import type { DeflateRaw, InflateRaw } from "node:zlib";
import type { Deflate, DeflateStream, Runtime } from "../src/runtime.ts";

/** What is used of `Buffer.prototype`; its documentation leaves these methods out. */
interface BufferMethods {
  latin1Slice(start: number, end: number): string;
  utf8Write(text: string, start: number, maxBytes: number): number;
}

/**
 * Makes the ways between bytes and strings: what `Buffer.prototype.toString` and `write` call, on any bytes.
 *
 * `TextDecoder` knows no ISO 8859-1, and `TextEncoder` writes only to the start of a view, which has to be made first:
 * on Bun that costs more; on Deno it is what `utf8Write` does. The global is looked up only here, since on Deno its
 * first use loads it.
 */
export function bufferCodecs(): Pick<Runtime, "decodeLatin1" | "encodeUtf8" | "utf8Length"> {
  const { latin1Slice, utf8Write } = Buffer.prototype as unknown as BufferMethods;
  return {
    decodeLatin1: (bytes, start, end) => latin1Slice.call(bytes, start, end),
    encodeUtf8: (text, bytes, start) => utf8Write.call(bytes, text, start, bytes.byteLength - start),
    utf8Length: (text) => Buffer.byteLength(text),
  };
}

/** Makes the rest. The modules are loaded when they are first used, because hardly a server needs them. */
export function builtinCodecs(): Pick<Runtime, "sha1" | "deflate"> {
  return {
    sha1: (bytes) => builtin("node:crypto").createHash("sha1").update(bytes).digest(),
    deflate: createDeflate(),
  };
}

/** A module of Node's at once, which all three runtimes can give. */
function builtin<Name extends "node:crypto" | "node:zlib">(name: Name) {
  const { getBuiltinModule } = process;
  if (getBuiltinModule === undefined) throw new Error("WebSockets need Node 20.16 or newer.");
  return getBuiltinModule(name);
}

function createDeflate(): Deflate {
  return {
    compress(bytes, windowBits, level) {
      const { deflateRawSync, constants } = builtin("node:zlib");
      return toBytes(deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH, windowBits, level }));
    },
    decompress(bytes, windowBits, maxBytes) {
      const { inflateRawSync } = builtin("node:zlib");
      try {
        return toBytes(inflateRawSync(bytes, { windowBits, maxOutputLength: maxBytes }));
      } catch (error) {
        if ((error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") return null;
        throw error;
      }
    },
    createCompressor: (windowBits, level) =>
      new ZlibStream(() => builtin("node:zlib").createDeflateRaw({ windowBits, level }), false),
    createDecompressor: (windowBits, isForOne) =>
      new ZlibStream(() => builtin("node:zlib").createInflateRaw({ windowBits }), isForOne),
  };
}

interface Run {
  readonly onPiece: (piece: Uint8Array<ArrayBuffer>) => boolean;
  readonly onDone: (error: Error | null) => void;
}

/** A stream of zlib, flushed behind each message, or ended behind the only one. */
class ZlibStream implements DeflateStream {
  readonly #create: () => DeflateRaw | InflateRaw;
  readonly #isForOne: boolean;
  #stream: DeflateRaw | InflateRaw | null = null;
  #run: Run | null = null;
  #isClosed = false;

  constructor(create: () => DeflateRaw | InflateRaw, isForOne: boolean) {
    this.#create = create;
    this.#isForOne = isForOne;
  }

  run(bytes: Uint8Array, onPiece: Run["onPiece"], onDone: Run["onDone"]): void {
    const run = this.#run = { onPiece, onDone };
    const stream = this.#stream ??= this.#open();
    if (this.#isForOne) {
      stream.end(bytes);
      return;
    }
    stream.write(bytes);
    stream.flush(builtin("node:zlib").constants.Z_SYNC_FLUSH, () => {
      // Deno tells of an error here first.
      if (this.#run === run) queueMicrotask(() => this.#finish(run, stream.errored));
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#run = null;
    this.#stream?.close();
    this.#stream = null;
  }

  #open(): DeflateRaw | InflateRaw {
    const stream = this.#create();
    stream.on("data", (piece: Uint8Array) => {
      const run = this.#run;
      if (run !== null && this.#stream === stream && !run.onPiece(toBytes(piece))) this.#run = null;
    });
    stream.on("error", (error: Error) => {
      const run = this.#run;
      if (run !== null && this.#stream === stream) queueMicrotask(() => this.#finish(run, error));
    });
    // A block may say that it is the last one (RFC 7692 section 7.2.3.4); what comes next begins anew.
    stream.on("end", () => {
      const run = this.#run;
      stream.close();
      if (this.#stream !== stream) return;
      this.#stream = null;
      if (this.#isForOne && run !== null) queueMicrotask(() => this.#finish(run, null));
    });
    return stream;
  }

  #finish(run: Run, error: Error | null): void {
    if (this.#run !== run || this.#isClosed) return;
    this.#run = null;
    run.onDone(error);
  }
}

/** The same bytes, not as a Buffer, whose methods differ. */
function toBytes({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
