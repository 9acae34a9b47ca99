/**
 * Topics over TCP while clients come, go, vanish and are closed at random, on several loops and threads: those that stay
 * get everything once and in order, and nothing is left of the others.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { serveUnder, TESTED_MODELS } from "../fixtures/models/tested_models.ts";
import { fetch } from "../fixtures/websocket_app.ts";
import { createRandom } from "../support/random.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";
import { frame } from "../support/websocket_frames.ts";
import { framesOf, webSocketRequest } from "../support/websocket_wire.ts";

const HANDLER = { fetch, module: new URL("../fixtures/websocket_app.ts", import.meta.url) };
/** Those in which clients are on several loops or threads, and the plain one. */
const MODELS = TESTED_MODELS.filter(({ options: { model } }) => model === "event-driven" || model === "hybrid");
const STAYING = 6;
const COMING = 10;
const STEPS = 2_000;
const TOPICS = ["a", "b", "c"];

const say = (client: RawClient, command: string): void => client.send(frame({ opcode: 1, payload: command }));

/** The messages that came, as who has published them and the how manyth of that. */
function messages(client: RawClient): (readonly [publisher: string, count: number])[] {
  const texts = framesOf(client.received()).filter(({ opcode }) => opcode === 1);
  return texts.map(({ payload }) => new TextDecoder().decode(payload)).filter((text) => text.includes(":")).map(
    (text) => {
      const [publisher, count] = text.split(":");
      return [publisher, Number(count)];
    },
  );
}

for (const model of MODELS) {
  test(`a storm under ${model.name}`, async () => {
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {}, onWarning: () => {} };
    const server = await serveUnder(model, options, HANDLER).ready();
    const random = createRandom(7);
    const connect = async (): Promise<RawClient> => {
      const client = await connectRaw({ port: server.port });
      client.send(webSocketRequest("/commands"));
      await client.receiveUntil((received) => received.includes("\r\n\r\n"), 20_000);
      return client;
    };
    const stay: RawClient[] = [];
    for (let i = 0; i < STAYING; i++) {
      const client = await connect();
      for (const topic of TOPICS) say(client, `subscribe ${topic}`);
      await client.receiveUntil((received) => received.split("subscribed").length === TOPICS.length + 1, 20_000);
      stay.push(client);
    }
    const published = stay.map(() => 0);
    const come: RawClient[] = [];
    for (let step = 0; step < STEPS; step++) {
      const act = random(100);
      const topic = TOPICS[random(TOPICS.length)];
      const place = random(STAYING);
      const other = come.length === 0 ? null : random(come.length);
      if (act < 50) say(stay[place], `publish ${topic} ${place}:${published[place]++}`);
      else if (other === null || act < 53 && come.length < COMING) come.push(await connect());
      else if (act < 70) say(come[other], `subscribe ${topic}`);
      else if (act < 80) say(come[other], `unsubscribe ${topic}`);
      else if (act < 97) say(come[other], `publish ${topic} other:${step}`);
      else {
        const [left] = come.splice(other, 1);
        if (act === 97) left.reset();
        else if (act === 98) left.end();
        else {
          say(left, "close");
          left.send(frame({ opcode: 8 }));
          left.end();
        }
      }
      // Many commands a turn, and many turns.
      if (step % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const [at, client] of stay.entries()) {
      const total = published.reduce((sum, count) => sum + count, 0) - published[at];
      const fromStaying = () => messages(client).filter(([publisher]) => publisher !== "other");
      for (let waits = 0; fromStaying().length < total && waits < 1_000; waits++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      for (const place of stay.keys()) {
        const counts = fromStaying().filter(([publisher]) => publisher === String(place)).map(([, count]) => count);
        const expected = place === at ? [] : Array.from({ length: published[place] }, (_, i) => i);
        assert.deepEqual(counts, expected, `${at} gets all of ${place} once and in order`);
      }
    }
    for (const client of [...stay, ...come]) client.reset();
    for (let waits = 0; waits < 500; waits++) {
      const { webSockets, connections } = server.stats();
      if (webSockets.open + connections.open === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { webSockets, connections, errors } = server.stats();
    assert.deepEqual([webSockets.open, connections.open], [0, 0]);
    assert.equal(errors["websocket-backlog"] ?? 0, 0);
    await server.shutdown({ timeout: 1_000 });
  });
}
