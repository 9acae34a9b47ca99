/**
 * The heads of responses: one table of content kinds, asked for by GET and HEAD, made by both classes, under each model,
 * on each runtime. HEAD says what GET sends (RFC 9110 section 9.3.2).
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { Server } from "../../src/api/server.ts";
import { THREAD_ENTRY } from "../../src/entry/thread_entry.ts";
import { createServer } from "../../src/server/create_server.ts";
import { readContentsWith } from "../../src/web/read_response.ts";
import { serveUnder, TESTED_MODELS } from "../fixtures/models/tested_models.ts";
import { connectRaw } from "../support/raw_client.ts";
import { type ExpectedHead, fetch, RESPONSE_KINDS, type ResponseKind } from "./response_kinds.ts";

const HANDLER = { fetch, module: new URL("./response_kinds.ts", import.meta.url) };
const runtime = detectRuntime();
const CLASSES = ["Response", "HttpResponse"];

function target(kind: ResponseKind, className: string): string {
  return `/${className}/${RESPONSE_KINDS.indexOf(kind)}`;
}

function request(method: string, kind: ResponseKind, className: string): string {
  return `${method} ${target(kind, className)} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
}

async function ask(port: number, bytes: string): Promise<string> {
  const client = await connectRaw({ port });
  try {
    client.send(bytes);
    return (await client.receiveAll()).toString();
  } finally {
    client.destroy();
  }
}

/** A response, in which what is another each time has a name. */
interface Received {
  readonly head: string;
  readonly content: string;
}

function parse(received: string): Received {
  const end = received.indexOf("\r\n\r\n") + 4;
  let head = received.slice(0, end).replace(/\r\nDate: [^\r]*/, "\r\nDate: <date>");
  let content = received.slice(end);
  if (content !== "" && head.includes("Transfer-Encoding: chunked")) content = withoutChunks(content);
  const boundary = /boundary=("?)([^"\r\n]+)\1/.exec(head);
  if (boundary !== null) {
    if (content !== "") assert.match(head, new RegExp(`Content-Length: ${content.length}\r\n`));
    head = head.replace(boundary[0], "boundary=<boundary>").replace(/Content-Length: \d+/, "Content-Length: <length>");
    // RFC 2046 section 5.1.1 leaves it open whether a line end stands behind the last one.
    content = content.replaceAll(boundary[2], "<boundary>").replace(/--<boundary>--$/, "--<boundary>--\r\n");
  }
  return { head, content };
}

function withoutChunks(content: string): string {
  let whole = "";
  for (let at = 0;;) {
    const lineEnd = content.indexOf("\r\n", at);
    const byteLength = Number.parseInt(content.slice(at, lineEnd), 16);
    if (byteLength === 0) return whole;
    whole += content.slice(lineEnd + 2, lineEnd + 2 + byteLength);
    at = lineEnd + 4 + byteLength;
  }
}

function expected(kind: ResponseKind, className: string, method: string): Received {
  const { content } = kind;
  const differs: ExpectedHead | undefined = className === "Response" ? kind.differs?.[runtime.name] : undefined;
  const { lines, isChunked = false, isEmptyForHead = false } = differs ?? kind;
  const hasBoundary = content.startsWith("--<boundary>");
  let framing = [
    isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${hasBoundary ? "<length>" : content.length}`,
  ];
  if (method === "HEAD" && (isChunked || isEmptyForHead)) framing = [];
  const head = ["HTTP/1.1 200 OK", ...lines, "Date: <date>", ...framing, "Connection: close", "", ""].join("\r\n");
  return { head, content: method === "HEAD" ? "" : content };
}

for (const model of TESTED_MODELS) {
  describe(`heads of responses, ${model.name}`, () => {
    let starting: Promise<Server> | undefined;
    const start = (): Promise<Server> =>
      serveUnder(model, { port: 0, hostname: "127.0.0.1", onListen: () => {} }, HANDLER).ready();
    after(async () => void await (await starting)?.shutdown());

    for (const kind of RESPONSE_KINDS) {
      for (const className of CLASSES) {
        for (const method of ["GET", "HEAD"]) {
          test(`${method} of ${kind.name}, as ${className}`, async () => {
            const { port } = await (starting ??= start());
            const received = parse(await ask(port, request(method, kind, className)));
            assert.deepEqual(received, expected(kind, className, method));
          });
        }
      }
    }
  });
}

describe("where a runtime tells nothing of its responses", () => {
  let server: Server;
  before(async () => {
    const silent = {
      ...runtime,
      responseContents: () => ({
        takeWhole: () => null,
        givesOwnBytes: false,
        namesTextType: false,
        streamTurns: 2,
        streamsFill: false,
        decodes: () => false,
      }),
    };
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
    server = await createServer(silent, THREAD_ENTRY, options, fetch).ready();
  });
  after(async () => {
    await server.shutdown();
    readContentsWith(runtime.responseContents(Response));
  });

  for (const kind of RESPONSE_KINDS) {
    test(`${kind.name} is sent from its stream`, async () => {
      const { head, content } = parse(await ask(server.port, request("GET", kind, "Response")));
      assert.equal(content, kind.content);
      if (kind.name !== "nothing") assert.match(head, /^(?:content-type: |x-content-type-options: nosniff)/m);
    });
  }
});
