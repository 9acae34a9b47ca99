/** A program that calls `serve()` with `handleSignals`, and has nothing else to keep it alive. */

import process from "node:process";
import { serve } from "../../mod.ts";

const server = await serve({
  hostname: "127.0.0.1",
  port: 0,
  handleSignals: true,
  drainDelay: Number(process.argv[2] ?? 0),
  onListen: (address) => console.log(`port ${"port" in address ? address.port : 0}`),
}, async (request) => {
  if (request.url.endsWith("/slow")) {
    console.log("slow has begun");
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return new Response("hello");
}).ready();
server.finished.then(() => console.log(server.stats().state));
