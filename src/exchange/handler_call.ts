/**
 * The call of a handler, and its second argument: what it can know and do beside reading the request.
 *
 * It decides which of these are still possible. The argument is a view of the exchange, made so that the exchange
 * itself stays out of the handler's hands. It must not know the model, nor the thread on which it calls.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import type { Handler, HandlerInfo, PeerAddress, UpgradeAnswer } from "../api/handler.ts";
import type { WebSocketAnswer, WebSocketOptions } from "../api/websocket.ts";
import { hasListElement } from "../http/token_list.ts";
import { isToken } from "../http/grammar.ts";
import { readTraceContext, type TraceContext } from "../http/trace_context.ts";
import type { Address, TlsInfo } from "../transport.ts";
import { readFieldLines } from "../web/field_lines.ts";
import { HttpResponse } from "../web/http_response.ts";
import { isNativeResponse } from "../web/native_body.ts";
import type { Exchange } from "./exchange.ts";
import { PendingUpgrade } from "./pending_upgrade.ts";
import { callTraced, requestChannel } from "./tracing.ts";

/**
 * Calls a handler with an exchange, which takes the result; a turn or more later where what it may need is loaded
 * first.
 */
export function callHandler(handler: Handler, exchange: Exchange): void {
  if (exchange.head.upgrade !== null && waitsForUpgrade(handler, exchange)) return;
  let result: Response | Promise<Response>;
  try {
    const info: HandlerInfo = new ExchangeInfo(exchange);
    const { request } = exchange;
    const channel = requestChannel;
    const isHeard = channel !== null &&
      (channel.start.hasSubscribers || channel.end.hasSubscribers || channel.asyncStart.hasSubscribers ||
        channel.asyncEnd.hasSubscribers || channel.error.hasSubscribers);
    result = isHeard ? callTraced(channel, handler, { request, info }) : handler(request, info);
    // What it gave may throw as well when it is looked at.
    if (isPromiseLike(result)) {
      result.then((response) => exchange.respond(response), (thrown) => takeThrown(exchange, thrown));
      return;
    }
  } catch (thrown) {
    takeThrown(exchange, thrown);
    return;
  }
  exchange.respond(result);
}

/** Whether the handler is called when what makes WebSockets is loaded, if the request is still to be answered then. */
function waitsForUpgrade(handler: Handler, exchange: Exchange): boolean {
  const loaded = exchange.connection.services.webSockets.load(exchange.head);
  if (loaded === null) return false;
  loaded.then(() => {
    if (exchange.progress === "awaited") callHandler(handler, exchange);
  }, (cause) => exchange.fail(cause));
  return true;
}

/** A Response that is thrown is the response: frameworks throw redirects and refusals. */
function takeThrown(exchange: Exchange, thrown: unknown): void {
  if (isResponse(thrown)) exchange.respond(thrown);
  else exchange.fail(thrown);
}

function isResponse(thrown: unknown): boolean {
  try {
    return typeof thrown === "object" && thrown !== null && isNativeResponse(thrown);
  } catch {
    // A Proxy need not let itself be looked at.
    return false;
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<Response> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** The view of one exchange that its handler gets. */
export class ExchangeInfo implements HandlerInfo {
  readonly #exchange: Exchange;

  /** @param exchange The exchange the handler answers. */
  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get remoteAddr(): Address {
    return this.#exchange.remoteAddress;
  }

  requestIP(_request?: Request): PeerAddress | null {
    const { remoteAddr } = this;
    if (remoteAddr.transport === "unix") return null;
    const { hostname: address, port } = remoteAddr;
    return { address, family: address.includes(":") ? "IPv6" : "IPv4", port };
  }

  get peerAddr(): Address {
    return this.#exchange.connection.peerAddress;
  }

  get tls(): TlsInfo | null {
    return this.#exchange.connection.tls;
  }

  get localAddr(): Address {
    return this.#exchange.connection.localAddress;
  }

  get trace(): TraceContext | null {
    return readTraceContext(this.#exchange.fields);
  }

  get completed(): Promise<void> {
    return this.#exchange.completed;
  }

  get draining(): AbortSignal {
    return this.#exchange.connection.services.drainSignal.signal;
  }

  get trailers(): Promise<Headers> {
    return this.#exchange.trailers;
  }

  inform(status: number, headers?: HeadersInit): void {
    if (!Number.isInteger(status) || status < 102 || status > 199) {
      throw new RangeError(`The status of an informational response is ${status}, allowed is 102 to 199.`);
    }
    const fields = readFieldLines(new Headers(headers));
    const exchange = this.#exchange;
    if (!this.#isAwaited("inform() is called")) return;
    const { responder } = exchange.connection;
    if (responder.mayInform(exchange)) responder.inform(exchange, status, fields);
  }

  sendTrailers(trailers: () => HeadersInit): void {
    if (this.#isAwaited("sendTrailers() is called")) this.#exchange.trailersToSend = trailers;
  }

  /**
   * Whether the response is still awaited; it is not when the client has left.
   *
   * @throws {TrivetError} `too-late` when the handler has given it already.
   */
  #isAwaited(what: string): boolean {
    const { progress } = this.#exchange;
    if (progress === "awaited") return true;
    if (progress === "aborted") return false;
    throw new TrivetError("too-late", `${what} after the response was given: call it before the handler returns.`);
  }

  upgrade(protocol: string, init?: { headers?: HeadersInit }): UpgradeAnswer {
    if (typeof protocol !== "string") {
      throw new TypeError(
        `upgrade() got ${protocol === null ? "null" : typeof protocol}, expected the name of a protocol. ` +
          "For a WebSocket call info.upgradeWebSocket().",
      );
    }
    const exchange = this.#exchange;
    if (exchange.progress !== "awaited" || exchange.pendingUpgrade !== null) {
      throw new TrivetError("too-late", "The exchange has a response already, or an upgrade.");
    }
    if (!exchange.isContentComplete) {
      throw new TrivetError("upgrade-not-requested", "The content of the request has to be read before an upgrade.");
    }
    if (!isToken(protocol.replace("/", "")) || !offers(exchange.head.upgrade, protocol)) {
      const asked = exchange.head.upgrade === null ? "no upgrade" : "an upgrade to another protocol";
      const message = `The request asks for ${asked}, got ${JSON.stringify(protocol)} for upgrade().`;
      throw new TrivetError("upgrade-not-requested", message);
    }
    const headers = new Headers(init?.headers);
    headers.set("upgrade", protocol);
    const upgrade = new PendingUpgrade();
    exchange.pendingUpgrade = upgrade;
    const response = new HttpResponse(null, { status: 101, headers });
    return { response: response, connection: upgrade.connection };
  }

  upgradeWebSocket(options: WebSocketOptions = {}): WebSocketAnswer {
    return this.#exchange.connection.services.webSockets.upgrade(this.#exchange, this, options);
  }

  publish(topic: string, message: string | ArrayBufferLike | ArrayBufferView): void {
    this.#exchange.connection.services.webSockets.publish(topic, message);
  }
}

/** `Upgrade = #protocol`, `protocol = protocol-name [ "/" protocol-version ]` (RFC 9110 section 7.8). */
function offers(upgrade: string | null, protocol: string): boolean {
  return upgrade !== null && hasListElement(upgrade, protocol.toLowerCase());
}
