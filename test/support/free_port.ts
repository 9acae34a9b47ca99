/**
 * Where a program can be told to listen that takes no port of the system's choice.
 *
 * @module
 */

/** A port of this machine that nothing listened at just now. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
