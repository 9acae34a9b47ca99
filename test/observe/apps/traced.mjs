// Serves the traced handler under the model that its argument names.

import { serve } from "@trivet/http";

const MODELS = { "event-driven": {}, "hybrid": { model: "hybrid", threads: 1 } };
const module = new URL("./traced_handler.mjs", import.meta.url);
const options = { port: 0, hostname: "127.0.0.1", module, trustProxy: { from: "loopback" }, onError: () => {} };
serve({ ...options, ...MODELS[process.argv[2]] });
