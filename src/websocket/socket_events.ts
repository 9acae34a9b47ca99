/**
 * Events as the Web has them, whose listeners can't harm what dispatches them.
 *
 * The runtimes' own EventTarget ends the process when a listener throws. This one has its interface and reports it. It
 * must not know what the events are about.
 *
 * @module
 */

import type { WebSocketListener, WebSocketListenerOptions } from "../api/websocket.ts";
import { defineInspection, forwardMissing, linkPrototype } from "../web/prototype_link.ts";

/**
 * An event of a socket, which is dispatched by {@linkcode SocketEvents} alone. It is an `Event` by
 * its prototype only, since making one of the runtime takes as long as all the rest of a small
 * message; what it lacks is forwarded to one that is made when it is asked for.
 */
export class SocketEvent {
  readonly type: string;
  #target: EventTarget | null = null;
  #isStopped = false;
  #native: Event | null = null;

  /** @param type Its name. */
  constructor(type: string) {
    this.type = type;
  }

  get target(): EventTarget | null {
    return this.#target;
  }

  get currentTarget(): EventTarget | null {
    return this.#target;
  }

  get srcElement(): EventTarget | null {
    return this.#target;
  }

  /** Whether no further listener is called. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  stopImmediatePropagation(): void {
    this.#isStopped = true;
  }

  /** It is dispatched at this target. */
  aim(target: EventTarget): void {
    this.#target = target;
  }

  /** One of the runtime with the same name. */
  static toNative(event: SocketEvent): Event {
    return event.#native ??= new Event(event.type);
  }
}

linkPrototype(SocketEvent, Event);
forwardMissing(SocketEvent, Event, SocketEvent.toNative);
defineInspection(SocketEvent, (event) => ({ ...event }));

/** A message came. */
export class SocketMessageEvent extends SocketEvent {
  readonly data: string | ArrayBuffer | Blob;

  constructor(data: string | ArrayBuffer | Blob) {
    super("message");
    this.data = data;
  }

  /** As on the Web's MessageEvent. */
  get origin(): string {
    return "";
  }

  get lastEventId(): string {
    return "";
  }
}

/** The connection is closed. */
export class SocketCloseEvent extends SocketEvent {
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
export class SocketErrorEvent extends SocketEvent {
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
  /** None for sockets that have handlers only. */
  #listeners: Map<string, readonly Registration[]> | null = null;
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
    const listeners = this.#listeners ??= new Map();
    const registered: readonly Registration[] = listeners.get(type) ?? [];
    if (registered.some((registration) => registration.listener === listener)) return;
    listeners.set(type, [...registered, { listener, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener), { once: true });
  }

  override removeEventListener(type: string, listener: WebSocketListener | null): void {
    const registered = this.#listeners?.get(type) ?? [];
    this.#listeners?.set(type, registered.filter((registration) => registration.listener !== listener));
  }

  /** Dispatches an event of the socket. */
  dispatch(event: SocketEvent): void {
    event.aim(this);
    this.#dispatch(event as unknown as Event, event);
  }

  override dispatchEvent(event: Event): boolean {
    this.#dispatch(event, null);
    return !event.defaultPrevented;
  }

  #dispatch(event: Event, own: SocketEvent | null): void {
    const { type } = event;
    const handler = this.#handlers[type] ?? null;
    if (handler !== null) this.#call(handler, event);
    if (this.#listeners === null) return;
    // Changes of the list make another one, so that this one can be gone through.
    for (const registration of this.#listeners.get(type) ?? []) {
      if (own?.isStopped) break;
      if (!this.#listeners.get(type)!.includes(registration)) continue;
      if (registration.once) this.removeEventListener(type, registration.listener);
      this.#call(registration.listener, event);
    }
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
