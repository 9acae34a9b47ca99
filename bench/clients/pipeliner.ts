/**
 * A client that pipelines requests without pause, `pipeliner.ts <port> <connections> <seconds>`: it prints how many
 * responses came, and how many connections the server has closed too early.
 */

import { connect } from "node:net";
import { get } from "../../test/support/wire_connection.ts";

export type PipelinerReport = Readonly<Record<"responses" | "closed", number>>;

const REQUESTS = new TextEncoder().encode(get("/hello").repeat(2_000));

const [port, connections, seconds] = Deno.args.map(Number);
const report = { responses: 0, closed: 0 };
let isOver = false;

const sockets = Array.from({ length: connections }, () => {
  const socket = connect({ port, host: "127.0.0.1" });
  const send = () => {
    while (!isOver && socket.write(REQUESTS));
  };
  socket.on("connect", send).on("drain", send).on("error", () => {});
  socket.on("close", () => isOver || report.closed++);
  // One that is cut in two between reads is not counted: of the hundreds in each read it makes no difference.
  socket.on("data", (bytes) => report.responses += bytes.toString("latin1").split("HTTP/1.1 200").length - 1);
  return socket;
});
setTimeout(() => {
  isOver = true;
  for (const socket of sockets) socket.destroy();
  console.log(JSON.stringify(report satisfies PipelinerReport));
}, 1000 * seconds);
