/**
 * The order in which a thread takes up calls and says what it has done.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EMPTY_FIELD_SECTION } from "../../src/http/field_section.ts";
import { TrivetError } from "../../src/api/errors.ts";
import type { Clock, ParentThread } from "../../src/runtime.ts";
import { type Message, OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { writeCall } from "../../src/threads/call_message.ts";
import { Claims } from "../../src/threads/claims.ts";
import { copyError } from "../../src/threads/error_copy.ts";
import { HandlerHost } from "../../src/threads/handler_host.ts";
import type { HandlerOrders } from "../../src/threads/protocol.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const ADDRESS = { transport: "tcp", hostname: "10.0.0.1", port: 80 } as const;

/** A batch with these calls, as the event loop sends it. */
function callBatch(...callIds: number[]): unknown {
  const batch = new OutgoingBatch();
  for (const callId of callIds) {
    writeCall(batch, callId, callId, {
      method: "GET",
      uri: `http://a.test/${callId}`,
      fields: EMPTY_FIELD_SECTION,
      upgrade: null,
      content: null,
      trailers: [],
      remoteAddress: ADDRESS,
      localAddress: ADDRESS,
      peerAddress: ADDRESS,
      tls: null,
    });
  }
  let sent: unknown;
  batch.send((message) => sent = message);
  return sent;
}

/** What a test does with a thread. */
interface Bench {
  readonly take: (...callIds: number[]) => void;
  readonly clock: VirtualClock;
  readonly host: HandlerHost;
  readonly claims: Claims;
  /** Says something of calls, as the event loop does. */
  readonly say: (...message: Message) => void;
}

