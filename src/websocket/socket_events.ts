/**
 * Events as the Web has them, whose listeners can't harm what dispatches them.
 *
 * The runtimes' own EventTarget ends the process when a listener throws. This one has its interface and reports it. It
 * must not know what the events are about.
 *
 * @module
 */

import type {
  WebSocketCloseEvent,
  WebSocketErrorEvent,
  WebSocketListener,
  WebSocketListenerOptions,
  WebSocketMessageEvent,
} from "../api/websocket.ts";

/** An event of a socket. Dispatched by {@linkcode SocketEvents}, and so its target is this one's own. */
export class SocketEvent extends Event {
  #target: EventTarget | null = null;
  #isStopped = false;

  override get target(): EventTarget | null {
    return this.#target;
  }

  override get currentTarget(): EventTarget | null {
    return this.#target;
  }

  /** Whether no further listener is called. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  override stopImmediatePropagation(): void {
    this.#isStopped = true;
    super.stopImmediatePropagation();
  }

  /** It is dispatched at this target. */
  aim(target: EventTarget): void {
    this.#target = target;
  }
}

/** A message came. */
export class SocketMessageEvent extends SocketEvent implements WebSocketMessageEvent {
  readonly data: string | ArrayBuffer | Blob;
  /** As on the Web's MessageEvent. */
  readonly origin = "";
  readonly lastEventId = "";

  constructor(data: string | ArrayBuffer | Blob) {
    super("message");
    this.data = data;
  }
}

/** The connection is closed. */
export class SocketCloseEvent extends SocketEvent implements WebSocketCloseEvent {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(code: number, reason: string, wasClean: boolean) {
    super("close");
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
}

/** The connection has failed. */
export class SocketErrorEvent extends SocketEvent implements WebSocketErrorEvent {
  readonly error: Error;

  constructor(error: Error) {
    super("error");
    this.error = error;
  }

  get message(): string {
    return this.error.message;
  }
}

// deno-lint-ignore no-explicit-any -- As on the Web, whose handlers have to fit.
type EventHandler = ((event: any) => unknown) | null;

interface Registration {
  readonly listener: WebSocketListener;
  readonly once: boolean;
}

/** A target of events that reports what its listeners throw. */
export class SocketEvents extends EventTarget {
  /** Called before the listeners, by the name of their event. */
  readonly #handlers: Record<string, EventHandler> = { open: null, message: null, error: null, close: null };
  readonly #listeners = new Map<string, Registration[]>();
  readonly #report: (thrown: unknown) => void;

  /** @param report Told of what a listener throws, or what its promise rejects with. */
  constructor(report: (thrown: unknown) => void) {
    super();
    this.#report = report;
  }

  get onopen(): EventHandler {
    return this.#handlers.open;
  }

  set onopen(handler: EventHandler) {
    this.#setHandler("open", handler);
  }

  get onmessage(): EventHandler {
    return this.#handlers.message;
  }

  set onmessage(handler: EventHandler) {
    this.#setHandler("message", handler);
  }

  get onerror(): EventHandler {
    return this.#handlers.error;
  }

  set onerror(handler: EventHandler) {
    this.#setHandler("error", handler);
  }

  get onclose(): EventHandler {
    return this.#handlers.close;
  }

  set onclose(handler: EventHandler) {
    this.#setHandler("close", handler);
  }

  override addEventListener(
    type: string,
    listener: WebSocketListener | null,
    options?: boolean | WebSocketListenerOptions,
  ): void {
    if (listener === null) return;
    const { once = false, signal } = typeof options === "object" ? options : {};
    if (signal?.aborted) return;
    const registered = this.#listeners.get(type) ?? [];
    if (registered.some((registration) => registration.listener === listener)) return;
    this.#listeners.set(type, [...registered, { listener, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener), { once: true });
  }

  override removeEventListener(type: string, listener: WebSocketListener | null): void {
    const registered = this.#listeners.get(type) ?? [];
    this.#listeners.set(type, registered.filter((registration) => registration.listener !== listener));
  }

  override dispatchEvent(event: Event): boolean {
    if (event instanceof SocketEvent) event.aim(this);
    const handler = this.#handlers[event.type] ?? null;
    if (handler !== null) this.#call(handler, event);
    // Changes of the list make another one, so that this one can be gone through.
    for (const registration of this.#listeners.get(event.type) ?? []) {
      if (event instanceof SocketEvent && event.isStopped) break;
      if (!this.#listeners.get(event.type)!.includes(registration)) continue;
      if (registration.once) this.removeEventListener(event.type, registration.listener);
      this.#call(registration.listener, event);
    }
    return !event.defaultPrevented;
  }

  #setHandler(type: string, handler: EventHandler): void {
    this.#handlers[type] = typeof handler === "function" ? handler : null;
  }

  #call(listener: WebSocketListener, event: Event): void {
    try {
      const result: unknown = typeof listener === "function" ? listener.call(this, event) : listener.handleEvent(event);
      if (isPromiseLike(result)) result.then(undefined, (thrown) => this.#report(thrown));
    } catch (thrown) {
      this.#report(thrown);
    }
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
