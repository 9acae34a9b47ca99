/**
 * The thread of the measurement of ways between threads: it answers calls at the end of the turn in which they came.
 *
 * @module
 */

import { detectRuntime } from "../../runtime/detect.ts";
import { OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { answerCalls, type ThreadOrders } from "./load.ts";
import { createTransport, type TransportEnd, type TransportName } from "./transports.ts";

const runtime = detectRuntime();
const parent = await runtime.parentThread();
if (parent !== null) {
  const outgoing = new OutgoingBatch();
  let end: TransportEnd | null = null;
  let isDeferred = false;
  parent.listen((message) => {
    if (end !== null) return end.take(message);
    const { transport, shared } = message as ThreadOrders;
    end = createTransport(transport as TransportName, {
      side: 1,
      shared,
      post: (message, transfer) => parent.post(message, transfer),
      onBatch(batch) {
        answerCalls(readBatch(batch), outgoing);
        if (isDeferred) return;
        isDeferred = true;
        runtime.clock.defer(() => {
          isDeferred = false;
          outgoing.send((batch, transfer) => end?.send(batch, transfer));
        });
      },
    });
  });
}
