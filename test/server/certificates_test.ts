/** Certificates that are read anew, at once or when their files change, and what is told of those that can't be used. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Warning } from "../../src/api/warnings.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createGate, createMemoryServer, type Gate, text } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";

const LOOK_INTERVAL_MS = 5_000;
const tls = { cert: "c", key: "k" };

/** As the runtimes' adapters say that certificates can't be used. */
function unusable(message: string): Error {
  return Object.assign(new Error(message), { code: "ERR_TLS_MATERIAL" });
}

/** A server whose listener reads certificates as a test says, and what it was warned of. */
async function start(reloadTls: () => Promise<boolean>, options: ServeOptions = {}) {
  const warnings: string[] = [];
  const onWarning = ({ message }: Warning): void => void warnings.push(message);
  const runtime = createMemoryRuntime({ reloadTls });
  const { server, clock } = createMemoryServer(runtime, { tls, onWarning, ...options }, () => text("hello"));
  await server.ready();
  return { server, clock, warnings };
}

describe("certificates that are read anew", () => {
  test("have changed or not", async () => {
    const changes = [true, false];
    const { server } = await start(() => Promise.resolve(changes.shift()!));
    assert.deepEqual([await server.reloadTls(), await server.reloadTls()], [true, false]);
  });

  test("are read one after another, so that what is read last holds", async () => {
    const readings: Gate<boolean>[] = [];
    const { server, clock } = await start(() => readings[readings.push(createGate()) - 1].opened);
    const [first, second] = [server.reloadTls(), server.reloadTls()];
    await clock.settle();
    assert.equal(readings.length, 1);
    readings[0].fail(unusable("The option tls.cert is no certificate."));
    await assert.rejects(first, { code: "tls-invalid" });
    await clock.settle();
    readings[1].open(true);
    assert.equal(await second, true);
  });

  test("and can't be used are tls-invalid; what else is wrong is as the runtime says", async () => {
    const causes = [unusable("The option tls.cert is no certificate."), new TypeError("a fault"), "no error"];
    const { server } = await start(() => Promise.reject(causes.shift()));
    const [cause] = causes;
    await assert.rejects(server.reloadTls(), { code: "tls-invalid", message: (cause as Error).message, cause });
    await assert.rejects(server.reloadTls(), { name: "TypeError", message: "a fault" });
    assert.equal(await server.reloadTls().catch((error) => error), "no error");
  });

  test("are read on the other loops again where one of them could not, although they have not changed since", async () => {
    const answers: readonly (() => Promise<boolean>)[] = [
      () => Promise.resolve(true),
      () => Promise.reject(unusable("The option tls.key is no key.")),
      () => Promise.resolve(false),
      () => Promise.resolve(true),
      () => Promise.resolve(false),
    ];
    let asked = 0;
    const { server } = await startThreadServer(() => text("hello"), { loops: 2, tls }, {
      reloadTls: () => answers[asked++](),
    });
    await assert.rejects(server.reloadTls(), { code: "tls-invalid" });
    assert.deepEqual([await server.reloadTls(), asked], [true, 4]);
    assert.deepEqual([await server.reloadTls(), asked], [false, 5]);
  });
});

describe("certificates whose files are watched", () => {
  test("are looked at every five seconds; without the option only when that is asked for", async () => {
    for (const [tlsWatch, looks] of [[true, 3], [false, 0]] as const) {
      let asked = 0;
      const { clock } = await start(() => Promise.resolve(asked++ > 0), { tlsWatch });
      await clock.advance(4 * LOOK_INTERVAL_MS - 1);
      assert.equal(asked, looks);
    }
  });

  test("and can't be used are told of at the second look that finds the same, once", async () => {
    let fault: string | null = "The option tls.key is no key.";
    const { clock, warnings } = await start(
      () => fault === null ? Promise.resolve(true) : Promise.reject(unusable(fault)),
      { tlsWatch: true },
    );
    const counts: number[] = [];
    const look = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await clock.advance(LOOK_INTERVAL_MS);
        counts.push(warnings.length);
      }
    };
    await look(4);
    assert.deepEqual(counts, [0, 1, 1, 1]);
    assert.deepEqual(warnings, ["The option tls.key is no key. The server goes on with the certificates it has."]);
    fault = null;
    await look(1);
    fault = "The option tls.key is no key.";
    await look(3);
    assert.deepEqual(counts.slice(4), [1, 1, 2, 2]);
    fault = "The option tls.cert is no certificate.";
    await look(3);
    assert.deepEqual(counts.slice(8), [2, 3, 3], "what is wrong now is something else");
  });

  test("and are replaced one after the other are not told of, whatever each look finds", async () => {
    const found = ["The option tls.cert is no certificate.", "The option tls.key is no key."];
    const { clock, warnings } = await start(
      () => found.length === 0 ? Promise.resolve(true) : Promise.reject(unusable(found.shift()!)),
      { tlsWatch: true },
    );
    await clock.advance(3 * LOOK_INTERVAL_MS);
    assert.deepEqual(warnings, []);
  });

  test("are no concern any more of a server that stops while they are read", async () => {
    const gate = createGate<boolean>();
    let asked = 0;
    const { server, clock, warnings } = await start(
      () => asked++ === 0 ? Promise.reject(unusable("The option tls.key is no key.")) : gate.opened,
      { tlsWatch: true },
    );
    await clock.advance(2 * LOOK_INTERVAL_MS);
    await server.stop();
    gate.fail(unusable("The option tls.key is no key."));
    await clock.settle();
    assert.deepEqual([asked, warnings, clock.pendingCount], [2, [], 0]);
  });
});
