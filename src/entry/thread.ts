/**
 * What a thread of a server does: it runs handlers, or it serves connections of its own.
 *
 * It decides by the first message which of the two, and says when it is ready. It must not know how either is done.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { handlerOf, loadHandlerModule } from "../server/load_handler.ts";
import { openRequestChannel } from "../exchange/tracing.ts";
import type { ParentThread, Runtime } from "../runtime.ts";
import { copyError } from "../threads/error_copy.ts";
import { HandlerHost } from "../threads/handler_host.ts";
import type { LoopOrders } from "../models/loops/loop_protocol.ts";
import type { HandlerOrders, Readiness } from "../threads/protocol.ts";
import { WebSockets } from "../websocket/web_sockets.ts";
import { installFastResponse } from "../web/fast_response.ts";
import { linkResponsePrototype } from "../web/http_response.ts";
import { linkRequestPrototype } from "../web/remade_request.ts";
import { nativeResponse } from "../web/native_body.ts";
import { readContentsWith } from "../web/read_response.ts";

/** Does what the thread was started for, if this is a thread of a server. */
export async function runThread(runtime: Runtime): Promise<void> {
  const parent = await runtime.parentThread();
  if (parent === null) return;
  let take: ((message: unknown) => void) | null = null;
  parent.listen((message) => {
    if (take !== null) {
      take(message);
      return;
    }
    take = () => {};
    begin(runtime, parent, message as HandlerOrders | LoopOrders).then(
      (taker) => {
        take = taker;
        sayReadiness(parent, { isReady: true });
      },
      (error) => sayReadiness(parent, { isReady: false, error: copyError(toTrivetError(error)) }),
    );
  });
}

async function begin(
  runtime: Runtime,
  parent: ParentThread,
  orders: HandlerOrders | LoopOrders,
): Promise<(message: unknown) => void> {
  if (orders.fastResponse) installFastResponse();
  if (orders.role === "loop") {
    const { LoopHost } = await import("./loop_host.ts");
    const host = new LoopHost(runtime, parent, orders);
    await host.load();
    if (!orders.rejectionsAreFatal) parent.onRejection((thrown) => host.reportRejection(thrown));
    return (message) => host.take(message);
  }
  linkRequestPrototype();
  linkResponsePrototype();
  readContentsWith(runtime.responseContents(nativeResponse()));
  openRequestChannel(runtime);
  const handler = handlerOf((await loadHandlerModule(runtime, orders.module)).exported);
  const host = new HandlerHost(parent, runtime.clock, handler, orders, (tell) => new WebSockets(runtime, tell));
  if (!orders.rejectionsAreFatal) parent.onRejection((thrown) => host.reportRejection(thrown));
  return (message) => host.take(message);
}

function sayReadiness(parent: ParentThread, readiness: Readiness): void {
  parent.post(readiness);
}

function toTrivetError(error: unknown): TrivetError {
  if (error instanceof TrivetError) return error;
  return new TrivetError("module-invalid", "The thread could not be made ready.", { cause: error });
}
