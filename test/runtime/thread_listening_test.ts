/** Listeners of several threads on one port, on the runtime this runs on: who gets the connections. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import type { ListenOptions, TcpAddress } from "../../src/transport.ts";
import { connectRaw } from "../support/raw_client.ts";
import { TEST_AUTHORITY, TEST_SERVER_CERT, TEST_SERVER_KEY } from "../support/test_certificates.ts";
import { ThreadRecorder } from "./thread_recorder.ts";

const runtime = detectRuntime();
const OBEDIENT = new URL("../fixtures/threads/obedient.ts", import.meta.url).href;
/** Connections at once, so that a listener that is busy leaves some to the other where they share one queue (Deno). */
const CONNECTIONS = 16;
/** That all of so many times as many go to one of two listeners happens once in 10^190 times. */
const ROUNDS = 40;

const TCP: ListenOptions = {
  hostname: "127.0.0.1",
  port: 0,
  unixPath: undefined,
  tcpBacklog: undefined,
  reusePort: true,
  tls: undefined,
};
const TLS: ListenOptions = { ...TCP, tls: { cert: TEST_SERVER_CERT, key: TEST_SERVER_KEY } };

async function startListening(options: ListenOptions, name: string): Promise<[ThreadRecorder, TcpAddress]> {
  const thread = new ThreadRecorder();
  await thread.start((events) => runtime.startThread(OBEDIENT, events));
  thread.order({ order: "listen", options, name });
  const [address] = await Promise.race([thread.received(1), thread.ended().then((cause) => Promise.reject(cause))]);
  return [thread, address as TcpAddress];
}

async function askWhoListens({ port }: TcpAddress, { tls }: ListenOptions): Promise<string> {
  const client = await connectRaw({ port, ...(tls === undefined ? {} : { tls: { ca: TEST_AUTHORITY } }) });
  const name = await client.receiveAll();
  client.destroy();
  return name;
}

describe(`listeners of several threads on ${runtime.name}`, () => {
  for (const [what, options] of [["TCP", TCP], ["TLS", TLS]] as const) {
    test(`share the connections of a port, or it is said why not: ${what}`, async () => {
      const reason = runtime.whyNotShared(options);
      if (reason !== null) {
        assert.match(reason, /^(?:only Linux spreads|Node \S+ can't share a port)/);
        if (reason.startsWith("only")) return;
        await assert.rejects(async () => await runtime.listen(options, new Proxy({}, {}) as never));
        return;
      }
      const [first, address] = await startListening(options, "first");
      const [second] = await startListening({ ...options, port: address.port }, "second");
      const names = new Set<string>();
      for (let i = 0; i < ROUNDS && names.size < 2; i++) {
        const asked = Array.from({ length: CONNECTIONS }, () => askWhoListens(address, options));
        for (const name of await Promise.all(asked)) names.add(name);
      }
      assert.deepEqual([...names].sort(), ["first", "second"]);
      first.terminate();
      await first.ended();
      for (let i = 0; i < 20; i++) assert.equal(await askWhoListens(address, options), "second");
      second.terminate();
      await second.ended();
      // Between a client for TLS on Deno and the port stands a relay, which is there.
      await assert.rejects(() => askWhoListens(address, options), { code: /^ECONN(?:REFUSED|RESET)$/ });
    });
  }

  test("Unix domain sockets are never shared", () => {
    assert.match(runtime.whyNotShared({ ...TCP, unixPath: "/tmp/socket" })!, /^a Unix domain socket/);
  });
});
