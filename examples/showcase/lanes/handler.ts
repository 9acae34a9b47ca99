/**
 * What every lane serves: an answer at once, one that is computed, and one that ends the thread it runs on.
 *
 * @module
 */

const MAX_COMPUTING_MS = 1_000;

export default {
  fetch(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/quick":
        return new Response("quick\n");
      case "/compute":
        return compute(Math.min(Number(searchParams.get("ms")), MAX_COMPUTING_MS));
      case "/end-thread":
        // What is thrown outside of a handler's promise ends the thread, as any uncaught error does.
        setTimeout(() => {
          throw new Error("The showcase was asked to end a thread.");
        });
        return new Response("ending\n");
      default:
        return new Response("There is nothing here.\n", { status: 404 });
    }
  },
};

/** Holds its thread for so long, as a handler that computes does. */
function compute(ms: number): Response {
  const until = performance.now() + ms;
  let rounds = 0;
  while (performance.now() < until) rounds++;
  return Response.json({ ms, rounds });
}
