/**
 * Bun: what the runtime's own `Response` was made of, where Bun tells it.
 *
 * It decides whether content is there, and whether it was text, for which Bun's `Response` names no media type. Bun
 * shows three things of it, all public: how much memory a response takes, a clone of it, and how it is printed. None of
 * them is documented to mean what is made of it here, so each is tried out first; where one answers otherwise, only the
 * stream of a response is used. It knows nothing of HTTP.
 *
 * @module
 */

import type { ResponseContents, WholeContent } from "../src/runtime.ts";
import { blobBytes } from "./blob_bytes.ts";
import { fileBytes } from "./files.ts";

/** Content of this size is taken from its Blob at once; more is read in parts, which costs no second copy of it. */
const MAX_BLOB_COPY_BYTES = 64 * 1024;

/** What this file uses of Bun. */
interface BunTools {
  /** What a promise has resolved to, if it has; else the promise. */
  peek(promise: Promise<unknown>): unknown;
  inspect(value: unknown, options: { readonly depth: number }): string;
  /** Both of `node:buffer`. */
  isAscii(bytes: Uint8Array): boolean;
  isUtf8(bytes: Uint8Array): boolean;
}

/** Of `bun:jsc`: the bytes an object takes, without those of the objects it refers to. */
type SizeOf = (value: object) => number;

/** Takes nothing whole: what is left where Bun does not answer as expected. */
export const STREAMS_ONLY: ResponseContents = {
  takeWhole: () => null,
  givesOwnBytes: false,
  namesTextType: false,
  streamTurns: 1,
  streamsFill: false,
  decodes,
};

/** A single coding that fetch knows; of several it leaves all. */
function decodes(codings: string): boolean {
  return /^(?:x-gzip|gzip|deflate|br|zstd)$/.test(codings);
}

/** Makes it, after a self-test. */
export function createBunResponseContents(bun: BunTools, sizeOf: SizeOf, native: typeof Response): ResponseContents {
  try {
    const contents = new BunResponseContents(bun, sizeOf, native);
    return contents.isTrusted() ? contents : STREAMS_ONLY;
  } catch {
    return STREAMS_ONLY;
  }
}

/** What a response is printed to hold. */
type Shown = "blob" | "file" | "stream" | "empty";

/**
 * A response is printed as the item of an array, of which nothing deeper is: its fields and the members of its stream
 * take four times as long as all the rest.
 */
const ITEM_ONLY = { depth: 0 };
/** Behind which an item prints its content, if it has some. */
const BEFORE_CONTENT = "\n    bodyUsed: false";
const EMPTY_END = `${BEFORE_CONTENT}\n  }\n]`;
const BLOB_START = `${BEFORE_CONTENT},\n    Blob (`;
const FILE_START = `${BEFORE_CONTENT},\n    FileRef (`;
/** What has a size prints it. A device has none: to ask its `blob()` would read it. */
const SIZED_START = "[\n  Response (";

/** The path of a file and, of a slice, where it starts in it. A file that was made of a descriptor prints no path. */
const PATH_AND_START = new RegExp(
  String
    .raw`\n    FileRef \("(.*)"\) \{\n(?:      (?:name|type|lastModified): [^\n]*\n)*(?:      offset: (\d+)\n\n)?    \}\n  \}\n\]$`,
  "s",
);

class BunResponseContents implements ResponseContents {
  readonly givesOwnBytes = true;
  readonly namesTextType = false;
  readonly streamTurns = 1;
  readonly streamsFill = false;
  readonly decodes = decodes;
  readonly #bun: BunTools;
  readonly #sizeOf: SizeOf;
  readonly #Response: typeof Response;
  readonly #prototype: object;
  /** The size of a response without content. */
  readonly #emptyBytes: number;

  constructor(bun: BunTools, sizeOf: SizeOf, native: typeof Response) {
    this.#bun = bun;
    this.#sizeOf = sizeOf;
    this.#Response = native;
    this.#prototype = native.prototype;
    this.#emptyBytes = sizeOf(new native(null));
  }

