/**
 * The WebSockets of one thread, as servers and handlers see them. What makes them is loaded with the first request that
 * asks for one: it is an eighth of the package, and most servers never need it.
 *
 * It decides when that is loaded, and refuses what asks for no WebSocket. It is handed to whatever carries exchanges,
 * since a room below this one calls it.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { HandlerInfo } from "../api/handler.ts";
import type { WebSocketAnswer, WebSocketOptions } from "../api/websocket.ts";
import type { Exchange, WebSocketUpgrades } from "../exchange/exchange.ts";
import type { Publication } from "../exchange/publication.ts";
import type { RequestHead } from "../http/request_head.ts";
import { hasListElement } from "../http/token_list.ts";
import { toPublication } from "./payload.ts";
import type { SocketUpgrades, WebSocketRuntime } from "./socket_upgrades.ts";

/** The WebSockets of one thread. */
export class WebSockets implements WebSocketUpgrades {
  /** Loads what makes WebSockets. A test has it take its time, or fail. */
  static importUpgrades = (): Promise<{ readonly SocketUpgrades: typeof SocketUpgrades }> =>
    import("./socket_upgrades.ts");
  readonly #runtime: WebSocketRuntime;
  readonly #tellElsewhere: (publication: Publication) => void;
  /** `null` until a request has asked for a WebSocket and what makes it was loaded. */
  #upgrades: SocketUpgrades | null = null;
  #onCountChanged: (count: number) => void = () => {};

  /**
   * @param runtime The runtime.
   * @param tellElsewhere Tells what was published here to the sockets of other threads.
   */
  constructor(runtime: WebSocketRuntime, tellElsewhere: (publication: Publication) => void) {
    this.#runtime = runtime;
    this.#tellElsewhere = tellElsewhere;
  }

  /** How many are open. */
  get count(): number {
    return this.#upgrades?.count ?? 0;
  }

  /** Calls back with how many are open when that has changed. */
  onCountChanged(callback: (count: number) => void): void {
    this.#onCountChanged = callback;
  }

  load({ upgrade }: RequestHead): Promise<void> | null {
    if (this.#upgrades !== null || upgrade === null || !hasListElement(upgrade, "websocket")) return null;
    return this.#load();
  }

  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void {
    const publication = toPublication(topic, message);
    this.deliver(publication);
    this.#tellElsewhere(publication);
  }

  /** Gives what was published on another thread to the sockets of this one. */
  deliver(publication: Publication): void {
    this.#upgrades?.deliver(publication);
  }

  upgrade(exchange: Exchange, info: HandlerInfo, options: WebSocketOptions): WebSocketAnswer {
    rejectUnasked(exchange.head);
    // The handler of a request that asks for a WebSocket is called when load() is done.
    return this.#upgrades!.upgrade(exchange, info, options);
  }

  /** Each request that comes before it is loaded asks anew, so that a load that failed is tried again with the next. */
  async #load(): Promise<void> {
    const { SocketUpgrades } = await WebSockets.importUpgrades().catch((cause) => {
      throw new TrivetError("internal-error", "What makes WebSockets could not be loaded.", { cause });
    });
    if (this.#upgrades !== null) return;
    this.#upgrades = new SocketUpgrades(this.#runtime, this.#tellElsewhere);
    this.#upgrades.onCountChanged(this.#onCountChanged);
  }
}

/** Refuses what is no request for a WebSocket (RFC 6455 section 4.2.1, items 1, 3 and 4). */
function rejectUnasked({ method, upgrade }: RequestHead): void {
  if (method !== "GET") throw new TrivetError("websocket-request-invalid", "A WebSocket is asked for with GET.");
  if (upgrade !== null && hasListElement(upgrade, "websocket")) return;
  throw new TrivetError(
    "websocket-upgrade-required",
    "This is for WebSockets: Upgrade must be websocket, and Connection must have upgrade.",
  );
}
