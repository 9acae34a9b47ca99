/**
 * The contract between the portable core and a JavaScript runtime: types only.
 *
 * An adapter in `runtime/` translates one runtime's timers, process, files and threads to these shapes, and its sockets
 * to those of `transport.ts`, and absorbs that runtime's oddities. It knows nothing of HTTP. The core knows nothing of
 * Deno, Bun or Node. Every rule written here is a test in `test/runtime/`, which runs against each adapter and against
 * the one in memory.
 *
 * @module
 */

import type { Listener, ListenOptions, TransportEvents } from "./transport.ts";

/** A repeated or single callback that was asked for. */
export interface Timer {
  /** Stops it. Calling it again, or after a single callback ran, changes nothing. */
  cancel(): void;
}

/** Time, so that tests can replace it by a virtual clock. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; its zero is arbitrary. */
  nowMs(): number;
  /** Milliseconds since 1970-01-01 UTC, for the Date field. */
  wallTimeMs(): number;
  /** Calls back every `intervalMs` until cancelled, and does not keep the process alive. */
  every(intervalMs: number, callback: () => void): Timer;
  /** Calls back once after `delayMs`, and keeps the process alive until then. */
  after(delayMs: number, callback: () => void): Timer;
  /**
   * Calls back once, after every microtask of this turn of the event loop and as soon as possible then; in the async
   * context (`AsyncLocalStorage`) of the runtime itself, since many ask for one turn together.
   */
  defer(callback: () => void): void;
  /**
   * Calls back within the call, in the async context that deferred callbacks have: for handlers that are called one
   * behind the other.
   */
  callApart(callback: () => void): void;
}

/** An output for lines. */
export interface LineSink {
  /**
   * Writes text that consists of so many lines, each with its line feed. It never throws and never waits: what the
   * output does not take is dropped and counted.
   */
  write(text: string, lineCount: number): void;
  /** Resolves when everything has left, or a tenth of a second later if it does not. */
  flushed(): Promise<void>;
}

/** A signal of the system that asks a process to stop. */
export type StopSignal = "SIGINT" | "SIGTERM";

/** The process around the server, as the command-line program sees it. */
export interface Host {
  /** The arguments after the program's own name. */
  readonly args: readonly string[];
  /** The number of this process. */
  readonly pid: number;
  /** A variable of the environment; `null` where it is not set, or where Deno is not permitted to read it. */
  environment(name: string): string | null;
  /**
   * Writes a line to standard output. It never throws and never waits, whether the output is closed, on a full disk, or
   * a pipe that is not read: then some lines wait, as many as fit in 64 KiB, and further ones are dropped and counted.
   * Only a terminal that was stopped holds a process of Bun and Node up.
   */
  print(line: string): void;
  /** Writes a line to standard error, likewise. */
  printError(line: string): void;
  /** How many lines were dropped because an output did not take them, logs that were opened among them. */
  readonly droppedLines: number;
  /** Standard output, to which `print` writes too. */
  readonly output: LineSink;
  /** What standard output is shown on; `null` where that is no terminal. */
  readonly terminal: { readonly takesColour: boolean } | null;
  /**
   * Opens a file, which is made if it is not there, to append lines to; 1 MiB of them may wait. When the file was
   * renamed or removed, as programs that rotate logs do, a new one is made in its place within some seconds. Rejects
   * with the runtime's own error.
   */
  openLog(path: string): Promise<LineSink>;
  /** Calls back on SIGINT and SIGTERM; the returned function takes that back. */
  onStopSignal(callback: (signal: StopSignal) => void): () => void;
  /** Ends the process, as soon as what was printed has left; a tenth of a second later if it does not. */
  exit(code: number): void;
  /**
   * Ends the process of a program that has failed. Where the runtime watches it, and the watching would end with it, the
   * process goes on instead until a file changes.
   */
  exitOrAwaitChange(code: number): void;
  /**
   * The URL of the module that the program was started with; `null` where there is none, as for code of a command line.
   */
  readonly mainModule: string | null;
  /** Whether the runtime starts this program anew when a file of it changes, and waits until it has ended by itself. */
  readonly isWatched: boolean;
  /** The working directory, as a file: URL that ends with a slash. */
  readonly workingFolder: string;
  /**
   * What the runtime prints of a syntax error in a file, beginning with the file and the line; `null` where there is
   * none, and where a SyntaxError tells that itself. Those of Node name no file.
   */
  checkSyntax(url: string): Promise<string | null>;
  /**
   * Runs this program once more, with these arguments, as a process that the runtime starts anew whenever a file of it
   * changes. Resolves to the exit code when that has ended.
   */
  runWatched(args: readonly string[]): Promise<number>;
}

