/**
 * The channel "trivet.request", on which calls of the handler can be listened to.
 *
 * It decides what is told, as `TracingChannel` of `node:diagnostics_channel` has it: `start` and `end` around the call,
 * `asyncStart` and `asyncEnd` when the promise it gave has settled, and `error`. Handlers are wrapped on the thread on
 * which they run, so that what a listener binds to `start` (`bindStore` of AsyncLocalStorage) is there within the handler.
 * It must not know who listens.
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
 * Gives a handler that tells of its calls while anything listens. While nothing does, five fields are looked at: a runtime
 * may not say for the whole channel whether it has subscribers, as Bun does not.
 */
export function traceHandler(handler: Handler, runtime: Pick<Runtime, "openTracingChannel">): Handler {
  let channel: TracingChannel | null = null;
  // Where there is none, there is nothing to tell.
  runtime.openTracingChannel(CHANNEL_NAME).then((opened) => channel = opened, () => {});
  return (request, info) => {
    if (channel === null) return handler(request, info);
    const { start, end, asyncStart, asyncEnd, error } = channel;
    const isHeard = start.hasSubscribers || end.hasSubscribers || asyncStart.hasSubscribers ||
      asyncEnd.hasSubscribers || error.hasSubscribers;
    return isHeard ? tell(channel, handler, { request, info }) : handler(request, info);
  };
}

function tell(channel: TracingChannel, handler: Handler, call: TracedCall): Response | Promise<Response> {
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
