/**
 * The ceiling on Node.
 *
 * @module
 */

import { type AddressInfo, createServer } from "node:net";
import { announce } from "./launch.ts";
import { EmptyLineFinder } from "./raw.ts";

const server = createServer({ noDelay: true }, (socket) => {
  const lines = new EmptyLineFinder();
  socket.on("data", (bytes: Uint8Array) => {
    const answer = lines.answer(bytes);
    if (answer !== null) socket.write(answer);
  });
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", () => announce((server.address() as AddressInfo).port));