/** What stands at a path, behind symbolic links: something else may be a device, a socket or a pipe. */
export type FileKind = "file" | "folder" | "something else";

/** Bytes in a file or a Blob, of which any part can be read. */
export interface StoredBytes {
  /** How many there were when it was opened. */
  readonly byteLength: number;
  /**
   * Reads into a buffer, from a position on. Resolves to how many bytes there were; 0 is the end. Rejects with the
   * runtime's own error. One read at a time.
   */
  read(buffer: Uint8Array, position: number): Promise<number>;
  /** Gives a descriptor back, once what is being read was read. Calling it again changes nothing. */
  close(): Promise<void>;
}

/** A regular file that is open for reading. */
export interface OpenFile extends StoredBytes {
  /** When it was changed last, in milliseconds since 1970. */
  readonly changedAtMs: number;
}

/** Files. Every path is a file: URL; what can't be looked at, for want of permission, is not there. */
export interface Files {
  // Each throws the runtime's own error where the program was not permitted to read.

  /** What stands at a path; `null` where there is nothing. */
  kindOf(url: string): Promise<FileKind | null>;
  /** The URL of the same without symbolic links; `null` where there is nothing. A folder's has no slash at its end. */
  realUrl(url: string): Promise<string | null>;
  /**
   * Opens a regular file. It waits for nothing, whatever stands there, and follows no link at the end of the path.
   * `null` where there is no regular file.
   *
   * @throws {Error} The runtime's own, where the system can't open any more files.
   */
  open(url: string): Promise<OpenFile | null>;
}

/** Another thread of this process, with an event loop and a heap of its own. */
export interface Thread {
  /**
   * Sends a message, in call order. Strings, plain values, typed arrays and shared memory can be sent; the buffers in
   * `transfer` move and are empty here afterwards. To a thread that is gone it does nothing.
   */
  post(message: unknown, transfer?: ArrayBuffer[]): void;
  /**
   * Ends the thread, whatever it is doing; only `onExit` follows, without a cause. A thread that the runtime can't end,
   * because it never returns to its event loop or waits in the system, is given up: `onExit` comes all the same.
   * Calling it again changes nothing.
   */
  terminate(): void;
  /** Lets the thread keep the process alive (the state it starts in). */
  ref(): void;
  /** Lets the process end although the thread runs. */
  unref(): void;
}

/** What a thread tells the one that started it. Never told inside a call of `startThread`, `post` or `terminate`. */
export interface ThreadEvents {
  /** A message came. */
  onMessage(message: unknown): void;
  /**
   * The thread is gone. Exactly once, always last. `cause` is set when it was not asked for: an uncaught error, of
   * which the name, the message, the stack and the code are left; a module that can't be loaded; an exit by itself.
   */
  onExit(cause?: Error): void;
}

/** What a thread sees of the one that started it. */
export interface ParentThread {
  /** Sends a message to the one that started this thread, as {@linkcode Thread.post} does. */
  post(message: unknown, transfer?: ArrayBuffer[]): void;
  /** Calls back for each message from now on; what came before is not lost. */
  listen(onMessage: (message: unknown) => void): void;
  /**
   * Calls back, at once. Where the runtime can't end a busy thread from outside, and can do so from inside, a callback
   * that has not returned after `limitMs` is cut short; then, and only then, the result is false. A limit of 0 is none.
   * What the callback leaves to a microtask or a timer is not part of it. What it throws is thrown on.
   */
  runWithin(limitMs: number, callback: () => void): boolean;
  /**
   * Calls back for each promise that is rejected and that nothing handles, from now on; without it such a rejection is
   * an uncaught error. Where the program on the thread listens for these itself, it has taken them upon itself.
   */
  onRejection(callback: (thrown: unknown) => void): void;
  /** Ends this thread now. */
  exit(): void;
}

