/**
 * The order in which a thread takes up calls and says what it has done.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EMPTY_FIELD_SECTION } from "../../src/http/field_section.ts";
import type { ParentThread } from "../../src/runtime.ts";
import { OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { writeCall } from "../../src/threads/call_message.ts";
import { Claims } from "../../src/threads/claims.ts";
import { HandlerHost } from "../../src/threads/handler_host.ts";
import type { HandlerOrders } from "../../src/threads/protocol.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const ADDRESS = { transport: "tcp", hostname: "10.0.0.1", port: 80 } as const;

/** A batch with one call, as the event loop sends it. */
function callBatch(callId: number): unknown {
  const batch = new OutgoingBatch();
  writeCall(batch, callId, callId, {
    method: "GET",
    uri: `http://a.test/${callId}`,
    fields: EMPTY_FIELD_SECTION,
    upgrade: null,
    content: null,
    trailers: [],
    remoteAddress: ADDRESS,
    localAddress: ADDRESS,
  });
  let sent: unknown;
  batch.send((message) => sent = message);
  return sent;
}

describe("a thread that never lacks work", () => {
  /** What happens, in order: calls as they are begun, and answers as they are sent. */
  async function record(
    run: (take: (callId: number) => void, clock: VirtualClock) => Promise<void>,
  ): Promise<string[]> {
    const log: string[] = [];
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
    const handler = (request: Request): Response => {
      log.push(`begun ${new URL(request.url).pathname.slice(1)}`);
      return new HttpResponse("done");
    };
    const claims = new Claims();
    const orders: HandlerOrders = {
      role: "handler",
      module: "",
      nativeRequest: false,
      fastResponse: false,
      callLimitMs: 0,
      rejectionsAreFatal: false,
      claims: claims.words,
    };
    const host = new HandlerHost(parent, clock, handler, orders, {
      upgrade: () => assert.fail("no WebSocket is asked for"),
    });
    await run((callId) => {
      claims.offer(callId);
      host.take(callBatch(callId));
    }, clock);
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
});
