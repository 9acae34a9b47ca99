/**
 * Leaves HTTP for a protocol of its own, in which every byte comes back (Upgrade, RFC 9110 section 7.8).
 *
 * Try it with a client that speaks raw TCP:
 *
 * ```sh
 * printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nthree legs\n' |
 *   nc -N localhost 8000
 * ```
 *
 * @module
 */

import { serve } from "../mod.ts";

serve({ port: 8000 }, (request, info) => {
  if (request.headers.get("upgrade")?.toLowerCase() !== "echo") {
    return new Response("This server speaks echo.\n", {
      status: 426,
      headers: { upgrade: "echo", connection: "upgrade" },
    });
  }
  const { response, connection } = info.upgrade("echo");
  // It goes on after the response, for as long as the peer likes; a connection that breaks ends it.
  connection.then(({ readable, writable }) => readable.pipeTo(writable)).catch(() => {});
  return response;
});
