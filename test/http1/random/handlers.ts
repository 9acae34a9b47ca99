/**
 * The handlers of a play: each call does what its request asks for, and waits for acts where that says so.
 *
 * @module
 */

import type { HandlerInfo } from "../../../src/api/handler.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { createGate, type Gate } from "../../support/memory_server.ts";
import type { MemoryThread } from "../../support/memory_threads.ts";
import type { Act, Ask } from "./script.ts";
import { PlayedSocket } from "./sockets.ts";

const PIECE_BYTES = 10_000;

/** How often that is said: once, or so often that it is long text, or more than one write. */
const TIMES = [1, 1, 1, 300, 1, 1, 3_000, 1, 1, 5_000];

/** What a client is to get where its handler does not stream. */
export function contentOf(name: string): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) % 1009;
  return `answer to ${name}`.repeat(TIMES[hash % TIMES.length]);
}

/** One call of the handler. */
export interface Call {
  readonly name: string;
  readonly ask: Ask;
  /** Where it runs, if not with the connections. */
  readonly thread: MemoryThread | null;
  readonly gate: Gate<Response>;
  stream: ReadableStreamDefaultController<Uint8Array> | null;
  /** What became of the stream it has answered with. */
  streamEnd: "none" | "open" | "closed" | "failed" | "cancelled";
  /** Whether its exchange is over, and how. */
  completed: "no" | "yes" | "failed";
  isAborted: boolean;
  given: string;
  /** What it has upgraded to, whether that was answered or not. */
  socket: PlayedSocket | null;
  /** What became of the body that is read beside the response. */
  body: "unread" | "awaited" | "whole" | "failed";
}

/** Whether a call was made on a thread that did not end by itself: it is told nothing more. */
export function isLost({ thread }: Call): boolean {
  return thread !== null && (thread.hasCrashed || thread.wasTerminated);
}

/** All calls, of whichever thread. */
export class Handlers {
  readonly calls: Call[] = [];
  /** Requests whose handlers have read another body than was sent. */
  readonly wrongBodies: string[] = [];
  readonly #asks: ReadonlyMap<string, Ask>;
  #isOver = false;
  #closesSockets = false;

  /** @param asks What is asked for, by the names of requests. */
  constructor(asks: ReadonlyMap<string, Ask>) {
    this.#asks = asks;
  }

  /** Does an act with one of the calls that can still do it. */
  do(act: Extract<Act, { readonly call: number }>): void {
    if (act.does === "say" || act.does === "close socket") return this.#doWithSocket(act);
    const isMeant = act.does === "answer"
      ? ({ streamEnd }: Call) => streamEnd === "none"
      : ({ streamEnd, stream }: Call) => streamEnd === "open" && stream !== null;
    const waiting = this.calls.filter(isMeant);
    if (waiting.length === 0) return;
    const call = waiting[act.call % waiting.length];
    if (act.does === "answer") return this.#answer(call);
    if (act.does === "give") return this.#give(call, "x".repeat(act.bytes));
    call.streamEnd = act.does === "close" ? "closed" : "failed";
    if (act.does === "close") call.stream!.close();
    else call.stream!.error(new Error("The stream of the handler has failed."));
  }

