/**
 * The programs a user of the package writes: one for each way to reach it.
 *
 * @module
 */

/** A model, and the handler in the form that it takes. */
export interface ModelRow {
  /** The name of the model. */
  readonly model: string;
  /** Whether its handler is a module, because a function cannot cross a thread. */
  readonly takesModule: boolean;
}

/** Every concurrency model, in each form it has. */
export const MODELS: readonly ModelRow[] = [
  { model: "blocking", takesModule: false },
  { model: "worker-pool", takesModule: false },
  { model: "worker-pool", takesModule: true },
  { model: "event-driven", takesModule: false },
  { model: "event-driven", takesModule: true },
  { model: "hybrid", takesModule: true },
];

/** The names the package exports, sorted. */
export const EXPORTED_NAMES: readonly string[] = ["HttpResponse", "TrivetError", "serve"];

/** The name by which users import the package. */
export const PACKAGE_NAME = "@trivet/http";

/** A module with a handler. */
export const HANDLER_MODULE = 'export default { fetch: () => new Response("hello") };\n';

/**
 * Six lines that serve a request with a model.
 *
 * @param specifier What is imported: the package's name, or the URL of its source.
 */
export function sixLines({ model, takesModule }: ModelRow, specifier: string): string {
  const options = `port: 0, hostname: "127.0.0.1", model: ${JSON.stringify(model)}`;
  const serve = takesModule
    ? `serve({ ${options}, module: new URL("./handler.mjs", import.meta.url) })`
    : `serve({ ${options} }, () => new Response("hello"))`;
  return [
    `import { serve } from ${JSON.stringify(specifier)};`,
    `const server = ${serve};`,
    "await server.ready();",
    "const response = await fetch(server.url);",
    "console.log(response.status, await response.text());",
    "await server.shutdown({ closeIdle: true });",
    "",
  ].join("\n");
}

/** The entry points of a bundle whose handlers run on threads. */
export const BUNDLED: readonly string[] = ["app.mjs", "handler.mjs", `node_modules/${PACKAGE_NAME}/esm/thread_main.js`];

/** The first of them: in a bundle each has the extension `.js`. */
export const BUNDLED_PROGRAM = sixLines({ model: "hybrid", takesModule: true }, PACKAGE_NAME)
  .replace("handler.mjs", "handler.js");

/** Prints what an import gives. */
export const IMPORT_NAMES = `import * as trivet from "${PACKAGE_NAME}";
const { HttpResponse, TrivetError } = trivet;
console.log(HttpResponse.name, TrivetError.name);
console.log(JSON.stringify(Object.keys(trivet).sort()));
`;

/** Prints what a require gives. */
export const REQUIRE_NAMES = `const trivet = require("${PACKAGE_NAME}");
console.log(JSON.stringify(Object.keys(trivet).filter((name) => !name.startsWith("__")).sort()));
`;

/** Serves one request from CommonJS. */
export const REQUIRE_AND_SERVE = `const { serve } = require("${PACKAGE_NAME}");
serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => new Response("hello")).ready().then(async (server) => {
  const response = await fetch(server.url);
  console.log(response.status, await response.text());
  await server.shutdown({ closeIdle: true });
});
`;

/** Fails inside the package. */
export const FAIL_INSIDE = `import { serve } from "${PACKAGE_NAME}";
try {
  serve({ port: -1 }, () => new Response());
} catch (error) {
  console.log(error.stack);
}
`;

/** Serves while what makes WebSockets is missing in the folder that is named, and when it is back. */
export const MISSING_PART = `import { readdirSync, renameSync } from "node:fs";
import { connect } from "node:net";
import { serve } from "${PACKAGE_NAME}";
const path = readdirSync(process.argv[2]).find((name) => name.startsWith("socket_upgrades-"));
const place = process.argv[2] + "/" + path;
const codes = [];
const options = { port: 0, hostname: "127.0.0.1", onListen() {}, onError: ({ code }) => void codes.push(code) };
const server = serve(options, (request, info) => {
  return request.headers.has("upgrade") ? info.upgradeWebSocket().response : new Response("hello");
});
await server.ready();
const ask = (...lines) => new Promise((resolve, reject) => {
  let received = "";
  const socket = connect(server.port, "127.0.0.1").on("error", reject).on("data", (bytes) => {
    received += bytes;
    if (!received.includes("\\r\\n\\r\\n")) return;
    socket.destroy();
    resolve([received.slice(9, 12), ...codes.splice(0)].join(" "));
  });
  socket.write(["GET / HTTP/1.1", "Host: a.test", ...lines, "", ""].join("\\r\\n"));
});
const webSocket = ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
renameSync(place, place + ".away");
try {
  console.log(await ask(...webSocket));
  console.log(await ask());
} finally {
  renameSync(place + ".away", place);
}
console.log(await ask(...webSocket));
await server.stop();
`;

/** Uses the types as a strict user does. */
export const TYPED_PROGRAM = `import {
  type Address,
  type Handler,
  type HandlerInfo,
  HttpResponse,
  serve,
  type ServeInit,
  type ServeOptions,
  type Server,
  type ServerStats,
  type ShutdownReport,
  TrivetError,
} from "${PACKAGE_NAME}";

const handler: Handler = async (request: Request, info: HandlerInfo): Promise<Response> => {
  info.inform(103, { link: "</style.css>; rel=preload" });
  const address: Address = info.remoteAddr;
  return HttpResponse.json({ length: (await request.text()).length, transport: address.transport });
};
const options: ServeOptions = { port: 0, hostname: "127.0.0.1", onError: (error: TrivetError) => void error.code };
const init: ServeInit = { ...options, fetch: handler };
const server: Server = serve(init);
const stats: ServerStats = server.stats();
const report: Promise<ShutdownReport> = server.shutdown({ timeout: 100 });
const answer: Promise<Response> = server.fetch("/", { method: "POST", body: "hello" });
const fetched: Promise<Response> = server.fetch(new Request("http://a.test/"));
export { answer, fetched, report, stats };
// What is undefined is not set, also for a compiler with exactOptionalPropertyTypes.
const { PORT, CA }: { readonly PORT?: string; readonly CA?: string } = {};
serve({ port: PORT, onError: undefined, minDataRate: { gracePeriod: undefined }, fetch: handler });
serve({ tls: { cert: "cert.pem", key: "key.pem", ca: CA }, accessLog: { file: undefined } }, handler);
server.shutdown({ timeout: undefined });
// @ts-expect-error A port is a number or its digits.
serve({ port: true }, handler);
// @ts-expect-error Nor is it among the options that hold the handler.
serve({ port: true, fetch: handler });

// Where a type of the package is not known to the compiler it would be any, and this would compile.
export function misuse(info: HandlerInfo): void {
  // @ts-expect-error These are no headers.
  info.inform(103, 42);
  // @ts-expect-error Nor are these.
  info.sendTrailers(42);
  // @ts-expect-error A number is no body.
  new HttpResponse(42);
  // @ts-expect-error Trailers are promised.
  info.trailers.get("x");
  // @ts-expect-error A number is no request.
  server.fetch(42);
  // @ts-expect-error Nor is it what changes one.
  server.fetch("/", 42);
  // @ts-expect-error A signal is no text.
  info.draining.length;
}
`;
