/**
 * Hello on Node: `node examples/hello_node.mjs`.
 *
 * Node runs the TypeScript this imports itself from 22.18 on. Older versions take the npm package, which is JavaScript.
 *
 * @module
 */

import { serve } from "../mod.ts"; // In a project of your own: "@trivet/http"

serve({ port: 8000 }, () => new Response("Hello from Node\n"));
