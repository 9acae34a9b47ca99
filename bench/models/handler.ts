/**
 * The handler under the models, as a module that every model can run: on the loop or in a thread. What it answers is
 * known beforehand.
 *
 * @module
 */

/** The answer to a request that costs nothing. */
export const LIGHT = "light";
/** The answer to a request whose handler waited for a timer, and how long it waits. */
export const WAITED = "waited";
export const WAIT_MS = 100;

/** The offset and the prime of the hash FNV-1a. */
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * Computes, and does nothing else: FNV-1a over so many bytes, each of which depends on the hash so far, so that no round
 * can begin before the one before it is done and none can be left out.
 */
export function computeFor(rounds: number): string {
  let hash = FNV_OFFSET;
  for (let i = 0; i < rounds; i++) hash = Math.imul(hash ^ (i & 0xff) ^ (hash >>> 24), FNV_PRIME);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

export default {
  async fetch(request: Request): Promise<Response> {
    const [, kind, number] = new URL(request.url).pathname.split("/");
    switch (kind) {
      case "light":
        return new Response(LIGHT);
      case "wait":
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
        return new Response(WAITED);
      case "compute":
        return new Response(computeFor(Number(number)));
      default:
        return new Response("There is no such page.", { status: 404 });
    }
  },
};
