/**
 * An adapter for the hooks of crossws (npm), by which h3, Nitro and others have WebSockets.
 *
 * @example An application of h3, whose `defineWebSocketHandler` gives the hooks
 * ```ts ignore
 * import { defineWebSocketHandler, H3 } from "h3";
 * import { serve } from "@trivet/http";
 * import { crossws } from "@trivet/http/crossws";
 *
 * const app = new H3().get("/chat", defineWebSocketHandler({
 *   message: (peer, message) => peer.send(`You said: ${message}`),
 * }));
 *
 * serve(crossws().handler((request) => app.fetch(request)));
 * ```
 *
 * @module
 */

import type { Handler, HandlerInfo } from "../api/handler.ts";
import type { WebSocketCloseEvent, WebSocketErrorEvent, WebSocketMessageEvent } from "../api/websocket.ts";
import type { WebSocketOptions } from "../api/websocket.ts";
import { CrosswsMessage, CrosswsPeer, toMessage, topicOf } from "./crossws_peer.ts";

export { CrosswsMessage, CrosswsPeer } from "./crossws_peer.ts";
export type { DrainOptions, PeerParts } from "./crossws_peer.ts";

/**
 * Hooks, as `defineHooks` of crossws makes them. Of those that crossws knows, `drain`, `ping` and `pong` are never
 * called: Trivet answers Pings and notices clients that are gone by itself.
 */
export interface CrosswsHooks {
  /** Before the response: may refuse by a Response, given or thrown, or say what belongs to the connection. */
  // deno-lint-ignore no-explicit-any -- The classes of crossws, which are not exported, have private members.
  upgrade?(request: any): unknown;
  /** Messages can be sent. */
  // deno-lint-ignore no-explicit-any -- As above.
  open?(peer: any): unknown;
  /** A message came. */
  // deno-lint-ignore no-explicit-any -- As above.
  message?(peer: any, message: any): unknown;
  /** The connection is closed. */
  // deno-lint-ignore no-explicit-any -- As above.
  close?(peer: any, details: { code?: number; reason?: string }): unknown;
  /** The connection has failed; `close` follows. */
  // deno-lint-ignore no-explicit-any -- As above.
  error?(peer: any, error: any): unknown;
}

/** What {@linkcode crossws} can be told. */
export interface CrosswsOptions {
  /** Hooks for all connections. */
  readonly hooks?: CrosswsHooks | undefined;
  /** Gives the hooks of one connection, which are called behind those for all. */
  readonly resolve?: ((request: Request) => CrosswsHooks | undefined | Promise<CrosswsHooks | undefined>) | undefined;
  /** To which peers a peer publishes: those of the same name. Default: the path of the request. */
  readonly getNamespace?: ((request: Request) => string) | undefined;
  /** Chooses one of the protocols that the client offers. */
  readonly handleProtocols?:
    | ((
      offered: Set<string>,
      request: Request,
    ) => string | false | null | undefined | Promise<string | false | null | undefined>)
    | undefined;
  /** Bounds, compression and origins, as `info.upgradeWebSocket` takes them. */
  readonly webSocket?: Omit<WebSocketOptions, "protocol"> | undefined;
}

/** The adapter. */
export interface CrosswsAdapter {
  /** The peers of this thread by namespace. */
  readonly peers: Map<string, Set<CrosswsPeer>>;
  /** Makes a WebSocket of a request, or gives the response of a hook that refuses. */
  handleUpgrade(request: Request, info: HandlerInfo): Promise<Response>;
  /**
   * Makes a handler of an application: requests for a WebSocket become one with the hooks of the options or, where
   * these have none, with those that the application's response brings (`defineWebSocketHandler` of h3). All others,
   * and those without hooks, are answered by the application.
   */
  handler(fetch: Handler): Handler;
  /**
   * Sends to all subscribers of a topic, of one namespace or of all, on every thread; on a thread that has had no
   * request yet it does nothing.
   */
  publish(topic: string, data: unknown, options?: { readonly namespace?: string }): void;
  /** Closes all peers of this thread. */
  close(code?: number, reason?: string): Promise<void>;
}

