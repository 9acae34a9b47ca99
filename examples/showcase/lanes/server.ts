/**
 * One lane of the showcase: a program that serves under one concurrency model, until its standard input ends.
 *
 * Usage: the name of the model as its only argument. It prints where it listens, as one line of JSON.
 *
 * @module
 */

import process from "node:process";
import { type Model, serve } from "../../../mod.ts";
import { LANES } from "./lanes.ts";

const model = process.argv[2] as Model;
const server = serve({
  ...LANES[model].options,
  port: 0,
  hostname: "127.0.0.1",
  onListen: () => {},
  onError: () => {},
  onWarning: () => {},
});
await server.ready();
console.log(JSON.stringify({ port: server.port }));

// It ends with the showcase, however that ends.
process.stdin.on("end", () => process.exit()).resume();