  takeWhole(response: Response): WholeContent | Promise<WholeContent> | null {
    if (!(response instanceof this.#Response) || response.url !== "") return null;
    const contentBytes = this.#contentBytes(response);
    const isTyped = response.headers.has("content-type");
    if (contentBytes > 0) {
      if (isTyped) return this.#settled(response.bytes());
      return this.#contentBytes(response.clone()) > 0
        ? this.#settled(response.text())
        : this.#takeBytesOrText(response, contentBytes);
    }
    const printed = this.#bun.inspect([response], ITEM_ONLY);
    switch (shownIn(printed)) {
      case "stream":
        return null;
      case "empty":
        // Bun does not tell an empty string from other content that is empty.
        return response.body === null ? null : this.#settled(response.text());
      case "blob":
        return this.#takeBlob(response, isTyped);
      case "file":
        return isTyped ? this.#takeFile(response, printed) : null;
    }
  }

  /** Whether Bun answers as this class expects. */
  isTrusted(): boolean {
    const of = (body: BodyInit | null, init?: ResponseInit): Response => new this.#Response(body, init);
    const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
    const stream = of(new ReadableStream(), { status: 404, statusText: "OK", headers: { "x-a": "Blob (1 bytes)" } });
    const extended = Object.assign(of(new ReadableStream()), { extension: 1 });
    return !of("a").headers.has("content-type") &&
      this.takeWhole(of("text")) === "text" && isText(this.takeWhole(of("gr\xfc\xdfe")), 7) &&
      isText(this.takeWhole(of("\u0433\u0440")), 4) &&
      this.takeWhole(of("")) === "" && this.takeWhole(of("a", { statusText: "OK" })) === "a" &&
      isBytes(this.takeWhole(of(bytes("text"))), 4) && isBytes(this.takeWhole(of(new Uint8Array([0xff, 0xfe]))), 2) &&
      isBytes(this.takeWhole(of("text", { headers: { "content-type": "a/b" } })), 4) &&
      isBytes(this.takeWhole(of(new Blob(["abc"], { type: "a/b" }))), 3) &&
      this.#givesOwnBytes() &&
      this.takeWhole(of(null)) === null && this.takeWhole(stream) === null && this.takeWhole(extended) === null;
  }

  /**
   * The bytes that a string (in its own encoding) or bytes take in a response; 0 for none and for everything else. A
   * subclass and properties of an object's own take some too, so that nothing is known of such an object.
   */
  #contentBytes(response: Response): number {
    if (Object.getPrototypeOf(response) !== this.#prototype || Reflect.ownKeys(response).length > 0) return 0;
    const { statusText } = response;
    const emptyBytes = statusText === "" ? this.#emptyBytes : this.#sizeOf(new this.#Response(null, { statusText }));
    return this.#sizeOf(response) - emptyBytes;
  }

  /** Whether bytes are neither those that a response was made of nor a part of something larger. */
  #givesOwnBytes(): boolean {
    const source = new Uint8Array(MAX_BLOB_COPY_BYTES);
    const blob = new Blob([source]);
    return [source, blob, source, blob].every((body) => {
      const bytes = this.takeWhole(new this.#Response(body, { headers: { "content-type": "a/b" } }));
      if (!(bytes instanceof Uint8Array) || bytes[0] !== 0) return false;
      bytes.fill(1);
      return bytes.byteLength === bytes.buffer.byteLength;
    });
  }

  /** Takes bytes, or text that is not ASCII or whose stream was looked at, of a response without a media type. */
  #takeBytesOrText(response: Response, contentBytes: number): WholeContent | Promise<WholeContent> {
    const bytes = this.#settled(response.bytes());
    if (!(bytes instanceof Uint8Array)) return bytes;
    if (!this.#bun.isUtf8(bytes)) return bytes;
    if (!this.#bun.isAscii(bytes)) {
      // Bun keeps a string as one byte for each char, or as two. Bytes of just that size are taken for text, which is
      // sent as the same bytes.
      const isText = bytes.byteLength !== contentBytes ||
        new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).length * 2 === contentBytes;
      if (isText) return { utf8: bytes };
    }
    return looksLikeMarkup(bytes) ? blobBytes(new Blob([bytes])) : bytes;
  }

  /** Takes a Blob, a form, or what Bun makes a Blob of, such as a number. */
  #takeBlob(response: Response, isTyped: boolean): WholeContent | Promise<WholeContent> {
    if (!isTyped && this.#contentBytes(response.clone()) > 0) return this.#settled(response.text());
    const blob = this.#bun.peek(response.blob());
    if (!(blob instanceof Blob)) return (blob as Promise<Blob>).then(blobBytes);
    if (blob.size > MAX_BLOB_COPY_BYTES) return blobBytes(blob);
    const bytes = this.#settled(blob.bytes());
    return isTyped || (bytes instanceof Uint8Array && !looksLikeMarkup(bytes)) ? bytes : blobBytes(blob);
  }

  /**
   * Takes a file of `Bun.file`, or a slice of one. Bun asks the system for its size once, and no more than that is
   * read, however the file grows meanwhile. It is opened once: another may come to stand at its path. A small one is
   * read at once, and has the size that is read.
   */
  #takeFile(response: Response, printed: string): WholeContent | Promise<WholeContent> {
    const [, path, start = "0"] = PATH_AND_START.exec(printed) ?? [];
    const toBytes = (file: Blob): WholeContent | Promise<WholeContent> => {
      const stored = path === undefined ? blobBytes(file) : fileBytes(path, Number(start), file.size);
      // Files of the kernel have fewer bytes than their size says. What can't be read fails when it is sent.
      return file.size > MAX_BLOB_COPY_BYTES ? stored : file.bytes().catch(() => stored);
    };
    const file = this.#bun.peek(response.blob());
    return file instanceof Blob ? toBytes(file) : (file as Promise<Blob>).then(toBytes);
  }

  /** What a promise of content that is there has resolved to. */
  #settled<Content extends WholeContent>(promise: Promise<Content>): Content | Promise<Content> {
    const settled = this.#bun.peek(promise);
    // The reason of a rejection is left in its promise.
    return typeof settled === "string" || settled instanceof Uint8Array ? settled as Content : promise;
  }
}

/**
 * Whether a browser that is told no media type may take it for HTML or XML, all of whose signatures begin with "<"
 * (WHATWG MIME Sniffing section 7.1). Where bytes do, and may have been text, they are left a stream, whose kind is not
 * known.
 */
function looksLikeMarkup(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.byteLength && bytes[at] <= 0x20) at++;
  return bytes[at] === 0x3c;
}

/** How a response prints its content. */
function shownIn(printed: string): Shown {
  if (printed.endsWith(EMPTY_END)) return "empty";
  const start = printed.lastIndexOf(BEFORE_CONTENT);
  if (printed.startsWith(BLOB_START, start)) return "blob";
  return printed.startsWith(FILE_START, start) && printed.startsWith(SIZED_START) ? "file" : "stream";
}

function isText(content: unknown, byteLength: number): boolean {
  return typeof content === "object" && content !== null && "utf8" in content && isBytes(content.utf8, byteLength);
}

function isBytes(content: unknown, byteLength: number): boolean {
  return content instanceof Uint8Array && content.byteLength === byteLength;
}
