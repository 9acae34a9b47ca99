/**
 * Clients that leave in the middle of whatever, under every concurrency model: each is released within two seconds, its
 * handler's signal aborted and its stream cancelled. And clients that only end their side of the connection, as
 * `nc -N` does, which are served on.
 *
 * TRIVET_GONE_CLIENTS says how many clients leave at a time; `deno task test:gone` sets it to 300.
 */

import assert from "node:assert/strict";
import process from "node:process";
import { after, describe, test } from "node:test";
import type { ServeOptions } from "../../../src/api/options.ts";
import { head, HOST } from "../../fixtures/differential.ts";
import { type AppServer, startApp } from "../../fixtures/models/app_server.ts";
import { Peer, until, type Watch, WatchFolder } from "../../fixtures/models/peer.ts";
import { TESTED_MODELS, type TestedModel } from "../../fixtures/models/tested_models.ts";
import { connectRaw, type RawClient } from "../../support/raw_client.ts";

const CLIENTS = Number(process.env.TRIVET_GONE_CLIENTS ?? 30);
/** The whole number is a measurement, for a machine that does nothing else; few clients are for any machine. */
const IS_MEASUREMENT = CLIENTS >= 300;
const RELEASED_WITHIN_MS = IS_MEASUREMENT ? 2_000 : 8_000;
const CONNECTED_AT_ONCE = 50;
/** What has not changed for so long will not: handlers are called within milliseconds. */
const STABLE_MS = 120;
/** A busy machine may let so much time pass in which nothing is done. */
const STABLE_LOOKS = 20;
const SETTLED_WITHIN_MS = 20_000;
/** A download beside those of all other models, on a machine that has other things to do. */
const RECEIVED_WITHIN_MS = 90_000;
const DOWNLOAD_BYTES = IS_MEASUREMENT ? 200 * 2 ** 20 : 16 * 2 ** 20;
/** Shorter than `halfCloseTimeout`, which is as it is by default for the whole number, and long for any machine. */
const LATER_MS = IS_MEASUREMENT ? 900 : 500;
const PATIENT: ServeOptions = IS_MEASUREMENT ? {} : { halfCloseTimeout: 15_000 };
/** A thread of a busy machine may give nothing for a second, which is as long as a stream may be silent by default. */
const STREAMING: ServeOptions = IS_MEASUREMENT ? {} : { halfCloseTimeout: 4_000 };
/** Longer than that, with a tick of the clock. */
const PAUSE_MS = IS_MEASUREMENT ? 1_700 : 5_000;

const folder = new WatchFolder();
after(() => folder.remove());

/** What clients are in the middle of. */
interface Phase {
  readonly name: string;
  request(fieldLines: readonly string[]): string;
  /** Whether a handler is called. */
  readonly isCalled: boolean;
  /** Whether the clients take what is sent to them. */
  readonly isRead: boolean;
}

const ordinary = { isCalled: true, isRead: true };

const PHASES: readonly Phase[] = [
  {
    ...ordinary,
    name: "half of the head is sent",
    request: (fieldLines) => head("GET /until-aborted HTTP/1.1", HOST, ...fieldLines).slice(0, -2),
    isCalled: false,
  },
  {
    ...ordinary,
    name: "the handler waits",
    request: (fieldLines) => head("GET /until-aborted HTTP/1.1", HOST, ...fieldLines),
  },
  {
    ...ordinary,
    name: "the stream is silent",
    request: (fieldLines) => head("GET /silent HTTP/1.1", HOST, ...fieldLines),
  },
  {
    ...ordinary,
    name: "the response is not read",
    request: (fieldLines) => head("GET /endless HTTP/1.1", HOST, ...fieldLines),
    isRead: false,
  },
  {
    ...ordinary,
    name: "half of the body is sent to a handler that does not read",
    request: (fieldLines) => head("POST /until-aborted HTTP/1.1", HOST, "Content-Length: 1000", ...fieldLines) + "half",
  },
  {
    ...ordinary,
    name: "half of a body that is being read is sent",
    request: (fieldLines) => head("POST /upload-cut HTTP/1.1", HOST, "Content-Length: 1000", ...fieldLines) + "half",
  },
];

/** How clients leave. */
interface Leaving {
  readonly name: string;
  leave(client: RawClient): void;
  /** Whether nothing tells that it has left while it does not read: then only `writeTimeout` ends it. */
  readonly isSlowWhenUnread?: boolean;
}

const LEAVINGS: readonly Leaving[] = [
  { name: "by a reset", leave: (client) => client.reset() },
  { name: "by closing", leave: (client) => client.destroy() },
  { name: "by ending their side, and wait", leave: (client) => client.end(), isSlowWhenUnread: true },
];

