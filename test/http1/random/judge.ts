/**
 * What must be so when a play is over, whatever was done.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ServerStats } from "../../../src/api/stats.ts";
import type { MemoryServer } from "../../support/memory_server.ts";
import { type Client, CLIENT_CODE, framesTo, hasSentFrames } from "./client.ts";
import { type Call, contentOf, type Handlers, isLost } from "./handlers.ts";
import { type ReceivedResponse, responsesIn } from "./responses.ts";
import type { Finale } from "./script.ts";
import { HANDLER_CODE, type PlayedSocket } from "./sockets.ts";

/**
 * Judges a server that was stopped, its clients and its handlers.
 *
 * @param finale How the server has ended.
 */
export function judge(server: MemoryServer, clients: readonly Client[], handlers: Handlers, finale: Finale): void {
  for (const client of clients) judgeClient(client, handlers.calls, finale);
  for (const call of handlers.calls) judgeCall(call);
  judgeServer(server);
  assert.deepEqual(handlers.wrongBodies, []);
}

/** Judges what a server has to do still, when everything has come to its end by itself. */
export function judgeRest({ connections, activeExchanges, queue, webSockets }: ServerStats): void {
  const left = [connections.open, activeExchanges, queue.waiting, webSockets.open];
  assert.deepEqual(left, [0, 0, 0, 0], "what is left at rest");
}

/** Judges that no WebSocket stays open whose client has left. */
export function judgeGone(clients: readonly Client[], { calls }: Handlers): void {
  const gone = new Set(clients.flatMap(({ hasLeft, names }) => hasLeft ? names : []));
  for (const call of calls) {
    const { events = [] } = call.socket ?? {};
    if (!gone.has(call.name) || isLost(call) || !events.includes("open")) continue;
    assert.ok(events.at(-1)!.startsWith("close"), `${call.name} is told that its client has left: ${events}`);
  }
}

function judgeServer({ server, clock }: MemoryServer): void {
  assert.equal(clock.pendingCount, 0, "timers that are left");
  const { connections, activeExchanges, webSockets } = server.stats();
  assert.deepEqual([connections.open, activeExchanges, webSockets.open], [0, 0, 0], "what is left behind the stop");
}

function judgeCall(call: Call): void {
  if (isLost(call)) return;
  assert.notEqual(call.completed, "no", `${call.name}: its end is told`);
  assert.notEqual(call.body, "awaited", `${call.name}: its body comes or fails`);
  assert.notEqual(call.streamEnd, "open", `${call.name}: its stream has an end`);
  if (call.socket !== null) judgeEvents(call.socket, call.name);
  if (call.completed === "failed") assert.ok(call.isAborted, `${call.name}: it fails, so its signal is aborted`);
}

function judgeClient(client: Client, calls: readonly Call[], finale: Finale): void {
  const { peer, names, asks, bytes, headEnds, looks, sent, isPatient } = client;
  assert.equal(peer.serverSide, "closed", "its connection");
  // A connection may be refused, or given up, before the method of its request has come.
  const methodOf = (index: number, at: number) =>
    headEnds[index] <= sentWhen(looks, at, sent) ? asks[index].method : "GET";
  const endsWell = isPatient && !peer.wasCutOff;
  const { responses, rest } = responsesIn(peer.received(), methodOf, endsWell);
  responses.forEach((response, index) => {
    const call = calls.find(({ name }) => name === names[index]);
    judgeResponse(response, names[index], call, index === responses.length - 1);
  });
  const last = responses.at(-1);
  if (last?.saysClose === true) assert.equal(rest, "", "nothing follows a response that says close");
  const isUpgraded = last?.status === 101;
  const call = calls.find(({ name }) => name === names[responses.length - 1]);
  if (isUpgraded) judgeSocket(client, call, responses.length - 1, finale);
  else if (isPatient) judgeUnopened(calls.filter(({ name }) => names.includes(name)));
  // What a client has sent behind an upgrade that was not accepted are frames, and no requests.
  if (!isUpgraded && hasSentFrames(client)) return;
  if (finale !== "rest" || !isPatient || sent < bytes.length) return;
  assert.equal(rest, "", "a patient client gets whole heads");
  for (const each of calls) {
    if (!names.includes(each.name) || isLost(each)) continue;
    assert.notEqual(each.body, "failed", `${each.name}: what a patient client has sent, and is read, is delivered`);
  }
  if (last?.isWhole === false) {
    const hasFailed = call?.streamEnd === "failed" || (call !== undefined && isLost(call));
    assert.ok(hasFailed, "a patient client's response is cut short where its stream or its thread fails");
  } else if (last?.saysClose !== true && !isUpgraded) {
    assert.equal(responses.length, asks.length, "each request of a patient client has its response");
  }
}

