/** The handlers as users of `node:http` write them: they pay neither for a Request nor for a Response. */

import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import {
  describeRequest,
  type FetchHandler,
  FLOOD_BYTES,
  HELLO,
  JSON_FIELDS,
  STREAM_BYTES,
  streamOf,
  WHO,
} from "../load/handlers.ts";

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

function answerText(response: ServerResponse, content: string): void {
  response.setHeader("content-type", "text/plain;charset=UTF-8");
  response.end(content);
}

/** By the names of the handlers of the load benchmark. */
const HANDLERS: Readonly<Record<string, NodeHandler>> = {
  hello: (_request, response) => answerText(response, HELLO),
  who: (_request, response) => answerText(response, WHO),
  json({ url, headers }, response) {
    const target = new URL(url ?? "/", `http://${headers.host}`);
    const answer = describeRequest(target, headers["user-agent"] ?? null, headers["accept-language"] ?? null);
    response.writeHead(200, { "content-type": "application/json", ...JSON_FIELDS });
    response.end(JSON.stringify(answer));
  },
  echo(request, response) {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk) => chunks.push(chunk)).on("end", () => response.end(Buffer.concat(chunks)));
  },
  count(request, response) {
    let byteLength = 0;
    request.on("data", (chunk) => byteLength += chunk.byteLength).on("end", () => response.end(`${byteLength}`));
  },
  stream: (_request, response) => void Readable.fromWeb(streamOf(STREAM_BYTES) as never).pipe(response),
  flood: (_request, response) => void Readable.fromWeb(streamOf(FLOOD_BYTES) as never).pipe(response),
};

/**
 * The handler of the load benchmark with a name. Of other modules it is the fetch handler, with the answer to "/hello",
 * which is compared, written as users write it.
 */
export async function createNodeHandler(name: string, fetch: () => Promise<FetchHandler>): Promise<NodeHandler> {
  if (name in HANDLERS) return HANDLERS[name];
  const handler = await fetch();
  return (request, response) => {
    if (request.url === "/hello") answerText(response, "hello");
    else void answer(handler, request, response);
  };
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
