/**
 * Says which style sheet will be needed while the page is still being made (103 Early Hints, RFC 8297).
 *
 * Try `curl -v http://localhost:8000/`.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { serve } from "../mod.ts";

serve({ port: 8000 }, async (request, info) => {
  if (new URL(request.url).pathname === "/style.css") {
    return new Response("body { font-family: sans-serif }\n", { headers: { "content-type": "text/css" } });
  }
  info.inform(103, { link: "</style.css>; rel=preload; as=style" });
  await delay(500);
  return new Response('<!DOCTYPE html><link rel="stylesheet" href="/style.css"><h1>Worth the wait</h1>\n', {
    headers: { "content-type": "text/html;charset=UTF-8" },
  });
});