/** What the hook `upgrade` may give. */
interface Upgraded {
  readonly headers?: HeadersInit;
  readonly protocol?: string;
  readonly namespace?: string;
  readonly context?: Record<string, unknown>;
}

/** Where frameworks leave hooks on the request. */
const HOOKS = Symbol.for("crossws.hooks");

/** What applications answer a request with that was to become a WebSocket. */
const UPGRADE_REQUIRED = 426;

const OPTION_NAMES: readonly string[] = ["hooks", "resolve", "getNamespace", "handleProtocols", "webSocket"];

/**
 * Makes an adapter.
 *
 * @throws {TypeError} For an unknown option. `sync` of crossws is none: what is published gets to all threads of the
 * server anyway.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 * import { crossws } from "@trivet/http/crossws";
 *
 * const ws = crossws({
 *   hooks: {
 *     open: (peer) => peer.subscribe("room"),
 *     message: (peer, message) => peer.publish("room", message.text()),
 *   },
 * });
 * const server = serve({ port: 0 }, ws.handler(() => new Response("hello")));
 * await server.ready();
 * await server.shutdown();
 * ```
 */
export function crossws(options: CrosswsOptions = {}): CrosswsAdapter {
  for (const name of Object.keys(options)) {
    if (OPTION_NAMES.includes(name)) continue;
    throw new TypeError(`crossws() has no option "${name}": known are ${OPTION_NAMES.join(", ")}.`);
  }
  return new Adapter(options);
}

class Adapter implements CrosswsAdapter {
  readonly peers: Map<string, Set<CrosswsPeer>> = new Map();
  readonly #options: CrosswsOptions;
  /** Any of this thread can publish. */
  #info: HandlerInfo | null = null;

  constructor(options: CrosswsOptions) {
    this.#options = options;
  }

  async handleUpgrade(request: Request, info: HandlerInfo): Promise<Response> {
    return await this.#upgrade(request, info, await this.#options.resolve?.(request));
  }

  handler(fetch: Handler): Handler {
    const { hooks, resolve } = this.#options;
    return async (request, info) => {
      this.#info ??= info;
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return await fetch(request, info);
      if (hooks !== undefined || resolve !== undefined) return await this.handleUpgrade(request, info);
      const given = await fetch(request, info);
      const found = hooksOf(request, given);
      if (found === undefined) return given;
      given?.body?.cancel().catch(() => {});
      return await this.#upgrade(request, info, found);
    };
  }

  publish(topic: string, data: unknown, { namespace = "" }: { readonly namespace?: string } = {}): void {
    // Before the first request this thread has no way to publish, and no peer either.
    this.#info?.publish(topicOf(namespace, topic), toMessage(data) as string);
  }

  // deno-lint-ignore require-await -- As crossws has it.
  async close(code?: number, reason?: string): Promise<void> {
    for (const peers of this.peers.values()) {
      for (const peer of peers) peer.close(code, reason);
    }
  }

