/**
 * Topics: which WebSockets of a thread get what is published.
 *
 * It decides which sockets get a message, and that one which does not keep up is lost. It must not know how messages
 * are sent, nor of other threads.
 *
 * @module
 */

import type { SharedMessage } from "./shared_frames.ts";

/** A WebSocket, as far as it subscribes. */
export interface Subscriber {
  /** Its subscriptions by topic; `null` before the first. */
  subscriptions: Map<string, Subscription> | null;
  /** Takes a message. Returns whether it keeps up. */
  receive(message: SharedMessage): boolean;
  /** It does not keep up. */
  fallBehind(): void;
}

/** One subscriber of one topic. */
export interface Subscription {
  readonly subscriber: Subscriber;
  /** All of the topic, in no order. */
  readonly all: Subscription[];
  /** Where it stands among them. */
  place: number;
}

/** The topics of one thread. One without subscribers is none. */
export class Topics {
  readonly #topics = new Map<string, Subscription[]>();

  /** Whether something that is published gets to a subscriber. */
  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Subscribes. Again, it changes nothing. */
  subscribe(subscriber: Subscriber, topic: string): void {
    const own = subscriber.subscriptions ??= new Map();
    if (own.has(topic)) return;
    let all = this.#topics.get(topic);
    if (all === undefined) this.#topics.set(topic, all = []);
    const subscription: Subscription = { subscriber, all, place: all.length };
    all.push(subscription);
    own.set(topic, subscription);
  }

  /** Takes that back. */
  unsubscribe(subscriber: Subscriber, topic: string): void {
    const subscription = subscriber.subscriptions?.get(topic);
    if (subscription === undefined) return;
    subscriber.subscriptions!.delete(topic);
    this.#remove(subscription, topic);
  }

  /** Takes all of them back. */
  leave(subscriber: Subscriber): void {
    if (subscriber.subscriptions === null) return;
    for (const [topic, subscription] of subscriber.subscriptions) this.#remove(subscription, topic);
    subscriber.subscriptions = null;
  }

  /** Gives a message to all subscribers of a topic but one. */
  publish(topic: string, message: SharedMessage, except: Subscriber | null): void {
    const all = this.#topics.get(topic);
    if (all === undefined) return;
    let behind: Subscriber[] | null = null;
    for (const { subscriber } of all) {
      if (subscriber === except || subscriber.receive(message)) continue;
      (behind ??= []).push(subscriber);
    }
    // Handlers hear of it, and may subscribe and unsubscribe whatever they like.
    for (const subscriber of behind ?? []) subscriber.fallBehind();
  }

  /** The last takes its place. */
  #remove({ all, place }: Subscription, topic: string): void {
    const last = all.pop()!;
    if (place < all.length) {
      all[place] = last;
      last.place = place;
    }
    if (all.length === 0) this.#topics.delete(topic);
  }
}
