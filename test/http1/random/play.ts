/**
 * A play of some clients, their requests and the handlers that are called: what is done in which order is given as a
 * list of acts, so that a play that fails can be made shorter.
 *
 * It decides what an act means and what must be so afterwards. It must not know how acts are thought out.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { HandlerInfo } from "../../../src/api/handler.ts";
import type { ServeOptions } from "../../../src/api/options.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import type { MemoryPeer } from "../../support/memory_runtime.ts";
import type { MemoryThread } from "../../support/memory_threads.ts";
import { createGate, type Gate, type MemoryServer, startMemoryServer } from "../../support/memory_server.ts";
import { startThreadServer, type ThreadServer } from "../../support/thread_server.ts";
import { type ReceivedResponse, responsesIn } from "./responses.ts";

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
  | "fails in a pull";
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
}

/** How much a client sends: bytes, or what is left of what stands next. */
export type Much = number | "head" | "request" | "everything";

/** What is done; the numbers of clients and calls are taken from those that there are. */
export type Act =
  | { readonly does: "connect"; readonly asks: readonly Ask[] }
  | { readonly does: "send"; readonly client: number; readonly much: Much }
  | { readonly does: "end" | "reset" | "stop reading"; readonly client: number }
  | { readonly does: "read"; readonly client: number; readonly bytes: number }
  | { readonly does: "answer" | "fail" | "close"; readonly call: number }
  | { readonly does: "give"; readonly call: number; readonly bytes: number }
  | { readonly does: "crash" | "freeze" | "thaw"; readonly thread: number }
  | { readonly does: "wait"; readonly ms: number };

/** How the server ends: by itself it has nothing to do any more, or it is told to. */
export type Finale = "rest" | "stop" | "shutdown" | "shutdown, idle ones too";

export interface Script {
  readonly options: ServeOptions;
  readonly acts: readonly Act[];
  readonly finale: Finale;
}

/** The longest wait of all deadlines together, with room. */
const REST_MS = 20 * 60_000;
const DRAIN_MS = 10_000;
/** Of a client within a request: so many pauses are no reason to give it up. */
const MAX_PAUSE_MS = 100;
const PIECE_BYTES = 10_000;

/** What a client is to get: the content, or where the handler fails the status. */
const contentOf = (name: string) => `answer to ${name}`;

interface Call {
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
  /** What became of the body that is read beside the response. */
  body: "unread" | "awaited" | "whole" | "failed";
}

interface Client {
  readonly peer: MemoryPeer;
  readonly names: readonly string[];
  readonly asks: readonly Ask[];
  readonly bytes: string;
  /** Where the head of each request ends in them. */
  readonly headEnds: readonly number[];
  /** Where each request ends. */
  readonly ends: readonly number[];
  /** How much was sent, and what had come, behind each act. */
  readonly looks: { readonly sent: number; readonly receivedBytes: number }[];
  sent: number;
  /** Whether it goes on taking what it gets, and stays. */
  isPatient: boolean;
}

export class Play {
  readonly #script: Script;
  readonly #calls: Call[] = [];
  readonly #clients: Client[] = [];
  readonly #asks = new Map<string, Ask>();
  #started!: MemoryServer | ThreadServer;
  #isOver = false;
  /** Requests whose handlers have read another body than was sent. */
  readonly #wrongBodies: string[] = [];

  constructor(script: Script) {
    this.#script = script;
  }