describe("a thread that never lacks work", () => {
  /** What happens, in order: calls as they are begun, and answers as they are sent. */
  async function record(
    run: (take: (...callIds: number[]) => void, clock: VirtualClock, bench: Bench) => Promise<void>,
    handle: (path: string) => Response | Promise<Response> = () => new HttpResponse("done"),
  ): Promise<string[]> {
    const log: string[] = [];
    let spentMs = 0;
    const parent: ParentThread = {
      post(message) {
        for (const [kind, callId] of readBatch(message).messages) {
          if (kind === "answer") log.push(`sent ${callId}`);
        }
      },
      listen: () => {},
      runWithin(_limitMs, callback) {
        callback();
        return true;
      },
      onRejection: () => {},
      exit: () => {},
    };
    const clock = new VirtualClock();
    const handler = (request: Request): Response | Promise<Response> => {
      const path = new URL(request.url).pathname.slice(1);
      log.push(`begun ${path}`);
      const response = handle(path);
      if (!(response instanceof Promise)) spentMs += Number(response.headers.get("spent-ms") ?? 0);
      return response;
    };
    // Only this thread's time passes while it computes.
    const slow: Clock = {
      nowMs: () => clock.nowMs() + spentMs,
      wallTimeMs: () => clock.wallTimeMs(),
      every: (intervalMs, callback) => clock.every(intervalMs, callback),
      after: (delayMs, callback) => clock.after(delayMs, callback),
      defer: (callback) => clock.defer(callback),
      callApart: (callback) => callback(),
    };
    const claims = new Claims();
    const orders: HandlerOrders = {
      role: "handler",
      module: "",
      nativeRequest: false,
      fastResponse: false,
      callLimitMs: 0,
      halfCloseTimeoutMs: 1_000,
      takeTimeoutMs: 75_000,
      rejectionsAreFatal: false,
      measuresDelay: false,
      claims: claims.words,
    };
    const host = new HandlerHost(parent, slow, handler, orders, () => ({
      load: () => null,
      upgrade: () => assert.fail("no WebSocket is asked for"),
      publish: () => {},
      deliver: () => {},
      onCountChanged: () => {},
    }));
    const take = (...callIds: number[]): void => {
      for (const callId of callIds) claims.offer(callId);
      host.take(callBatch(...callIds));
    };
    const say = (...message: Message): void => {
      const batch = new OutgoingBatch();
      batch.add(message);
      batch.send((sent) => host.take(sent));
    };
    await run(take, clock, { take, clock, host, claims, say });
    return log;
  }

  test("sends what it has done before it takes up the batch behind it", async () => {
    const log = await record(async (take, clock) => {
      // The event loop of a thread may hand over batch after batch without a turn between them.
      take(1);
      take(2);
      take(3);
      await clock.settle();
    });
    assert.deepEqual(log, ["begun 1", "sent 1", "begun 2", "begun 3", "sent 2", "sent 3"]);
  });

  test("takes up the next batch at once when nothing waits to be sent", async () => {
    const log = await record(async (take, clock) => {
      take(1);
      await clock.settle();
      take(2);
      await clock.settle();
    });
    assert.deepEqual(log, ["begun 1", "sent 1", "begun 2", "sent 2"]);
  });

  test("sends what it has done when the calls of a batch have taken a millisecond, before it begins the next", async () => {
    const spin = (path: string): Response =>
      new HttpResponse("done", { headers: { "spent-ms": path === "2" ? "5" : "0" } });
    const log = await record(async (take, clock) => {
      take(1, 2, 3, 4);
      await clock.settle();
    }, spin);
    assert.deepEqual(log, ["begun 1", "begun 2", "sent 1", "sent 2", "begun 3", "begun 4", "sent 3", "sent 4"]);
  });

  test("begins one call a turn where others may compute, and has sent what it gave before it begins the next", async () => {
    // The content of a global Response is read at the end of the turn.
    const handle = async (): Promise<Response> => {
      await null;
      return new Response("done");
    };
    const calls = async (take: Bench["take"], clock: VirtualClock, oneATurn: boolean, claims: Claims) => {
      claims.oneATurn = oneATurn;
      take(1, 2);
      take(3);
      await clock.settle();
    };
    const some = await record((take, clock, { claims }) => calls(take, clock, false, claims), handle);
    assert.deepEqual(some.slice(0, 2), ["begun 1", "begun 2"]);
    const each = await record((take, clock, { claims }) => calls(take, clock, true, claims), handle);
    assert.deepEqual(each, ["begun 1", "sent 1", "begun 2", "sent 2", "begun 3", "sent 3"]);
  });

  test("does not begin a call that was taken back, and says nothing of it", async () => {
    const log = await record(async (_take, clock, { claims, host }) => {
      for (const sequence of [1, 2, 3]) claims.offer(sequence);
      assert.equal(claims.withdraw(2), true);
      host.take(callBatch(1, 2, 3));
      await clock.settle();
      assert.equal(claims.withdraw(3), false, "it was begun");
      assert.equal(claims.lookedAt, 3);
    });
    assert.deepEqual(log, ["begun 1", "begun 3", "sent 1", "sent 3"]);
  });

  test("keeps nothing of a call that was delivered or aborted", async () => {
    await record(async (take, clock, { host, say }) => {
      for (let callId = 1; callId <= 500; callId++) {
        take(callId);
        await clock.settle();
        assert.equal(host.callCount, 1);
        if (callId % 2 === 0) say("delivered", 0, [callId]);
        else say("aborted", callId, copyError(new TrivetError("peer-disconnected", "Gone.")));
        await clock.settle();
        assert.equal(host.callCount, 0);
      }
    });
  });

  test("cancels the stream of a response that comes too late", async () => {
    let cancelled: unknown = null;
    let respond!: (response: Response) => void;
    const late = new Promise<Response>((resolve) => respond = resolve);
    await record(async (take, clock, { say }) => {
      take(1);
      await clock.settle();
      say("aborted", 1, copyError(new TrivetError("peer-disconnected", "Gone.")));
      respond(new HttpResponse(new ReadableStream({ cancel: (reason) => void (cancelled = reason ?? "cancelled") })));
      await clock.settle();
    }, () => late);
    assert.notEqual(cancelled, null);
  });
});
