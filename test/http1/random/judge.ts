/**
 * What must be so when a play is over, whatever was done.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ServerStats } from "../../../src/api/stats.ts";
import type { MemoryServer } from "../../support/memory_server.ts";
import type { Client } from "./client.ts";
import { type Call, contentOf, type Handlers } from "./handlers.ts";
import { type ReceivedResponse, responsesIn } from "./responses.ts";
import type { Finale } from "./script.ts";

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
export function judgeRest({ connections, activeExchanges, queue }: ServerStats): void {
  assert.deepEqual([connections.open, activeExchanges, queue.waiting], [0, 0, 0], "what is left at rest");
}

function judgeServer({ server, clock }: MemoryServer): void {
  assert.equal(clock.pendingCount, 0, "timers that are left");
  const { connections, activeExchanges } = server.stats();
  assert.deepEqual([connections.open, activeExchanges], [0, 0], "what is left behind the stop");
}

function judgeCall(call: Call): void {
  // What was called on a thread that has died is told nothing more.
  if (call.thread?.isAlive === false) return;
  assert.notEqual(call.completed, "no", `${call.name}: its end is told`);
  assert.notEqual(call.body, "awaited", `${call.name}: its body comes or fails`);
  assert.notEqual(call.streamEnd, "open", `${call.name}: its stream has an end`);
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
  if (finale !== "rest" || !isPatient || sent < bytes.length) return;
  assert.equal(rest, "", "a patient client gets whole heads");
  for (const { name, body, thread } of calls) {
    if (!names.includes(name) || thread?.isAlive === false) continue;
    assert.notEqual(body, "failed", `${name}: what a patient client has sent, and is read, is delivered`);
  }
  if (last?.isWhole === false) {
    const call = calls.find(({ name }) => name === names[responses.length - 1]);
    const hasFailed = call?.streamEnd === "failed" || call?.thread?.isAlive === false;
    assert.ok(hasFailed, "a patient client's response is cut short where its stream or its thread fails");
  } else if (last?.saysClose !== true) {
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
    assert.ok(isBroken || call?.thread?.isAlive === false, `500 to ${name}, whose handler has not failed`);
  }
  if (status !== 200) return;
  assert.ok(call !== undefined, `a response to ${name}, whose handler was not called`);
  if (call.ask.method === "HEAD") return;
  const expected = call.streamEnd === "none" ? contentOf(name) : call.given;
  if (isWhole) assert.equal(content, expected, `the content of ${name}`);
  else assert.ok(expected.startsWith(content), `the content of ${name}`);
}

/** How much a client had sent when a byte came to it. */
function sentWhen(looks: Client["looks"], at: number, atLast: number): number {
  return looks.find(({ receivedBytes }) => receivedBytes > at)?.sent ?? atLast;
}