/** Text that a runtime gives as its bytes. */
export interface EncodedText {
  readonly utf8: Uint8Array<ArrayBuffer>;
}

/** Content whose length is known before it is sent. */
export type WholeContent = string | Uint8Array<ArrayBuffer> | EncodedText | StoredBytes;

/** What a runtime tells of the objects of its own class `Response`. */
export interface ResponseContents {
  /**
   * Takes the content of a response that was made of something else than a stream, at once or as a promise that waits
   * for nothing but the runtime. `null` when that is not known: then nothing was taken, and the response has its
   * stream. Text is a string, with its byte order mark if it has one. Throws or rejects when the content was read
   * before or is locked.
   */
  takeWhole(response: Response): WholeContent | Promise<WholeContent> | null;
  /** Whether nothing else refers to the memory of bytes that `takeWhole` gives, a clone of the response included. */
  readonly givesOwnBytes: boolean;
  /**
   * Whether a response that was made of text says so in its Content-Type, as the Fetch standard wants. Where it does
   * not, `takeWhole` gives a string for text, and what it gives as a stream, or leaves as one, may have been text too.
   */
  readonly namesTextType: boolean;
  /** In how many turns of the event loop a stream has ended whose content was there from the start. */
  readonly streamTurns: number;
  /**
   * Whether streams that the runtime makes, of files and of what was fetched, are streams of bytes that fill the memory
   * of their reader.
   */
  readonly streamsFill: boolean;
  /**
   * Whether content of a response that was fetched has been taken out of its codings: those that the field
   * Content-Encoding names, in lower case. The response keeps that field all the same.
   */
  decodes(codings: string): boolean;
}

/** A channel that others of the process can listen to: a `Channel` of `node:diagnostics_channel`. */
export interface DiagnosticsChannel {
  /** Whether anything listens now. */
  readonly hasSubscribers: boolean;
  /** Tells the listeners. */
  publish(message: unknown): void;
  /** Tells the listeners, and calls back with the stores set that are bound to the channel. */
  runStores<T>(message: unknown, callback: () => T): T;
}

/** The five channels of one operation, as `TracingChannel` of that module has them. */
export interface TracingChannel {
  readonly start: DiagnosticsChannel;
  readonly end: DiagnosticsChannel;
  readonly asyncStart: DiagnosticsChannel;
  readonly asyncEnd: DiagnosticsChannel;
  readonly error: DiagnosticsChannel;
}

