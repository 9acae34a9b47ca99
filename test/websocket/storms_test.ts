/**
 * Thousands of sockets opened, subscribed, published to, stuck and closed at random, against the plainest model of topics:
 * a set of members for each, and a list of what each is to get.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import zlib from "node:zlib";
import type { ServerWebSocket, WebSocketOptions } from "../../src/api/websocket.ts";
import { createCountingRuntime } from "../support/counting_runtime.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer } from "../support/memory_server.ts";
import { createRandom } from "../support/random.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { framesOf, inflateNext, webSocketRequest } from "../support/websocket_wire.ts";

const STEPS = 1_500;
const MAX_OPEN = 16;
const TOPICS = ["a", "b", "c", "d"];
const MAX_BUFFERED = 20_000;

/** Each kind of frame that topics make, and one whose frames wait for streams. */
const KINDS: readonly WebSocketOptions[] = [
  {},
  { compress: { threshold: 500 } },
  { compress: { threshold: 500, serverMaxWindowBits: 10 } },
  { compress: { threshold: 500, contextTakeover: true } },
];

/** One socket, and what the model knows of it. */
interface Member {
  readonly name: string;
  readonly peer: MemoryPeer;
  readonly socket: ServerWebSocket;
  readonly topics: Set<string>;
  readonly expected: string[];
  readonly events: string[];
  /** Whether its messages wait for streams, and not for its client only. */
  readonly takesOver: boolean;
  /** Whether the server may send to it. */
  isOpen: boolean;
  /** Whether its client stays to the end, so that everything has to get to it. */
  staysReading: boolean;
}

/** What came, without the Close. */
async function received(peer: MemoryPeer): Promise<string[]> {
  const inflater = zlib.createInflateRaw();
  const texts: string[] = [];
  for (const { opcode, rsv, payload } of framesOf(peer.received())) {
    if (opcode !== 8) texts.push(new TextDecoder().decode(rsv === 0 ? payload : await inflateNext(inflater, payload)));
  }
  inflater.close();
  return texts;
}

