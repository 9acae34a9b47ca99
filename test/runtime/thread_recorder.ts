/**
 * Notes what a thread tells, and sees whether one of the rules was broken that hold in every situation.
 *
 * @module
 */

import type { Thread, ThreadEvents } from "../../src/runtime.ts";
import type { Order } from "../fixtures/threads/obey.ts";

/** Long enough for a busy machine; a test that passes never waits for it. */
const DEADLINE_MS = 30_000;

/** The events of one thread, and the calls to it. */
export class ThreadRecorder implements ThreadEvents {
  /** Rules that were broken, in words. */
  readonly violations: string[] = [];
  /** What the thread has sent. */
  readonly messages: unknown[] = [];
  /** How the thread ended, once it has. */
  end: { readonly cause: Error | undefined } | null = null;
  #thread: Thread | null = null;
  #wasTerminated = false;
  #isInside = false;
  #waits = new Set<() => void>();

  /** Starts the thread. */
  async start(startThread: (events: ThreadEvents) => Promise<Thread>): Promise<void> {
    this.#thread = await this.#call(() => startThread(this));
    if (this.end !== null) this.violations.push("onExit before the thread was there.");
  }

  /** Sends an order. */
  order(order: Order, transfer?: ArrayBuffer[]): void {
    this.#call(() => this.#thread!.post(order, transfer));
  }

  /** Sends what is no order. */
  post(message: unknown): void {
    this.#call(() => this.#thread!.post(message));
  }

  terminate(): void {
    this.#wasTerminated = true;
    this.#call(() => this.#thread!.terminate());
  }

  /** Says that the thread may let the process end, and takes that back. */
  unrefAndRef(): void {
    this.#call(() => this.#thread!.unref());
    this.#call(() => this.#thread!.ref());
  }

  /** Waits for so many messages. */
  async received(count: number): Promise<readonly unknown[]> {
    await this.#until(() => this.messages.length >= count, `${count} messages`);
    return this.messages;
  }

  /** Waits for the end and returns its cause. */
  async ended(): Promise<Error | undefined> {
    await this.#until(() => this.end !== null, "onExit");
    return this.end!.cause;
  }

  onMessage(message: unknown): void {
    this.#note("onMessage");
    if (this.#wasTerminated) this.violations.push("onMessage after terminate.");
    this.messages.push(message);
    this.#look();
  }

  onExit(cause?: Error): void {
    this.#note("onExit");
    if (cause !== undefined && !(cause instanceof Error)) this.violations.push("A cause is no Error.");
    this.end = { cause };
    this.#look();
  }

  #note(event: string): void {
    if (this.#isInside) this.violations.push(`${event} within a call.`);
    if (this.end !== null) this.violations.push(`${event} after onExit.`);
  }

  #call<T>(act: () => T): T {
    this.#isInside = true;
    try {
      return act();
    } finally {
      this.#isInside = false;
    }
  }

  #look(): void {
    for (const look of [...this.#waits]) look();
  }

  #until(isTrue: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!isTrue()) return;
        clearTimeout(timer);
        this.#waits.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        const state = `${this.messages.length} messages, ${this.end === null ? "no end" : `end: ${this.end.cause}`}`;
        reject(new Error(`${what}: not within ${DEADLINE_MS} ms (${state}).`));
      }, DEADLINE_MS);
      this.#waits.add(look);
      look();
    });
  }
}
