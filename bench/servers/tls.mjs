/**
 * A server with TLS that answers "hello": Trivet, or the runtime's own. It tells its port in one line, and ends when its
 * standard input does.
 *
 * @module
 */

import process from "node:process";

const { CERT: cert, KEY: key, SERVER, TRIVET } = process.env;
const fetch = () => new Response("hello", { headers: { "content-type": "text/plain;charset=UTF-8" } });
const tell = (port) => process.stdout.write(`${port}\n`);
process.stdin.on("end", () => process.exit(0)).resume();

if (SERVER === "trivet") {
  const { serve, HttpResponse } = await import(TRIVET);
  const answer = () => new HttpResponse("hello", { headers: { "content-type": "text/plain;charset=UTF-8" } });
  const server = serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, tls: { cert, key } }, answer);
  tell((await server.ready()).port);
} else if ("Deno" in globalThis) {
  Deno.serve({ port: 0, hostname: "127.0.0.1", cert, key, onListen: ({ port }) => tell(port) }, fetch);
} else if ("Bun" in globalThis) {
  tell(Bun.serve({ port: 0, hostname: "127.0.0.1", tls: { cert, key }, fetch }).port);
} else {
  const { createServer } = await import("node:https");
  const server = createServer({ cert, key }, (_request, response) => {
    response.writeHead(200, { "content-type": "text/plain;charset=UTF-8", "content-length": "5" }).end("hello");
  });
  server.listen(0, "127.0.0.1", () => tell(server.address().port));
}
