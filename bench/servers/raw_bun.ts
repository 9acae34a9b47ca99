/**
 * The ceiling on Bun.
 *
 * @module
 */

import { announce } from "./launch.ts";
import { EmptyLineFinder } from "./raw.ts";

/** What is used of Bun, whose type declarations are not here. */
interface BunSocket {
  data: EmptyLineFinder;
  write(bytes: Uint8Array): number;
}
interface BunGlobal {
  listen(options: {
    port: number;
    hostname: string;
    socket: { open(socket: BunSocket): void; data(socket: BunSocket, bytes: Uint8Array): void };
  }): { readonly port: number };
}

const { Bun } = globalThis as unknown as { Bun: BunGlobal };
const listener = Bun.listen({
  port: 0,
  hostname: "127.0.0.1",
  socket: {
    open(socket) {
      socket.data = new EmptyLineFinder();
    },
    data(socket, bytes) {
      const answer = socket.data.answer(bytes);
      if (answer !== null) socket.write(answer);
    },
  },
});
announce(listener.port);
