/**
 * A server in memory, on virtual time.
 *
 * @module
 */

import "./record_transitions.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { createServer } from "../../src/server/create_server.ts";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { HttpServer } from "../../src/server/server.ts";
import type { TrivetError } from "../../src/api/errors.ts";
import type { Warning, WarningCode } from "../../src/api/warnings.ts";
import { createMemoryRuntime, type MemoryPeer, type MemoryRuntime } from "./memory_runtime.ts";
import type { VirtualClock } from "./virtual_clock.ts";

/** The Date field at the beginning of virtual time. */
export const VIRTUAL_DATE = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";

/** A server with everything a test wants to touch. */
export interface MemoryServer {
  readonly server: HttpServer;
  readonly runtime: MemoryRuntime;
  readonly clock: VirtualClock;
  /** What onError was told. */
  readonly reported: TrivetError[];
  /** The codes of what onWarning was told. */
  readonly warned: WarningCode[];
  connect(): MemoryPeer;
  /** Connects, sends, lets everything settle, and gives the peer back. */
  send(...pieces: string[]): Promise<MemoryPeer>;
}

/** Starts a server in memory. */
export async function startMemoryServer(handler: Handler, options: ServeOptions = {}): Promise<MemoryServer> {
  const started = createMemoryServer(createMemoryRuntime(), options, handler);
  await started.server.ready();
  return started;
}

/** Begins to start a server in memory; without a handler its options name a module. */
export function createMemoryServer(runtime: MemoryRuntime, options: ServeOptions, handler?: Handler): MemoryServer {
  const reported: TrivetError[] = [];
  const warned: WarningCode[] = [];
  const onError = (error: TrivetError): void => void reported.push(error);
  const onWarning = ({ code }: Warning): void => void warned.push(code);
  const server = createServer(runtime, THREAD_ENTRY, { onListen: () => {}, onError, onWarning, ...options }, handler);
  return {
    server,
    runtime,
    clock: runtime.clock,
    reported,
    warned,
    connect: () => runtime.connect(),
    async send(...pieces) {
      const peer = runtime.connect();
      for (const piece of pieces) {
        peer.send(piece);
        await runtime.clock.settle();
      }
      return peer;
    },
  };
}

/** Something a test lets happen when it is time. */
export interface Gate<T = void> {
  readonly opened: Promise<T>;
  open(value: T): void;
  fail(error: unknown): void;
}

/** Makes a gate. */
export function createGate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  let fail!: (error: unknown) => void;
  const opened = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open, fail };
}

/** A GET request for a path. */
export function get(path = "/", ...fieldLines: string[]): string {
  return `GET ${path} HTTP/1.1\r\nHost: a.test\r\n${fieldLines.map((line) => `${line}\r\n`).join("")}\r\n`;
}

/** A POST request whose content has this length, and as much of the content as is given. */
export function post(path: string, contentLength: number, content = "", ...fieldLines: string[]): string {
  const lines = [`Content-Length: ${contentLength}`, ...fieldLines].map((line) => `${line}\r\n`).join("");
  return `POST ${path} HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n${content}`;
}

/**
 * A Response of the runtime with text. It names its Content-Type, because Bun's Response does not know it: Bun.serve adds
 * it when it sends.
 */
export function text(content: string): Response {
  return new Response(content, { headers: { "content-type": "text/plain;charset=UTF-8" } });
}

/** A response with text, as the server writes it at the beginning of virtual time. */
export function okText(content: string, ...moreLines: string[]): string {
  const more = moreLines.map((line) => `${line}\r\n`).join("");
  return `HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\n${VIRTUAL_DATE}Content-Length: ${content.length}\r\n${more}\r\n${content}`;
}

/** The status codes of the responses in a string of bytes. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
}
