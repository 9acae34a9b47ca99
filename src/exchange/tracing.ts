/**
 * The channel "trivet.request", on which calls of the handler can be listened to.
 *
 * It decides what is told, as `TracingChannel` of `node:diagnostics_channel` has it: `start` and `end` around the call,
 * `asyncStart` and `asyncEnd` when the promise it gave has settled, and `error`. There is one channel on each thread on
 * which handlers run, so that what a listener binds to `start` (`bindStore` of AsyncLocalStorage) is there within the
 * handler. It must not know the listeners.
 *
 * @module
 */

import type { Handler, HandlerInfo } from "../api/handler.ts";
import type { Runtime, TracingChannel } from "../runtime.ts";

const CHANNEL_NAME = "trivet.request";

/** What listeners are told: the same object for each event of a call. */
export interface TracedCall {
  readonly request: Request;
  readonly info: HandlerInfo;
  /** What the handler has given. */
  result?: unknown;
  /** What it has thrown. */
  error?: unknown;
}

/**
 * The channel, once it is open. A runtime may not say for the whole of it whether it has subscribers, as Bun does not,
 * so that each of its five parts is looked at; no call is made for that while nothing listens.
 */
export let requestChannel: TracingChannel | null = null;

/** Opens the channel. A server calls it when it starts, and so does a thread of handlers. */
export function openRequestChannel(runtime: Pick<Runtime, "openTracingChannel">): void {
  // Where there is none, there is nothing to tell.
  runtime.openTracingChannel(CHANNEL_NAME).then((opened) => requestChannel = opened, () => {});
}

/** Calls a handler and tells of it. */
export function callTraced(channel: TracingChannel, handler: Handler, call: TracedCall): Response | Promise<Response> {
  return channel.start.runStores(call, () => {
    try {
      const given = handler(call.request, call.info);
      if (typeof (given as { then?: unknown } | null)?.then === "function") {
        return follow(channel, given as PromiseLike<Response>, call);
      }
      call.result = given;
      return given;
    } catch (thrown) {
      call.error = thrown;
      channel.error.publish(call);
      throw thrown;
    } finally {
      channel.end.publish(call);
    }
  });
}

async function follow(channel: TracingChannel, given: PromiseLike<Response>, call: TracedCall): Promise<Response> {
  try {
    const response = await given;
    call.result = response;
    return response;
  } catch (thrown) {
    call.error = thrown;
    channel.error.publish(call);
    throw thrown;
  } finally {
    channel.asyncStart.publish(call);
    channel.asyncEnd.publish(call);
  }
}
