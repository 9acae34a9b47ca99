/**
 * The handlers as users of `node:http` write them.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import process from "node:process";
import { Readable } from "node:stream";
import { createHandler, describeRequest, type HandlerName, HELLO, JSON_FIELDS } from "../load/handlers.ts";

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

const TEXT = "text/plain;charset=UTF-8";
const WHO = String(process.pid).padEnd(HELLO.length);

/** Makes a handler. */
export function createNodeHandler(name: HandlerName): NodeHandler {
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
        request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
        request.on("end", () => response.end(Buffer.concat(chunks)));
      };
    case "count":
      return (request, response) => {
        let byteLength = 0;
        request.on("data", (chunk: Uint8Array) => byteLength += chunk.byteLength);
        request.on("end", () => response.end(String(byteLength)));
      };
    case "stream":
    case "flood": {
      const handler = createHandler(name, Response, "");
      return async (_request, response) => {
        const { body } = await (await handler)(new Request("http://localhost/"));
        Readable.fromWeb(body as never).pipe(response);
      };
    }
    default:
      throw new Error(`The handler "${name}" is that of a framework.`);
  }
}
