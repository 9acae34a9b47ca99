/**
 * A handler that keeps its thread busy for as long as it is told, as a module.
 *
 * @module
 */

export default {
  fetch(request: Request): Response {
    const busyMs = Number(new URL(request.url).pathname.slice("/busy/".length));
    const untilMs = performance.now() + busyMs;
    while (performance.now() < untilMs);
    return new Response("done");
  },
};