  async run(): Promise<void> {
    const { options, acts, finale } = this.#script;
    // What runs on the loop of this thread has no place.
    this.#started = options.module === undefined
      ? await startMemoryServer((request, info) => this.#handle(request, info), options)
      : await startThreadServer((request, place, info) => this.#handle(request, info, place?.thread), options);
    const { clock } = this.#started;
    for (const act of acts) {
      await this.#do(act);
      await clock.settle();
      for (const { looks, sent, peer } of this.#clients) looks.push({ sent, receivedBytes: peer.receivedBytes });
    }
    await this.#end(finale);
    for (const client of this.#clients) this.#judgeClient(client, finale);
    for (const call of this.#calls) this.#judgeCall(call);
    this.#judgeServer();
    assert.deepEqual(this.#wrongBodies, []);
  }

  async #do(act: Act): Promise<void> {
    const { clock } = this.#started;
    switch (act.does) {
      case "connect":
        return this.#connect(act.asks);
      case "wait":
        // One that lets the server wait within a request may lose its connection, unannounced behind a head.
        for (const client of this.#clients) {
          if (act.ms > MAX_PAUSE_MS && client.sent > 0 && !client.ends.includes(client.sent)) client.isPatient = false;
        }
        return await clock.advance(act.ms);
      case "answer":
      case "fail":
      case "close":
      case "give":
        return this.#doWithCall(act);
      case "crash":
      case "freeze":
      case "thaw":
        return this.#doWithThread(act);
      default:
        return this.#doWithClient(act);
    }
  }

  #connect(asks: readonly Ask[]): void {
    const number = this.#clients.length;
    const names = asks.map((_, index) => `${number}.${index}`);
    asks.forEach((ask, index) => this.#asks.set(names[index], ask));
    const headEnds: number[] = [];
    const ends: number[] = [];
    let bytes = "";
    asks.forEach((ask, index) => {
      const [head, content] = requestOf(ask, names[index]);
      headEnds.push(bytes.length + head.length);
      bytes += head + content;
      ends.push(bytes.length);
    });
    const peer = this.#connectNext();
    this.#clients.push({ peer, names, asks, bytes, headEnds, ends, looks: [], sent: 0, isPatient: true });
  }

  /** To the loop of this thread, or in turn to that of another one. */
  #connectNext(): MemoryPeer {
    const started = this.#started;
    const isElsewhere = this.#script.options.loops === 2 && this.#clients.length % 2 === 1;
    return isElsewhere && "connectTo" in started ? started.connectTo(1) : started.connect();
  }

  #doWithClient(act: Extract<Act, { readonly client: number }>): void {
    if (this.#clients.length === 0) return;
    const client = this.#clients[act.client % this.#clients.length];
    switch (act.does) {
      case "send":
        return send(client, act.much);
      case "read":
        return client.peer.read(act.bytes);
      case "stop reading":
        client.isPatient = false;
        return client.peer.stopReading();
      default:
        client.isPatient = false;
        if (act.does === "end") client.peer.end();
        else client.peer.reset();
    }
  }

  #doWithThread({ does, thread }: Extract<Act, { readonly thread: number }>): void {
    const alive = this.#started.runtime.threads.filter(({ isAlive }) => isAlive);
    if (alive.length === 0) return;
    const chosen = alive[thread % alive.length];
    // The connections of a loop that has died are closed by the system, of which there is none here.
    if (does === "crash" && this.#script.options.loops !== undefined) return;
    if (does === "crash") chosen.crash(new Error("The thread has crashed."));
    else if (does === "freeze") chosen.freeze();
    else chosen.thaw();
  }

  #doWithCall(act: Extract<Act, { readonly call: number }>): void {
    const isMeant = act.does === "answer"
      ? ({ streamEnd }: Call) => streamEnd === "none"
      : ({ streamEnd, stream }: Call) => streamEnd === "open" && stream !== null;
    const waiting = this.#calls.filter(isMeant);
    if (waiting.length === 0) return;
    const call = waiting[act.call % waiting.length];
    if (act.does === "answer") return this.#answer(call);
    if (act.does === "give") return this.#give(call, "x".repeat(act.bytes));
    call.streamEnd = act.does === "close" ? "closed" : "failed";
    if (act.does === "close") call.stream!.close();
    else call.stream!.error(new Error("The stream of the handler has failed."));
  }

  #give(call: Call, text: string): void {
    if (text === "") return;
    call.stream!.enqueue(new TextEncoder().encode(text));
    call.given += text;
  }

  /** Handlers that are called when the acts are over come to their end at once. */
  #bringToEnd(call: Call): void {
    if (call.streamEnd === "none") this.#answer(call);
    if (call.streamEnd !== "open" || call.stream === null) return;
    call.streamEnd = "closed";
    call.stream.close();
  }

  #answer(call: Call): void {
    const { way } = call.ask;
    if (way === "throws") return call.gate.fail(new Error("The handler has failed."));
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

  async #read(call: Call, request: Request): Promise<void> {
    const { ask, name } = call;
    call.body = "awaited";
    try {
      const text = await request.text();
      if (text.length !== (ask.framing === "none" ? 0 : ask.bytes)) this.#wrongBodies.push(name);
      call.body = "whole";
    } catch (error) {
      call.body = "failed";
      throw error;
    }
  }

