/**
 * A reverse proxy: what comes goes to another server, and its response goes back, as streams both ways.
 *
 * `return fetch(...)` is all that a response needs: Trivet leaves out what belonged to the connection it came on, and the
 * Content-Encoding and length of content that `fetch` has decoded. In a response of your own, `new Response(upstream.body,
 * { headers })`, that is up to you, since nothing tells that it was fetched.
 *
 * Run it with `deno run -A examples/reverse_proxy.ts http://127.0.0.1:9000`, or the same with `bun run` or `node`.
 */

import process from "node:process";
import { type Handler, serve } from "../mod.ts";

/** Of the connection, and not of the message (RFC 9110 section 7.6.1); Host and the length are set anew. */
const NOT_FORWARDED = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** A handler that passes everything to another server. */
export function proxyTo(upstream: string): Handler {
  return async (request, info) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers(request.headers);
    const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim());
    for (const name of named) if (/^[\w-]+$/.test(name)) headers.delete(name);
    for (const name of NOT_FORWARDED) headers.delete(name);
    const { remoteAddr } = info;
    // What a client says of itself is not to be believed.
    if (remoteAddr.transport === "tcp") headers.set("x-forwarded-for", remoteAddr.hostname);
    const init: RequestInit & { duplex: "half" } = {
      method: request.method,
      headers,
      body: request.body,
      // The client follows redirects itself, and aborts what it does not wait for.
      redirect: "manual",
      signal: request.signal,
      duplex: "half",
    };
    try {
      return await fetch(new URL(pathname + search, upstream), init);
    } catch (error) {
      if (request.signal.aborted) throw error;
      return new Response("The server behind this one does not answer.\n", { status: 502 });
    }
  };
}

// Older Nodes do not say which module was started.
if (import.meta.main ?? import.meta.url.endsWith(process.argv[1])) {
  serve(proxyTo(process.argv[2] ?? "http://127.0.0.1:9000"));
}