/** A server, its sockets, and the model of both. */
class Storm {
  readonly members: Member[] = [];
  readonly #random: (below: number) => number;
  readonly #gate = createGate();
  readonly #counting = createCountingRuntime(this.#gate);
  readonly #memory = createMemoryServer(this.#counting.runtime, {}, (_request, info) => {
    const upgrade = info.upgradeWebSocket({ ...this.#pick(KINDS), maxBufferedAmount: MAX_BUFFERED });
    this.#last = upgrade.socket;
    return upgrade.response;
  });
  #last!: ServerWebSocket;
  #made = 0;
  #sent = 0;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    this.#gate.open();
  }

  async run(): Promise<void> {
    await this.#memory.server.ready();
    for (let step = 0; step < STEPS; step++) {
      await this.#step();
      for (const { socket, isOpen, name } of this.members) {
        if (!isOpen) continue;
        assert.ok(socket.bufferedAmount <= MAX_BUFFERED, `${name} has ${socket.bufferedAmount} bytes that wait`);
      }
    }
    await this.#end();
  }

  async #step(): Promise<void> {
    const open = this.members.filter(({ isOpen }) => isOpen);
    const act = this.#random(100);
    if (open.length === 0 || act < 6 && open.length < MAX_OPEN) return await this.#open();
    const member = this.#pick(open);
    const topic = this.#pick(TOPICS);
    if (act < 25) this.#subscribe(member, topic);
    else if (act < 38) this.#unsubscribe(member, topic);
    else if (act < 62) this.#publish(topic, null);
    else if (act < 80) this.#publish(topic, member);
    else if (act < 86) this.#send(member);
    else if (act < 91) this.#stick(member);
    else if (act < 93) this.#close(member);
    else if (act < 95) await this.#leave(member);
    else await this.#memory.clock.settle();
  }

  async #open(): Promise<void> {
    const peer = await this.#memory.send(webSocketRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"));
    const name = `socket ${this.#made++}`;
    const events: string[] = [];
    const socket = this.#last;
    const member: Member = {
      name,
      peer,
      socket,
      topics: new Set(),
      expected: [],
      events,
      takesOver: socket.extensions === "permessage-deflate",
      isOpen: true,
      staysReading: true,
    };
    socket.onerror = ({ error }) => events.push(error.code);
    socket.onclose = () => {
      events.push("close");
      this.#forget(member);
      // What hears of a loss publishes, subscribes and closes, while others are still told of the message behind it.
      const others = this.members.filter(({ isOpen }) => isOpen);
      if (others.length === 0) return;
      this.#publish(this.#pick(TOPICS), null);
      this.#subscribe(this.#pick(others), this.#pick(TOPICS));
      if (this.#random(4) === 0) this.#close(this.#pick(others));
      socket.subscribe(this.#pick(TOPICS));
    };
    this.members.push(member);
  }

  #subscribe(member: Member, topic: string): void {
    if (member.isOpen) member.topics.add(topic);
    member.socket.subscribe(topic);
  }

  #unsubscribe(member: Member, topic: string): void {
    member.topics.delete(topic);
    member.socket.unsubscribe(topic);
  }

  #publish(topic: string, by: Member | null): void {
    const message = this.#message(topic);
    for (const member of this.members) {
      if (member !== by && member.isOpen && member.topics.has(topic)) member.expected.push(message);
    }
    if (by === null) this.#memory.server.publish(topic, message);
    else by.socket.publish(topic, message);
  }

  #send(member: Member): void {
    const message = this.#message("own");
    member.expected.push(message);
    member.socket.send(message);
  }

  #stick(member: Member): void {
    member.staysReading = false;
    member.peer.stopReading();
  }

  #close(member: Member): void {
    member.socket.close(4000);
    this.#forget(member);
  }

  /** The client closes or vanishes; what was sent before has come by then. */
  async #leave(member: Member): Promise<void> {
    await this.#memory.clock.settle();
    if (!member.isOpen) return;
    member.staysReading = false;
    if (this.#random(2) === 0) member.peer.reset();
    else member.peer.send(frame({ opcode: 8, payload: closePayload(4001) }));
    await this.#memory.clock.settle();
  }

  #forget(member: Member): void {
    member.isOpen = false;
    member.topics.clear();
  }

  /** Everything is closed, and nothing is left. */
  async #end(): Promise<void> {
    const { clock, server } = this.#memory;
    const stay = this.members.filter(({ staysReading }) => staysReading);
    const isComplete = (): boolean => stay.every(({ socket }) => socket.bufferedAmount === 0);
    for (let turns = 0; turns < 500 && !isComplete(); turns++) {
      await clock.settle();
      if (turns > 20) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    let lost = 0;
    for (const { name, peer, expected, events, staysReading, takesOver } of this.members) {
      const isLost = events.includes("websocket-backlog");
      const got = await received(peer);
      if (staysReading && !isLost) assert.deepEqual(got, expected, name);
      // The others got what they took, without a gap.
      else assert.deepEqual(got, expected.slice(0, got.length), name);
      if (!isLost) continue;
      lost++;
      assert.ok(!staysReading || takesOver, `${name} keeps up, and is lost`);
      assert.deepEqual(events, ["websocket-backlog", "close"]);
    }
    assert.equal(server.stats().errors["websocket-backlog"] ?? 0, lost);
    for (const { socket, peer } of this.members) {
      socket.onclose = null;
      peer.reset();
    }
    await clock.settle();
    assert.deepEqual([server.stats().webSockets.open, server.stats().connections.open], [0, 0]);
    assert.equal(this.#counting.counts.openStreams, 0);
    const { encoded } = this.#counting.counts;
    for (const topic of TOPICS) server.publish(topic, "who is there?");
    assert.equal(this.#counting.counts.encoded, encoded, "no topic has a subscriber");
    assert.deepEqual(this.#memory.reported.filter(({ code }) => code !== "too-late"), []);
    await server.shutdown();
    assert.ok(this.#made > 30 && lost > 0, `${this.#made} sockets, ${lost} lost`);
  }

  #message(topic: string): string {
    return `${topic} ${this.#sent++} `.padEnd(this.#pick([0, 0, 0, 0, 600, 600, 2_000, 9_000]), "again and ");
  }

  #pick<T>(all: readonly T[]): T {
    return all[this.#random(all.length)];
  }
}

describe("topics in a storm do what sets and lists do", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    test(`seed ${seed}`, () => new Storm(seed).run());
  }
});
