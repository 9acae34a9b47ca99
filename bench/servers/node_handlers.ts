/**
 * The handlers as users of `node:http` write them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import process from "node:process";
import { Readable } from "node:stream";
import { createHandler, describeRequest, type FetchHandler, HELLO, JSON_FIELDS } from "../load/handlers.ts";

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

const TEXT = "text/plain;charset=UTF-8";
const WHO = String(process.pid).padEnd(HELLO.length);

/**
 * Makes a handler of the load benchmark. Of other modules it is the fetch handler, with the answer to "/hello", which is
 * compared, written as users write it.
 */
export async function createNodeHandler(name: string, fetch: () => Promise<FetchHandler>): Promise<NodeHandler> {
  switch (name) {
    case "hello":
    case "who":
      return (_request, response) => {
        response.setHeader("content-type", TEXT);
        response.end(name === "who" ? WHO : HELLO);
      };
    case "json":
      return ({ url, headers }, response) => {
        const target = new URL(url ?? "/", `http://${headers.host}`);
        const answer = describeRequest(target, headers["user-agent"] ?? null, headers["accept-language"] ?? null);
        response.writeHead(200, { "content-type": "application/json", ...JSON_FIELDS });
        response.end(JSON.stringify(answer));
      };
    case "echo":
      return (request, response) => {
        const chunks: Uint8Array[] = [];
        request.on("data", (chunk) => chunks.push(chunk)).on("end", () => response.end(Buffer.concat(chunks)));
      };
    case "count":
      return (request, response) => {
        let byteLength = 0;
        request.on("data", (chunk) => byteLength += chunk.byteLength).on("end", () => response.end(`${byteLength}`));
      };
    case "stream":
    case "flood": {
      const handler = await createHandler(name, Response, "");
      return async (_request, response) => {
        const { body } = await handler(new Request("http://localhost/"));
        Readable.fromWeb(body as never).pipe(response);
      };
    }
    default: {
      const handler = await fetch();
      return (request, response) => {
        if (request.url !== "/hello") return void answer(handler, request, response);
        response.setHeader("content-type", TEXT);
        response.end("hello");
      };
    }
  }
}

async function answer(fetch: FetchHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const { method = "GET", url = "/" } = request;
    const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
    const body = method === "GET" || method === "HEAD" ? null : Readable.toWeb(request) as ReadableStream<Uint8Array>;
    const init = { method, headers, body, duplex: "half" } as RequestInit;
    const { status, headers: fields, body: content } = await fetch(new Request(`http://localhost${url}`, init));
    response.writeHead(status, Object.fromEntries(fields));
    response.end(content === null ? "" : await new Response(content).text());
  } catch {
    if (!response.headersSent) response.writeHead(500);
    response.end();
  }
}
