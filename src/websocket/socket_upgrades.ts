/**
 * The WebSockets of one thread, once a request has asked for one.
 *
 * It decides how a request becomes a socket: what is answered, what was agreed on, and when it opens. It must not know
 * that it was loaded for that request.
 *
 * @module
 */

import type { HandlerInfo, UpgradedConnection } from "../api/handler.ts";
import type { WebSocketAnswer, WebSocketOptions } from "../api/websocket.ts";
import type { ByteChannel, ByteConnection, ByteReceiver } from "../exchange/byte_channel.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Publication } from "../exchange/publication.ts";
import type { Runtime } from "../runtime.ts";
import { agreeOnDeflate } from "./codec/extensions.ts";
import { WebSocketConnection } from "./connection.ts";
import type { SocketService } from "./socket_service.ts";
import { readHandshake } from "./handshake.ts";
import { CompressionJobs, type CompressionTools } from "./message_compression.ts";
import { FrameSlab } from "./frame_slab.ts";
import { OpenSockets } from "./open_sockets.ts";
import { SendTurns } from "./send_turns.ts";
import { ServerSocket } from "./server_socket.ts";
import { resolveWebSocketOptions } from "./settings.ts";
import { type FrameTools, SharedMessage } from "./shared_frames.ts";
import { StreamChannel } from "./stream_channel.ts";
import { type Subscriber, Topics } from "./topics.ts";

/** What is asked of a runtime. */
export type WebSocketRuntime = Pick<Runtime, "clock" | "sha1" | "deflate" | "encodeUtf8" | "decodeLatin1">;

/** Makes WebSockets of exchanges. */
export class SocketUpgrades {
  readonly #runtime: WebSocketRuntime;
  readonly #service: SocketService;
  readonly #jobs = new CompressionJobs();
  readonly #tools: FrameTools;
  /** Tells that the server drains: one signal for all exchanges of the thread, asked for with the first WebSocket. */
  #draining: AbortSignal | null = null;

  /**
   * @param runtime The runtime.
   * @param tellElsewhere Tells what was published here to the sockets of other threads.
   */
  constructor(runtime: WebSocketRuntime, tellElsewhere: (publication: Publication) => void) {
    this.#runtime = runtime;
    const open = new OpenSockets(runtime.clock);
    const deliver = (publication: Publication, except: Subscriber | null): void => this.deliver(publication, except);
    const slab = new FrameSlab(runtime.encodeUtf8);
    this.#tools = { slab, deflate: runtime.deflate, jobs: this.#jobs };
    this.#service = {
      open,
      slab,
      turns: new SendTurns(runtime.clock.defer, open),
      topics: new Topics(),
      decodeLatin1: runtime.decodeLatin1,
      publish(topic, message, except) {
        deliver({ topic, message }, except);
        tellElsewhere({ topic, message });
      },
    };
  }

  /** How many are open. */
  get count(): number {
    return this.#service.open.count;
  }

  /** Calls back with how many are open when that has changed. */
  onCountChanged(callback: (count: number) => void): void {
    this.#service.open.onCountChanged = callback;
  }

  /** Gives what was published on another thread to the sockets of this one. */
  deliver({ topic, message }: Publication, except: Subscriber | null = null): void {
    const { topics, turns } = this.#service;
    if (!topics.has(topic)) return;
    topics.publish(topic, new SharedMessage(message, this.#tools), except);
    turns.relieve();
  }

  upgrade(exchange: Exchange, info: HandlerInfo, options: WebSocketOptions): WebSocketAnswer {
    const settings = resolveWebSocketOptions(options);
    const uri = exchange.url();
    const { accept, protocol, extensions: offers } = readHandshake(exchange.head, uri, options, this.#runtime.sha1);
    const { compression } = settings;
    const agreement = compression === null ? null : agreeOnDeflate(offers, compression);
    const extensions = agreement?.answer ?? "";
    const tools: CompressionTools | null = agreement === null
      ? null
      : { deflate: this.#runtime.deflate, jobs: this.#jobs, level: compression!.level, ...agreement };

    const headers = new Headers({ "sec-websocket-accept": accept });
    if (protocol !== "") headers.set("sec-websocket-protocol", protocol);
    if (extensions !== "") headers.set("sec-websocket-extensions", extensions);
    const { response, connection: upgraded } = info.upgrade("websocket", { headers });
    const share = exchange.connection.services.streamShare;
    let connection!: WebSocketConnection;
    const socket = new ServerSocket(
      { url: uri.replace(/^http/, "ws"), protocol, extensions },
      (receiver) => connection = new WebSocketConnection(this.#service, settings, tools, share, receiver),
      share,
      (error) => exchange.connection.responder.reportLateError(exchange, error),
    );
    const draining = this.#watchDraining(info);
    upgraded.then((connected) => {
      connection.open((receiver) => bytesOf(connected, receiver));
      if (draining.aborted) connection.goAway();
    }, () => connection.abandon());
    return { response, socket };
  }

  #watchDraining(info: HandlerInfo): AbortSignal {
    if (this.#draining === null) {
      this.#draining = info.draining;
      this.#draining.addEventListener("abort", () => this.#service.open.goAway(), { once: true });
    }
    return this.#draining;
  }
}

/** The bytes of an upgraded connection, without its streams where they can be had. */
function bytesOf(connected: UpgradedConnection, receiver: ByteReceiver): ByteChannel {
  if ("takeBytes" in connected) return (connected as ByteConnection).takeBytes(receiver);
  return new StreamChannel(connected, receiver);
}
