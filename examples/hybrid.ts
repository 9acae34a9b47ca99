/**
 * The hybrid model: the event loop reads and writes, and handlers that compute run on threads.
 *
 *     deno run -A examples/hybrid.ts
 *     bun run examples/hybrid.ts
 *     node examples/hybrid.ts
 *
 * Ask it for http://localhost:8000/?below=20000000 several times at once: http://localhost:8000/health is answered at
 * once all the while, because no handler runs on the loop.
 *
 * @module
 */

import { serve } from "../mod.ts";

serve({
  model: "hybrid",
  threads: 2,
  module: new URL("./primes.ts", import.meta.url),
  maxQueue: 100,
  handlerTimeout: 10_000,
  healthPath: "/health",
});
