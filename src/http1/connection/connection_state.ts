/**
 * The states of a connection.
 *
 * @module
 */

/**
 * What a connection is doing.
 *
 * | state       | what it does                                                | what ends it                            |
 * |-------------|-------------------------------------------------------------|-----------------------------------------|
 * | `parked`    | waits for the concurrency model to serve it                 | `serve`, `refuse`                       |
 * | `idle`      | waits for a request                                         | a byte; the idle deadline; FIN          |
 * | `head`      | has part of a head                                          | the whole head; an error; its deadline  |
 * | `exchange`  | has an exchange in flight, whose content may still come     | the response was gathered               |
 * | `skipping`  | throws the rest of the content away, the response is out    | the end of the content; its bound       |
 * | `upgraded`  | passes bytes to and from the handler                        | close                                   |
 * | `closing`   | sends what is left                                          | the transport has taken all of it       |
 * | `lingering` | has sent FIN, throws away what comes                        | the peer's FIN; its deadline and bound  |
 * | `closed`    | is gone                                                     |                                         |
 */
export type ConnectionState =
  | "parked"
  | "idle"
  | "head"
  | "exchange"
  | "skipping"
  | "upgraded"
  | "closing"
  | "lingering"
  | "closed";

/** Whether bytes that come are for nobody who speaks HTTP: the connection is upgraded, or on its way to its end. */
export function isBehindHttp(state: ConnectionState): boolean {
  return state === "upgraded" || state === "closing" || state === "lingering" || state === "closed";
}