/** One JavaScript runtime. */
export interface Runtime {
  /** The runtime's name. */
  readonly name: "deno" | "bun" | "node" | "memory";
  /** The runtime's version, without a leading "v". */
  readonly version: string;
  /** The runtime's clock. */
  readonly clock: Clock;
  /** The process the server runs in. */
  readonly host: Host;
  /** The files of the machine. */
  readonly files: Files;
  /** Processors this process may use. */
  availableCores(): number;
  /**
   * How many descriptors (files, sockets) this process may have open, as it really is now; `null` where nothing tells:
   * on other systems than Linux, on Deno without permission to read `/proc/self/limits`, and on Node before 20.16.
   */
  descriptorLimit(): number | null;
  /**
   * Listens. Where the runtime binds at once the listener is returned at once; else a promise of it. Fails with the
   * runtime's own error (its `code`, such as EADDRINUSE, kept), thrown or as a rejection. Where a certificate or a key
   * can't be used the `code` is "ERR_TLS_MATERIAL", and the message one line for the user.
   */
  listen(options: ListenOptions, events: TransportEvents): Listener | Promise<Listener>;
  /**
   * Says that a server is to listen at a place, where the runtime evaluates a whole program anew within its process.
   * Returns what has the server give way that an evaluation before has left there; `null` where there is none. What it
   * returns is done at once, or resolves when it is. Absent on runtimes that start programs anew as processes.
   */
  takePlace?(place: string, giveWay: () => Promise<void> | void): (() => Promise<void> | void) | null;
  /**
   * Why listeners of several threads can't share the connections that come to one address, in a few words; `null` where
   * they can.
   */
  whyNotShared(options: ListenOptions): string | null;
  /**
   * Starts a thread. Rejects when the runtime won't have one; a module that can't be loaded is the cause of `onExit`.
   *
   * @param entry The URL of the module the thread runs.
   * @param events What it tells.
   * @param maxHeapBytes How large its heap may grow: a thread that needs more ends with an uncaught error. 0 is the
   *   runtime's own bound. It has no effect where `limitsThreadMemory` is false.
   */
  startThread(entry: string, events: ThreadEvents, maxHeapBytes?: number): Promise<Thread>;
  /** Whether the heap of a thread can be bounded. */
  readonly limitsThreadMemory: boolean;
  /** The thread that started this one; `null` in the main thread and where threads are not Trivet's. */
  parentThread(): Promise<ParentThread | null>;
  /** The string whose char codes are the bytes from `start` up to `end`. */
  decodeLatin1(bytes: Uint8Array, start: number, end: number): string;
  /**
   * Writes text as UTF-8, from `start` on; there must be room for three bytes for each of its char codes. Returns how
   * many bytes it takes.
   */
  encodeUtf8(text: string, bytes: Uint8Array, start: number): number;
  /** How many bytes text takes as UTF-8. */
  utf8Length(text: string): number;
  /** The SHA-1 digest of bytes: 20 bytes. WebSocket's handshake is made of one (RFC 6455 section 4.2.2). */
  sha1(bytes: Uint8Array): Uint8Array;
  /** Compression. */
  readonly deflate: Deflate;
  /** The tracing channel of a name, which all of this thread that ask for it share. Rejects where there are none. */
  openTracingChannel(name: string): Promise<TracingChannel>;
  /**
   * What can be told of objects of the runtime's own class `Response`, which is given: the global may be another one.
   */
  responseContents(native: typeof Response): ResponseContents;
}

/** Raw DEFLATE (RFC 1951), as far as messages are compressed with it one by one (RFC 7692 section 7.2). */
export interface Deflate {
  /** Compresses at once. The output ends with an empty block that is not compressed: 00 00 ff ff. */
  compress(bytes: Uint8Array, windowBits: number, level: number): Uint8Array<ArrayBuffer>;
  /**
   * Decompresses at once what has a last block; what stands behind that is ignored. Returns `null` where that gives
   * more than `maxBytes`. Throws where it is not DEFLATE, or has no last block.
   */
  decompress(bytes: Uint8Array, windowBits: number, maxBytes: number): Uint8Array<ArrayBuffer> | null;
  /** Makes what compresses one message after another, each of which may refer to those before. */
  createCompressor(windowBits: number, level: number): DeflateStream;
  /**
   * Makes what decompresses one message after another.
   *
   * @param isForOne There is one only, which has a last block as above.
   */
  createDecompressor(windowBits: number, isForOne: boolean): DeflateStream;
}

/** Compresses or decompresses messages in order. */
export interface DeflateStream {
  /**
   * Takes the next message, which ends as above, and may not be changed until it is done. One at a time. Never calls
   * back within the call.
   *
   * @param onPiece Called with each piece of the output, which it may keep. Returns whether more is wanted; where it is
   * not, nothing follows and only `close` may be called.
   * @param onDone Called when all of it was given, with an error where that failed.
   */
  run(
    bytes: Uint8Array,
    onPiece: (piece: Uint8Array<ArrayBuffer>) => boolean,
    onDone: (error: Error | null) => void,
  ): void;
  /** Frees what it holds; nothing is called back any more. */
  close(): void;
}
