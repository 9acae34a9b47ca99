/**
 * The handler of the measurement of a hop to a thread and back, as a module: "hello", with Trivet's own response.
 *
 * @module
 */

import process from "node:process";
import { createHandler } from "../handlers.ts";

const { HttpResponse }: typeof import("../../mod.ts") = await import(process.env.BENCH_TRIVET ?? "");

export default { fetch: createHandler("hello", HttpResponse) };
