/**
 * What is done in a play, in which order, and how the server ends: as data, so that a play that fails can be made
 * shorter.
 *
 * @module
 */

import type { ServeOptions } from "../../../src/api/options.ts";

/** How a handler comes to its response; all but the first wait for acts. */
export type Way =
  | "at once"
  | "later"
  | "after reading"
  | "after a part"
  | "while reading"
  | "without the body"
  | "throws"
  | "with a false length"
  | "streams"
  | "streams at once"
  | "is pulled"
  | "fails in a pull"
  | "upgrades"
  | "upgrades, answers later"
  | "upgrades later"
  | "upgrades in vain"
  | "upgrades and throws";
export type Framing = "none" | "length" | "chunked";
/** Which class of response a handler makes. */
export type Made = "HttpResponse" | "Response";

/** A request that a client will send. */
export interface Ask {
  readonly method: "GET" | "HEAD" | "POST";
  readonly way: Way;
  readonly made: Made;
  readonly framing: Framing;
  /** Of its content. */
  readonly bytes: number;
  readonly minorVersion: 0 | 1;
  readonly expectsContinue: boolean;
  /** Whether the handler sends 103 before, and trailers behind its response. */
  readonly says: boolean;
  readonly closes: boolean;
  /** Whether it asks for a WebSocket, which the handler need not take notice of. */
  readonly asksSocket: boolean;
  /** How many messages the client sends right behind its request for a WebSocket, each of as many `bytes`. */
  readonly hasty: number;
  /** Whether the client of a WebSocket has to answer Pings, which it does between acts. */
  readonly pings: boolean;
  /** Whether the handler sends back the messages of a WebSocket. */
  readonly echoes: boolean;
  /** Whether the client of a WebSocket answers a Close. */
  readonly closesBack: boolean;
}

/** How much a client sends: bytes, or what is left of what stands next. */
export type Much = number | "head" | "request" | "everything";

/** What is done; the numbers of clients and calls are taken from those that there are. */
export type Act =
  | { readonly does: "connect"; readonly asks: readonly Ask[] }
  | { readonly does: "send"; readonly client: number; readonly much: Much }
  | { readonly does: "end" | "reset" | "read on"; readonly client: number }
  | { readonly does: "read" | "stop reading"; readonly client: number; readonly bytes: number }
  | { readonly does: "answer" | "fail" | "close"; readonly call: number }
  | { readonly does: "give"; readonly call: number; readonly bytes: number }
  | { readonly does: "message"; readonly client: number; readonly bytes: number }
  | { readonly does: "ping" | "close frame"; readonly client: number }
  | { readonly does: "say"; readonly call: number; readonly bytes: number }
  | { readonly does: "close socket"; readonly call: number }
  | { readonly does: "crash" | "freeze" | "thaw"; readonly thread: number }
  | { readonly does: "wait"; readonly ms: number };

/** How the server ends: by itself it has nothing to do any more, or it is told to. */
export type Finale = "rest" | "stop" | "shutdown" | "shutdown, idle ones too" | "shutdown, answered meanwhile";

/** One play. */
export interface Script {
  readonly options: ServeOptions;
  readonly acts: readonly Act[];
  readonly finale: Finale;
}
