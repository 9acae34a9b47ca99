// A server of each model, and one beside them that shows what they measure. Prints where the latter listens.

import { serve } from "@trivet/http";
import { metricsHandler, statusPage } from "@trivet/http/observe";

const MODELS = {
  alone: {},
  loops: { loops: 2 },
  pool: { model: "worker-pool", workers: 2 },
  hybrid: { model: "hybrid", threads: 2 },
};

const module = new URL("./handler.mjs", import.meta.url);
const anywhere = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {} };
const servers = Object.entries(MODELS).map((
  [name, model],
) => [name, serve({ ...anywhere, ...model, module, metrics: true })]);
const urls = {};
const pages = {
  "/urls": () => Response.json(urls),
};
for (const [name, server] of servers) {
  await server.ready();
  urls[name] = server.url;
  pages[`/metrics/${name}`] = metricsHandler(server);
  pages[`/status/${name}`] = statusPage(server);
  // Under the policy of an application that allows what comes from itself, and nothing inline.
  pages[`/strict/${name}`] = (request) => {
    const response = statusPage(server)(request);
    response.headers.set("content-security-policy", "default-src 'self'");
    return response;
  };
  pages[`/plain/${name}`] = async () =>
    new Response(await server.metrics(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}

serve({ ...anywhere, onListen: undefined }, (request) => {
  const page = pages[new URL(request.url).pathname];
  return page === undefined ? new Response("Not Found", { status: 404 }) : page(request);
});