  async #handle(request: Request, info: HandlerInfo, thread: MemoryThread | null = null): Promise<Response> {
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
      body: "unread",
    };
    this.#calls.push(call);
    request.signal.addEventListener("abort", () => call.isAborted = true);
    info.completed.then(() => call.completed = "yes", () => call.completed = "failed");
    if (ask.says) {
      info.inform(103, { link: "</style.css>" });
      info.sendTrailers(() => ({ "x-sum": "1" }));
    }
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

  /** Lets everything come to its end. */
  async #end(finale: Finale): Promise<void> {
    const { server, clock, runtime } = this.#started;
    for (const thread of runtime.threads) if (thread.isAlive) thread.thaw();
    if (finale === "stop") {
      const stopped = server.stop();
      await clock.advance(1);
      await stopped;
    } else if (finale !== "rest") {
      const stopped = server.shutdown({ timeout: DRAIN_MS, closeIdle: finale === "shutdown, idle ones too" });
      await clock.advance(DRAIN_MS + 1_000);
      await stopped;
    }
    this.#isOver = true;
    for (const { peer } of this.#clients) peer.read();
    for (const call of this.#calls) this.#bringToEnd(call);
    await clock.advance(REST_MS);
    if (finale === "rest") {
      const { connections, activeExchanges, queue } = server.stats();
      assert.deepEqual([connections.open, activeExchanges, queue.waiting], [0, 0, 0], "what is left at rest");
      const stopped = server.stop();
      await clock.advance(1);
      await stopped;
    }
  }

  #judgeServer(): void {
    const { server, clock } = this.#started;
    assert.equal(clock.pendingCount, 0, "timers that are left");
    const { connections, activeExchanges } = server.stats();
    assert.deepEqual([connections.open, activeExchanges], [0, 0], "what is left behind the stop");
  }

  #judgeCall(call: Call): void {
    // What was called on a thread that has died is told nothing more.
    if (call.thread?.isAlive === false) return;
    assert.notEqual(call.completed, "no", `${call.name}: its end is told`);
    assert.notEqual(call.body, "awaited", `${call.name}: its body comes or fails`);
    assert.notEqual(call.streamEnd, "open", `${call.name}: its stream has an end`);
    if (call.completed === "failed") assert.ok(call.isAborted, `${call.name}: it fails, so its signal is aborted`);
  }

  #judgeClient({ peer, names, asks, bytes, headEnds, looks, sent, isPatient }: Client, finale: Finale): void {
    assert.equal(peer.serverSide, "closed", "its connection");
    // A connection may be refused, or given up, before the method of its request has come.
    const methodOf = (index: number, at: number) =>
      headEnds[index] <= sentWhen(looks, at, sent) ? asks[index].method : "GET";
    const endsWell = isPatient && !peer.wasCutOff;
    const { responses, rest } = responsesIn(peer.received(), methodOf, endsWell);
    responses.forEach((response, index) => this.#judgeResponse(response, names[index], index === responses.length - 1));
    const last = responses.at(-1);
    if (last?.saysClose === true) assert.equal(rest, "", "nothing follows a response that says close");
    if (finale !== "rest" || !isPatient || sent < bytes.length) return;
    assert.equal(rest, "", "a patient client gets whole heads");
    for (const { name, body, thread } of this.#calls) {
      if (!names.includes(name) || thread?.isAlive === false) continue;
      assert.notEqual(body, "failed", `${name}: what a patient client has sent, and is read, is delivered`);
    }
    if (last?.isWhole === false) {
      const call = this.#calls.find(({ name }) => name === names[responses.length - 1]);
      const hasFailed = call?.streamEnd === "failed" || call?.thread?.isAlive === false;
      assert.ok(hasFailed, "a patient client's response is cut short where its stream or its thread fails");
    } else if (last?.saysClose !== true) {
      assert.equal(responses.length, asks.length, "each request of a patient client has its response");
    }
  }

  #judgeResponse({ status, content, isWhole }: ReceivedResponse, name: string, isLast: boolean): void {
    assert.ok(isWhole || isLast, "only the last response may be cut short");
    const call = this.#calls.find((each) => each.name === name);
    if (status === 500) {
      const isBroken = call?.streamEnd === "failed" || /throws|false/.test(call?.ask.way ?? "");
      assert.ok(isBroken || call?.thread?.isAlive === false, `500 to ${name}, whose handler has not failed`);
    }
    if (status !== 200) return;
    assert.ok(call !== undefined, `a response to ${name}, whose handler was not called`);
    if (call.ask.method === "HEAD") return;
    const expected = call.streamEnd === "none" ? contentOf(name) : call.given;
    if (isWhole) assert.equal(content, expected, `the content of ${name}`);
    else assert.ok(expected.startsWith(content), `the content of ${name}`);
  }
}