/** Each way to leave, with and without another byte before. */
const EXITS: readonly Exit[] = LEAVINGS.flatMap((leaving) => ["", "G"].map((lastByte) => ({ ...leaving, lastByte })));

interface Exit extends Leaving {
  readonly lastByte: string;
}

/** Clients that leave at the same time, in the middle of the same and each in one of these ways. */
interface Cell {
  readonly name: string;
  readonly phase: Phase;
  readonly exits: readonly Exit[];
}

/** When many clients leave, each way to leave is measured alone. */
const CELLS: readonly Cell[] = PHASES.flatMap((phase) => {
  const exits = EXITS.filter(({ isSlowWhenUnread = false }) => phase.isRead || !isSlowWhenUnread);
  if (!IS_MEASUREMENT) return [{ name: `when ${phase.name}`, phase, exits }];
  return exits.map((exit) => ({
    name: `${exit.name}${exit.lastByte === "" ? "" : ", another byte sent before,"} when ${phase.name}`,
    phase,
    exits: [exit],
  }));
});

/** Plays cells one after another, on a server of their own. Each outcome is `null` or what it failed with. */
function playAll(model: TestedModel): ReadonlyMap<Cell, Promise<unknown>> {
  const starting = startApp(model);
  let last: Promise<unknown> = starting;
  const outcomes = new Map<Cell, Promise<unknown>>();
  for (const cell of CELLS) {
    const outcome = last.then(async () => await playCell(await starting, cell)).then(() => null, (error) => error);
    outcomes.set(cell, outcome);
    last = outcome;
  }
  last.then(async () => await (await starting).server.stop()).catch(() => {});
  return outcomes;
}

async function playCell(app: AppServer, { phase, exits }: Cell): Promise<void> {
  const watch = await folder.watch();
  const before = app.server.stats();
  const clients = await connectAll(app.port);
  try {
    for (const client of clients) {
      if (!phase.isRead) client.pause();
      client.send(phase.request(watch.fieldLines));
    }
    await untilSettled(app, before.connections.accepted + CLIENTS, phase, watch);
    clients.forEach((client, number) => {
      const { lastByte, leave } = exits[number % exits.length];
      if (lastByte !== "") client.send(lastByte);
      leave(client);
    });
    await untilReleased(app, phase, watch);
  } finally {
    for (const client of clients) client.destroy();
  }
  const { threads, queue } = app.server.stats();
  assert.deepEqual([threads.lost, queue.waiting], [before.threads.lost, 0]);
  const peer = await Peer.connect(app.port);
  assert.equal((await peer.ask("/hello")).content, "hello");
  peer.destroy();
  await until(() => app.server.stats().connections.open === 0, () => "The last client is not released.");
}

/** What all models did, played at the same time where the numbers are small. */
const played = new Map<TestedModel, ReadonlyMap<Cell, Promise<unknown>>>();

function outcomesOf(model: TestedModel): ReadonlyMap<Cell, Promise<unknown>> {
  const begun = IS_MEASUREMENT ? [model] : TESTED_MODELS;
  for (const each of begun) if (!played.has(each)) played.set(each, playAll(each));
  return played.get(model)!;
}

for (const model of TESTED_MODELS) {
  describe(`${CLIENTS} clients that leave are released, ${model.name}`, () => {
    for (const cell of CELLS) {
      test(cell.name, async () => {
        const failure = await outcomesOf(model).get(cell);
        if (failure !== null) throw failure;
      });
    }
  });
}

async function connectAll(port: number): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < CLIENTS) {
    const count = Math.min(CONNECTED_AT_ONCE, CLIENTS - clients.length);
    clients.push(...await Promise.all(Array.from({ length: count }, () => connectRaw({ port }))));
  }
  return clients;
}

/** Waits until every connection is accepted, and as many handlers are called as are called. */
async function untilSettled({ server }: AppServer, accepted: number, phase: Phase, watch: Watch): Promise<void> {
  const look = () => `${server.stats().connections.accepted} ${server.stats().bytesReceived} ${watch.lines().length}`;
  let last = look();
  let sinceMs = performance.now();
  let looks = 0;
  await until(
    () => {
      const present = look();
      if (present !== last) [sinceMs, looks] = [performance.now(), 0];
      looks++;
      last = present;
      const isAccepted = server.stats().connections.accepted >= accepted;
      const isCalled = !phase.isCalled || watch.lines().includes("called");
      return isAccepted && isCalled && looks > STABLE_LOOKS && performance.now() - sinceMs > STABLE_MS;
    },
    () => `It has not come to rest: ${last}, of ${accepted}`,
    SETTLED_WITHIN_MS,
  );
}

