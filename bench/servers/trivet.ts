/**
 * Trivet under test, event-driven, on the runtime that runs this file.
 *
 * @module
 */

import { createHandler } from "../handlers.ts";
import { announce, readLaunchOptions } from "./launch.ts";

const { handler, responses, trivet, patient } = readLaunchOptions();
const { HttpResponse, serve }: typeof import("../../mod.ts") = await import(trivet);

const patience = patient ? { headersTimeout: 600_000, requestTimeout: 600_000, keepAliveTimeout: 600_000 } : {};
const server = serve(
  {
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    // Of what is measured, only the upload of a gigabyte is beyond the default.
    maxRequestBodySize: handler === "count" ? 2 ** 31 : undefined,
    ...patience,
  },
  createHandler(handler, responses === "own" ? HttpResponse : Response),
);
await server.ready();
announce(server.port);
