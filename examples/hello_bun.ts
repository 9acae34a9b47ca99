/**
 * Hello on Bun: `bun run examples/hello_bun.ts`.
 *
 * @module
 */

import { serve } from "../mod.ts"; // In a project of your own: "@trivet/http"

serve({ port: 8000 }, () => new Response("Hello from Bun\n"));