  #doWithSocket(act: Extract<Act, { readonly does: "say" | "close socket" }>): void {
    const sockets = this.calls.flatMap((call) => isLost(call) ? [] : call.socket ?? []);
    if (sockets.length === 0) return;
    const socket = sockets[act.call % sockets.length];
    if (act.does === "say") socket.say(`${socket.said.length} `.padEnd(act.bytes, "h"));
    else socket.close();
  }

  #give(call: Call, text: string): void {
    if (text === "") return;
    call.stream!.enqueue(new TextEncoder().encode(text));
    call.given += text;
  }

  /** From now on every call comes to its end, also those that are still to come. */
  end(): void {
    this.#isOver = true;
    for (const call of this.calls) this.#bringToEnd(call);
  }

  /** From now on every WebSocket is closed, also those that are still to open. */
  closeSockets(): void {
    this.#closesSockets = true;
    for (const call of this.calls) this.#close(call);
  }

  /** One whose client does not answer Pings any more has to end by itself. */
  #close(call: Call): void {
    if (!call.ask.pings && !isLost(call)) call.socket?.end();
  }

  #bringToEnd(call: Call): void {
    if (call.streamEnd === "none") this.#answer(call);
    if (call.streamEnd !== "open" || call.stream === null) return;
    call.streamEnd = "closed";
    call.stream.close();
  }

  #answer(call: Call): void {
    const { way } = call.ask;
    if (way === "throws") return call.gate.fail(new Error("The handler has failed."));
    if (way === "upgrades, answers later") return call.gate.open(call.socket!.response);
    call.gate.open(way.startsWith("streams") ? this.#stream(call) : respond(call.ask, contentOf(call.name)));
  }

  #stream(call: Call): Response {
    call.streamEnd = "open";
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (call.stream = controller),
      cancel: () => void (call.streamEnd = "cancelled"),
    });
    return respond(call.ask, stream);
  }

  /** A stream that is asked for each piece. */
  #pulled(call: Call): Response {
    call.streamEnd = "open";
    let left = call.ask.bytes;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const size = Math.min(left, PIECE_BYTES);
        left -= size;
        if (size > 0) {
          call.given += "x".repeat(size);
          return controller.enqueue(new TextEncoder().encode("x".repeat(size)));
        }
        call.streamEnd = call.ask.way === "is pulled" ? "closed" : "failed";
        if (call.streamEnd === "failed") throw new Error("The stream of the handler has failed.");
        controller.close();
      },
      cancel: () => void (call.streamEnd = "cancelled"),
    }, { highWaterMark: 0 });
    return respond(call.ask, stream);
  }

  async #upgrade(call: Call, info: HandlerInfo): Promise<Response> {
    const { way } = call.ask;
    if (way === "upgrades later") {
      if (this.#isOver) this.#bringToEnd(call);
      await call.gate.opened;
    }
    const socket = call.socket = new PlayedSocket(info, call.ask);
    if (this.#isOver) this.#bringToEnd(call);
    if (this.#closesSockets) this.#close(call);
    if (way === "upgrades, answers later") return await call.gate.opened;
    if (way === "upgrades and throws") throw new Error("The handler has failed.");
    return way === "upgrades in vain" ? respond(call.ask, contentOf(call.name)) : socket.response;
  }

  async #read(call: Call, request: Request): Promise<void> {
    const { ask, name } = call;
    call.body = "awaited";
    try {
      const text = await request.text();
      if (text.length !== (ask.framing === "none" ? 0 : ask.bytes)) this.wrongBodies.push(name);
      call.body = "whole";
    } catch (error) {
      call.body = "failed";
      throw error;
    }
  }

  /** The handler. */
  async handle(request: Request, info: HandlerInfo, thread: MemoryThread | null = null): Promise<Response> {
    const name = new URL(request.url).pathname.slice(1);
    const ask = this.#asks.get(name)!;
    const call: Call = {
      name,
      ask,
      thread,
      gate: createGate<Response>(),
      stream: null,
      streamEnd: "none",
      completed: "no",
      isAborted: false,
      given: "",
      socket: null,
      body: "unread",
    };
    this.calls.push(call);
    request.signal.addEventListener("abort", () => call.isAborted = true);
    info.completed.then(() => call.completed = "yes", () => call.completed = "failed");
    if (ask.says) {
      info.inform(103, { link: "</style.css>" });
      info.sendTrailers(() => ({ "x-sum": "1" }));
    }
    if (ask.way.startsWith("upgrades")) return await this.#upgrade(call, info);
    if (ask.way === "is pulled" || ask.way === "fails in a pull") return this.#pulled(call);
    if (ask.way === "at once") return respond(ask, contentOf(name));
    if (ask.way === "streams at once") {
      const response = this.#stream(call);
      if (this.#isOver) this.#bringToEnd(call);
      return response;
    }
    if (ask.way === "after reading") {
      await this.#read(call, request);
      return respond(ask, contentOf(name));
    }
    if (ask.way === "while reading") {
      this.#read(call, request).catch(() => {});
      return respond(ask, contentOf(name));
    }
    if (ask.way === "without the body") {
      await request.body?.cancel();
      return respond(ask, contentOf(name));
    }
    if (ask.way === "after a part") {
      await request.body?.getReader().read();
      return respond(ask, contentOf(name));
    }
    if (this.#isOver) this.#bringToEnd(call);
    return await call.gate.opened;
  }
}

function respond({ made, way }: Ask, content: string | ReadableStream<Uint8Array>): Response {
  const headers: Record<string, string> = { "content-type": "text/plain" };
  if (way === "with a false length") headers["content-length"] = "5";
  const init = { headers };
  return made === "Response" ? new Response(content, init) : new HttpResponse(content, init);
}