  async #upgrade(request: Request, info: HandlerInfo, own: CrosswsHooks | undefined): Promise<Response> {
    this.#info ??= info;
    let upgraded: unknown;
    try {
      const common = await this.#options.hooks?.upgrade?.(request);
      upgraded = await own?.upgrade?.(request) || common;
    } catch (thrown) {
      const response = (thrown as { response?: unknown } | null)?.response ?? thrown;
      if (response instanceof Response) return response;
      throw thrown;
    }
    if (upgraded instanceof Response) return upgraded;
    return await this.#connect(request, info, own, upgraded ?? {});
  }

  async #connect(
    request: Request,
    info: HandlerInfo,
    own: CrosswsHooks | undefined,
    upgraded: Upgraded,
  ): Promise<Response> {
    const headers = new Headers(upgraded.headers);
    const protocol = upgraded.protocol ?? headers.get("sec-websocket-protocol") ?? await this.#chooseProtocol(request);
    const { response, socket } = info.upgradeWebSocket({
      ...this.#options.webSocket,
      ...(protocol ? { protocol } : {}),
    });
    headers.delete("sec-websocket-protocol");
    for (const [name, value] of headers) response.headers.append(name, value);

    const namespace = upgraded.namespace ?? this.#options.getNamespace?.(request) ?? new URL(request.url).pathname;
    const peers = this.#peersOf(namespace);
    const { remoteAddr } = info;
    const remoteAddress = remoteAddr.transport === "tcp" ? remoteAddr.hostname : undefined;
    const context = (request as { context?: Record<string, unknown> }).context ?? {};
    Object.assign(context, upgraded.context);
    const peer = new CrosswsPeer({ socket, request, remoteAddress, namespace, context, peers });
    peers.add(peer);
    // What a hook throws, or its promise rejects with, is reported by the socket.
    socket.binaryType = "arraybuffer";
    // One that is closed before it is open, such as for a client that has left, is none that hooks have heard of.
    let isOpened = false;
    socket.onopen = () => {
      isOpened = true;
      return this.#call("open", own, peer);
    };
    socket.onmessage = (event: WebSocketMessageEvent) =>
      this.#call("message", own, peer, new CrosswsMessage(event.data, peer, event));
    socket.onerror = ({ error }: WebSocketErrorEvent) => isOpened ? this.#call("error", own, peer, error) : undefined;
    socket.onclose = ({ code, reason }: WebSocketCloseEvent) => {
      peers.delete(peer);
      if (peers.size === 0) this.peers.delete(namespace);
      return isOpened ? this.#call("close", own, peer, { code, reason }) : undefined;
    };
    return response;
  }

  #call(name: keyof CrosswsHooks, own: CrosswsHooks | undefined, ...args: unknown[]): unknown {
    const results: unknown[] = [];
    for (const hooks of [this.#options.hooks, own]) {
      const hook = hooks?.[name] as ((...args: unknown[]) => unknown) | undefined;
      if (hook !== undefined) results.push(hook.apply(hooks, args));
    }
    return results.length < 2 ? results[0] : Promise.all(results);
  }

  async #chooseProtocol(request: Request): Promise<string | undefined> {
    const offered = request.headers.get("sec-websocket-protocol");
    if (offered === null || this.#options.handleProtocols === undefined) return undefined;
    const names = new Set(offered.split(",").map((name) => name.trim()).filter((name) => name !== ""));
    return await this.#options.handleProtocols(names, request) || undefined;
  }

  #peersOf(namespace: string): Set<CrosswsPeer> {
    let peers = this.peers.get(namespace);
    if (peers === undefined) this.peers.set(namespace, peers = new Set());
    return peers;
  }
}

/**
 * The hooks that an application gives for a request: on what it returns, a Response or an object that has headers for
 * the upgrade, or on the request. Those on the request do not count beside a Response that refuses it.
 */
function hooksOf(request: Request, given: Response): CrosswsHooks | undefined {
  const { crossws, status, headers } = (given ?? {}) as Partial<Response> & { crossws?: CrosswsHooks };
  const { context } = request as { context?: Record<symbol, CrosswsHooks> };
  const left = (request as { [HOOKS]?: CrosswsHooks })[HOOKS] ?? context?.[HOOKS];
  if (status === undefined) return withHeaders(crossws ?? left, headers);
  const isRefusal = (status < 200 || status > 299) && status !== 101 && status !== UPGRADE_REQUIRED;
  return crossws ?? (isRefusal ? undefined : left);
}

/** Hooks whose upgrade has these headers too. */
function withHeaders(hooks: CrosswsHooks | undefined, headers: HeadersInit | undefined): CrosswsHooks | undefined {
  if (hooks === undefined || headers === undefined) return hooks;
  return {
    ...hooks,
    async upgrade(request) {
      const upgraded = await hooks.upgrade?.(request);
      if (upgraded instanceof Response) return upgraded;
      const merged = new Headers(headers);
      for (const [name, value] of new Headers((upgraded as Upgraded | undefined)?.headers)) merged.set(name, value);
      return { ...upgraded as Upgraded | undefined, headers: merged };
    },
  };
}