function judgeResponse(
  { status, content, isWhole }: ReceivedResponse,
  name: string,
  call: Call | undefined,
  isLast: boolean,
): void {
  assert.ok(isWhole || isLast, "only the last response may be cut short");
  if (status === 500) {
    const isBroken = call?.streamEnd === "failed" || /throws|false/.test(call?.ask.way ?? "");
    assert.ok(isBroken || (call !== undefined && isLost(call)), `500 to ${name}, whose handler has not failed`);
  }
  if (status !== 200) return;
  assert.ok(call !== undefined, `a response to ${name}, whose handler was not called`);
  if (call.ask.method === "HEAD") return;
  const expected = call.streamEnd === "none" ? contentOf(name) : call.given;
  if (isWhole) assert.equal(content, expected, `the content of ${name}`);
  else assert.ok(expected.startsWith(content), `the content of ${name}`);
}

/** What is told of a WebSocket, whatever becomes of it. */
function judgeEvents({ events, got }: PlayedSocket, name: string): void {
  const kinds = events.map((event) => event.split(" ", 1)[0]);
  assert.ok(kinds.includes("close"), `${name} is told of its close: ${events}`);
  assert.equal(kinds.indexOf("close"), kinds.length - 1, `${name} is told of it once and last: ${events}`);
  assert.ok(kinds.lastIndexOf("open") <= 0, `${name} is told once and first that it is open: ${events}`);
  if (kinds[0] !== "open") assert.deepEqual(got, [], `${name} gets no message before it is open`);
}

/** Without a 101 no WebSocket is open. */
function judgeUnopened(calls: readonly Call[]): void {
  for (const { name, socket } of calls) assert.ok(socket?.events.includes("open") !== true, `${name} is not open`);
}

function judgeSocket(client: Client, call: Call | undefined, index: number, finale: Finale): void {
  const { ends, messages, sent } = client;
  assert.match(call?.ask.way ?? "", /^upgrades(?:, answers later| later)?$/, "a 101 is what the handler has answered");
  const { name, socket } = call!;
  const { said, got } = socket!;
  const frames = framesTo(client)!;
  for (const { fin, rsv } of frames) assert.deepEqual([fin, rsv], [true, 0], `a frame to ${name}`);
  const close = frames.findIndex(({ opcode }) => opcode === 8);
  assert.ok(close < 0 || close === frames.length - 1, `nothing follows the Close to ${name}`);
  const textsOf = (wanted: number): string[] =>
    frames.filter(({ opcode }) => opcode === wanted).map(({ payload }) => new TextDecoder().decode(payload));
  const texts = textsOf(1);
  assertSame(texts, said.slice(0, texts.length), `what the client of ${name} was told`);
  const pongs = textsOf(10).map(Number);
  assert.ok(pongs.every((pong, i) => pong > (pongs[i - 1] ?? -1) && pong < client.pings), `the Pongs to ${name}`);
  // What the client has sent behind its request are further requests, and no frames.
  const isMixedUp = sent > ends[index];
  assertSame(got, isMixedUp ? [] : messages.slice(0, got.length), `what ${name} was told`);
  if (isLost(call!)) return;
  if (close >= 0) assert.equal(texts.length, said.length, `nothing is missing before the Close to ${name}`);
  if (!client.isPatient || finale === "stop") return;
  if (socket!.wasClean) assert.ok(close >= 0, `${name} is closed in order, so its client gets a Close`);
  judgePatientSocket(client, call!, isMixedUp, pongs, finale);
}

/** A client that stays and takes everything has all of it, and gives all of it, until one of both closes. */
function judgePatientSocket(client: Client, call: Call, isMixedUp: boolean, pongs: number[], finale: Finale): void {
  const { ask: { pings, closesBack }, name } = call;
  const { events, got, wasClosedEarly, wasClean } = call.socket!;
  const wasAsked = wasClosedEarly || finale !== "rest";
  if (!wasAsked) assert.equal(events[0], "open", `${name} is open behind its 101`);
  if (isMixedUp) {
    if (!wasAsked) assert.ok(events.includes("error websocket-violation"), `${name} gets frames only: ${events}`);
    return;
  }
  if (pings) return;
  const hasAnswered = closesBack || client.hasSentClose;
  assert.equal(wasClean, hasAnswered, `${name} is closed in order if its client closes: ${events}`);
  if (wasAsked) return;
  assertSame(got, client.messages, `all that was said to ${name}`);
  assert.equal(pongs.at(-1) ?? -1, client.pings - 1, `the last Ping to ${name} is answered`);
  const expected = hasAnswered ? [`close ${HANDLER_CODE}`, `close ${CLIENT_CODE}`] : ["close 1006"];
  assert.ok(expected.includes(events.at(-1)!), `the code of ${name}: ${events}`);
}

/** Messages are too long to be shown. */
function assertSame(actual: readonly string[], expected: readonly string[], what: string): void {
  const lengthsOf = (messages: readonly string[]) => `[${messages.map(({ length }) => length)}]`;
  const isSame = actual.length === expected.length && actual.every((message, i) => message === expected[i]);
  assert.ok(isSame, `${what}: ${lengthsOf(actual)}, expected ${lengthsOf(expected)}`);
}

/** How much a client had sent when a byte came to it. */
function sentWhen(looks: Client["looks"], at: number, atLast: number): number {
  return looks.find(({ receivedBytes }) => receivedBytes > at)?.sent ?? atLast;
}
