/**
 * The program that `count_calls.ts` runs on Node: a server whose functions were made to tell that they are called, a
 * client, and two requests on one connection. It prints the calls of the second one, in order, as JSON.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import { HttpResponse, serve } from "../mod.ts";

const REQUEST = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
const DEADLINE_MS = 10_000;

const traced = globalThis as { tracedCalls?: number[] };

const deadline = setTimeout(() => {
  console.error(`Two requests were not answered within ${DEADLINE_MS} ms.`);
  process.exit(1);
}, DEADLINE_MS);

const server = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new HttpResponse("hello"))
  .ready();
const client = net.connect(server.port, "127.0.0.1");
await ask();
traced.tracedCalls = [];
await ask();
const calls = traced.tracedCalls;
delete traced.tracedCalls;
client.destroy();
await server.stop();
clearTimeout(deadline);
console.log(JSON.stringify(calls));

/** Sends a request and waits for the whole response. */
async function ask(): Promise<void> {
  client.write(REQUEST);
  for (let received = ""; !received.endsWith("\r\n\r\nhello");) {
    received += await new Promise((resolve) => client.once("data", (bytes: Uint8Array) => resolve(String(bytes))));
  }
}
