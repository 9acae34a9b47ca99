/**
 * Node's own server under test. It takes no fetch handlers, so each handler is written here as its users write it.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { createHandler, describeRequest, type HandlerName, HELLO, JSON_FIELDS } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void;

const TEXT = "text/plain;charset=UTF-8";

function createNodeHandler(name: HandlerName): NodeHandler {
  switch (name) {
    case "hello":
      return (_request, response) => {
        response.setHeader("content-type", TEXT);
        response.end(HELLO);
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
      const handler = createHandler(name, Response);
      return async (_request, response) => {
        const { body } = await handler(new Request("http://localhost/"));
        Readable.fromWeb(body as never).pipe(response);
      };
    }
  }
}

const { handler, patient } = readLaunchOptions();
const server = createServer(createNodeHandler(handler));
if (patient) {
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.keepAliveTimeout = 600_000;
}
server.listen(0, "127.0.0.1", () => announce((server.address() as AddressInfo).port));