/** What handlers write when they are told that their client has left. */
const TOLD = /^(?:aborted|cancelled|not read): /;

async function untilReleased({ server }: AppServer, phase: Phase, watch: Watch): Promise<void> {
  const count = (isMeant: (line: string) => boolean) => watch.lines().filter(isMeant).length;
  const untold = () => count((line) => line === "called") - count((line) => TOLD.test(line));
  const { open } = server.stats().connections;
  await until(
    () => {
      const { connections, activeExchanges } = server.stats();
      return connections.open === 0 && activeExchanges === 0 && untold() === 0;
    },
    () => {
      const { connections, activeExchanges, errors } = server.stats();
      return `After ${RELEASED_WITHIN_MS} ms ${connections.open} of ${open} connections and ${activeExchanges} exchanges ` +
        `are left, and ${untold()} handlers were not told, when ${phase.name}; errors: ${JSON.stringify(errors)}`;
    },
    RELEASED_WITHIN_MS,
  );
}

/** What a client does that ends its side behind its last request, as `printf ... | nc -N` does. */
const HALF_CLOSING: readonly (readonly [name: string, ServeOptions, play: (peer: Peer) => Promise<void>])[] = [
  ["gets a long download, also one that it stops reading for a while", STREAMING, async ({ client }) => {
    client.send(head(`GET /stream?bytes=${DOWNLOAD_BYTES} HTTP/1.1`, HOST, "Connection: close"));
    client.end();
    await client.receiveUntil(DOWNLOAD_BYTES / 4, RECEIVED_WITHIN_MS).catch(() =>
      assert.fail(`${client.receivedBytes} bytes came`)
    );
    client.pause();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    client.resume();
    await client.closed(RECEIVED_WITHIN_MS).catch(() =>
      assert.fail(`It is not closed after ${client.receivedBytes} bytes`)
    );
    assert.equal(client.cause, null);
    assert.ok(client.receivedBytes > DOWNLOAD_BYTES, `${client.receivedBytes} bytes of ${DOWNLOAD_BYTES} came`);
    assert.ok(endsWithLastChunk(client), "The last chunk has not come.");
  }],
  [`gets a response that is made ${LATER_MS} ms later`, PATIENT, async (peer) => {
    peer.get(`/sleep?ms=${LATER_MS}`, "Connection: close");
    peer.client.end();
    assert.match(await peer.client.receiveAll(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nslept$/);
  }],
  ["gets the responses to all requests that it has pipelined", PATIENT, async (peer) => {
    const count = 20;
    for (let i = 0; i < count; i++) peer.get(i % 5 === 4 ? "/sleep?ms=40" : "/hello");
    peer.client.end();
    const received = await peer.client.receiveAll();
    assert.equal(received.match(/HTTP\/1\.1 200 OK\r\n/g)?.length, count, received);
    assert.match(received, /slept$/);
  }],
];

/**
 * Plays one after another, each on a server of its own; where nothing is measured, against all models at the same time.
 * Each outcome is `null` or what it failed with.
 */
function playHalfClosing(): ReadonlyMap<string, Promise<unknown>> {
  const outcomes = new Map<string, Promise<unknown>>();
  let last: Promise<unknown> = Promise.resolve();
  for (const [name, options, play] of HALF_CLOSING) {
    const before = last;
    for (const model of TESTED_MODELS) {
      const outcome = (IS_MEASUREMENT ? last : before).then(() => startApp(model, options))
        .then(({ server, port }) => Peer.connect(port).then(play).finally(() => server.stop()))
        .then(() => null, (error) => error);
      last = IS_MEASUREMENT ? outcome : Promise.all([last, outcome]);
      outcomes.set(`${model.name}: ${name}`, outcome);
    }
  }
  return outcomes;
}

describe("a client that only ends its side", () => {
  let outcomes: ReadonlyMap<string, Promise<unknown>> | undefined;
  for (const model of TESTED_MODELS) {
    for (const [name] of HALF_CLOSING) {
      test(`${model.name}: ${name}`, async () => {
        outcomes ??= playHalfClosing();
        const failure = await outcomes.get(`${model.name}: ${name}`);
        if (failure !== null) throw failure;
      });
    }
  }
});

function endsWithLastChunk(client: RawClient): boolean {
  const bytes = client.bytes();
  return new TextDecoder("latin1").decode(bytes.subarray(-7)) === "\r\n0\r\n\r\n";
}
