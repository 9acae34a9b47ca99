/** TLS handshakes at a listener: bounded in number and time, whatever becomes of each. */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { HANDSHAKE_LIMITS } from "../../runtime/handshakes.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";
import { TEST_AUTHORITY, TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { EventRecorder, type RecordedConnection } from "./event_recorder.ts";

const runtime = detectRuntime();
const DEADLINE_MS = 20_000;
const CONNECT_DEADLINE_MS = 4_000;
/** In place of thousands. */
const MAX_AT_ONCE = 4;
/** Soon, and long enough for a client that does shake hands on a busy machine. */
const LOW_LIMITS = { maxAtOnce: MAX_AT_ONCE, timeoutMs: 1_000 };
const DEFAULT_LIMITS = { ...HANDSHAKE_LIMITS };

/** A TLS listener that echoes. */
class Site {
  readonly recorder = new EventRecorder();
  readonly #clients: RawClient[] = [];
  readonly #port: number;

  constructor(port: number, recorder: EventRecorder) {
    this.#port = port;
    this.recorder = recorder;
  }

  /** A client that has not begun to shake hands. */
  async connectSilently(): Promise<RawClient> {
    const client = await connectRaw({ port: this.#port });
    this.#clients.push(client);
    return client;
  }

  /** A client that is served. */
  async serve(): Promise<RawClient> {
    const client = await connectRaw({ port: this.#port, tls: { ca: TEST_AUTHORITY }, deadlineMs: CONNECT_DEADLINE_MS });
    this.#clients.push(client);
    client.send("hello");
    assert.equal(await client.receiveUntil(5, DEADLINE_MS), "hello");
    return client;
  }

  /** The same, when there is room for its handshake. */
  async serveSoon(): Promise<void> {
    for (const deadline = performance.now() + DEADLINE_MS;;) {
      try {
        await this.serve();
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await new Promise<void>((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  end(): void {
    for (const client of this.#clients) client.destroy();
  }
}

/** Waits until the server ends a connection on which it has nothing to say but an alert. */
async function isLetGo(client: RawClient): Promise<void> {
  await client.receiveAll(DEADLINE_MS).catch((error) => assert.equal(client.state, "closed", error));
  client.destroy();
}

function at(title: string, limits: Partial<typeof HANDSHAKE_LIMITS>, run: (site: Site) => Promise<void>): void {
  void test(title, async () => {
    Object.assign(HANDSHAKE_LIMITS, DEFAULT_LIMITS, limits);
    const recorder = new EventRecorder();
    recorder.hooks = { onData: (connection: RecordedConnection, text: string) => void connection.write(text) };
    const tls = { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY };
    const options = {
      hostname: "127.0.0.1",
      port: 0,
      unixPath: undefined,
      tcpBacklog: undefined,
      reusePort: false,
      tls,
    };
    const listener = await runtime.listen(options, recorder);
    assert.equal(listener.address.transport, "tcp");
    const site = new Site((listener.address as { port: number }).port, recorder);
    try {
      await run(site);
    } finally {
      listener.close();
      site.end();
      for (const connection of recorder.connections) connection.abort();
    }
    assert.deepEqual([recorder.violations, recorder.acceptErrors], [[], []]);
  });
}

describe(`TLS handshakes on ${runtime.name}`, () => {
  after(() => void Object.assign(HANDSHAKE_LIMITS, DEFAULT_LIMITS));

  const oneAfterAnother: Record<string, (site: Site) => Promise<void>> = {
    "succeed": async (site) => void await site.serve(),
    "fail": async (site) => {
      const client = await site.connectSilently();
      client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
      await isLetGo(client);
    },
    "are broken off by a reset": async (site) => {
      const client = await site.connectSilently();
      client.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc");
      client.reset();
    },
    "are broken off by a FIN": async (site) => (await site.connectSilently()).end(),
    "never begin": async (site) => (await site.connectSilently()).destroy(),
  };
  for (const [fate, run] of Object.entries(oneAfterAnother)) {
    at(`many more than may be under way at once can follow each other if they ${fate}`, LOW_LIMITS, async (site) => {
      for (let i = 0; i < 3 * MAX_AT_ONCE; i++) await run(site);
      await site.serveSoon();
    });
  }

  at("a connection beyond those under way is closed, and others are taken when there are fewer", {
    maxAtOnce: MAX_AT_ONCE,
  }, async (site) => {
    const served = await site.serve();
    const silent: RawClient[] = [];
    for (let i = 0; i < MAX_AT_ONCE; i++) silent.push(await site.connectSilently());
    // Deno.listenTls keeps the descriptor until the peer goes; a handshake is no longer possible all the same.
    if (runtime.name === "deno") await assert.rejects(site.serve());
    else await isLetGo(await site.connectSilently());
    served.send("again");
    assert.equal(await served.receiveUntil(10, DEADLINE_MS), "helloagain");
    assert.deepEqual(silent.map(({ state }) => state), silent.map(() => "open"));
    silent[0].reset();
    await site.serveSoon();
  });

  at("handshakes that take too long are given up, and make room for others", LOW_LIMITS, async (site) => {
    const silent: RawClient[] = [];
    for (let i = 0; i < MAX_AT_ONCE; i++) silent.push(await site.connectSilently());
    if (runtime.name !== "deno") await Promise.all(silent.map(isLetGo));
    await site.serveSoon();
  });
});
