/**
 * Hello on Deno: `deno run --allow-net examples/hello_deno.ts`.
 *
 * @module
 */

import { serve } from "../mod.ts"; // In a project of your own: "jsr:@trivet/http"

serve({ port: 8000 }, () => new Response("Hello from Deno\n"));