function send(client: Client, much: Much): void {
  const { peer, bytes, sent, headEnds, ends } = client;
  const next = (places: readonly number[]) => places.find((place) => place > sent) ?? bytes.length;
  const end = typeof much === "number"
    ? Math.min(sent + much, bytes.length)
    : much === "everything"
    ? bytes.length
    : next(much === "head" ? headEnds : ends);
  // What is sent behind an idle connection's end is asked again elsewhere.
  if (peer.serverSide !== "open") client.isPatient = false;
  peer.send(bytes.slice(sent, end));
  client.sent = end;
}

function respond({ made, way }: Ask, content: string | ReadableStream<Uint8Array>): Response {
  const headers: Record<string, string> = { "content-type": "text/plain" };
  if (way === "with a false length") headers["content-length"] = "5";
  const init = { headers };
  return made === "Response" ? new Response(content, init) : new HttpResponse(content, init);
}

/** How much a client had sent when a byte came to it. */
function sentWhen(looks: Client["looks"], at: number, atLast: number): number {
  return looks.find(({ receivedBytes }) => receivedBytes > at)?.sent ?? atLast;
}

/** Head and content. */
function requestOf(ask: Ask, name: string): [head: string, content: string] {
  const { method, framing, bytes, minorVersion, expectsContinue, says, closes } = ask;
  const lines = [`${method} /${name} HTTP/1.${minorVersion}`, "Host: a.test"];
  if (expectsContinue) lines.push("Expect: 100-continue");
  if (says) lines.push("TE: trailers", "Connection: TE");
  const content = "c".repeat(bytes);
  let body = "";
  if (framing === "length") {
    lines.push(`Content-Length: ${bytes}`);
    body = content;
  } else if (framing === "chunked") {
    lines.push("Transfer-Encoding: chunked");
    body = bytes === 0 ? "0\r\n\r\n" : `${bytes.toString(16)}\r\n${content}\r\n0\r\n\r\n`;
  }
  if (closes) lines.push("Connection: close");
  return [`${lines.join("\r\n")}\r\n\r\n`, body];
}
