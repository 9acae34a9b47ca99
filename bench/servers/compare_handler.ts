/**
 * The handler of the comparison, as a module that every model can run: on the loop or in a thread.
 *
 * @module
 */

import { computeFor, LIGHT, WAIT_MS, WAITED } from "../compare/work.ts";

const COMPUTE_PATH = "/compute/";

export default {
  fetch(request: Request): Response | Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/light") return new Response(LIGHT);
    if (pathname === "/wait") return waited();
    if (pathname.startsWith(COMPUTE_PATH)) return new Response(computeFor(Number(pathname.slice(COMPUTE_PATH.length))));
    return new Response("There is no such page.", { status: 404 });
  },
};

async function waited(): Promise<Response> {
  await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  return new Response(WAITED);
}
