/**
 * What ends each wait of a connection whose row names no timeout (`lifecycle.ts`): the deadline of a write, the row of its
 * other state, or its handler, whose stream may be silent for as long as it likes.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ErrorCode } from "../../../src/api/errors.ts";
import type { Handler, UpgradedConnection } from "../../../src/api/handler.ts";
import { READING, WRITING } from "../../../src/http1/connection/lifecycle.ts";
import { transitionRecorder } from "../../../src/states.ts";
import { HttpResponse } from "../../../src/web/http_response.ts";
import { get, post, startMemoryServer } from "../../support/memory_server.ts";

/** The time a deadline may be late: two ticks of the coarse clock, with the default timeouts. */
const LATENESS_MS = 1_000;

describe("a row of the tables that names no timeout", () => {
  const upgrade = get("/", "Connection: upgrade", "Upgrade: raw");
  /** What the handler does at last. */
  let letGo: () => unknown;
  const silentStream: Handler = () =>
    new Response(new ReadableStream({ start: (stream) => void (letGo = () => stream.close()) }));
  const hangs: Handler = () => new Promise(() => {});
  const large: Handler = () => new HttpResponse(new Uint8Array(200_000));
  /** Upgrades, and takes the streams it is given. */
  const upgrades = (take: (raw: UpgradedConnection) => unknown): Handler => (_request, info) => {
    const { response, connection } = info.upgrade("raw");
    connection.then(take);
    return response;
  };
  const timeouts = { handlerTimeout: 20_000, requestTimeout: 25_000, writeTimeout: 30_000, keepAliveTimeout: 35_000 };

  let states = "";
  let recordForAll = transitionRecorder.record;
  before(() => {
    // Other files that share this process may have set theirs since this one was loaded.
    recordForAll = transitionRecorder.record;
    transitionRecorder.record = (table, from, to) => {
      if (table === "pairs") states = `${from}, ${to}`;
      recordForAll?.(table, from, to);
    };
  });
  after(() => transitionRecorder.record = recordForAll);

  interface Wait {
    /** The two states in which the connection waits. */
    readonly inStates: string;
    /** What happens until then. */
    readonly when: string;
    readonly handler: Handler;
    readonly sends: string;
    readonly takesNothing?: boolean;
    /** What ends the wait, and when; without it only the handler does. */
    readonly end?: readonly [what: ErrorCode | "a FIN", afterMs: number];
  }
  const WAITS: readonly Wait[] = [
    {
      inStates: "waiting, none",
      when: "its client sends requests and takes no response",
      handler: large,
      sends: get() + get(),
      takesNothing: true,
      end: ["write-timeout", 30_000],
    },
    {
      inStates: "withheld, awaiting",
      when: "its handler neither answers nor asks for the content",
      handler: hangs,
      sends: post("/", 4, "", "Expect: 100-continue"),
      end: ["handler-timeout", 20_000],
    },
    {
      inStates: "complete, awaiting",
      when: "its handler does not answer",
      handler: hangs,
      sends: get(),
      end: ["handler-timeout", 20_000],
    },
    {
      inStates: "complete, streaming",
      when: "its client does not take what its handler streams",
      handler: () => new Response(new ReadableStream({ start: (stream) => stream.enqueue(new Uint8Array(200_000)) })),
      sends: get(),
      takesNothing: true,
      end: ["write-timeout", 30_000],
    },
    { inStates: "complete, streaming", when: "its handler's stream is silent", handler: silentStream, sends: get() },
    {
      inStates: "withheld, streaming",
      when: "its handler's stream is silent, and it does not ask for the content",
      handler: silentStream,
      sends: post("/", 4, "", "Expect: 100-continue"),
    },
    {
      inStates: "content, streaming",
      when: "its handler's stream is silent, and it does not read the content",
      handler: silentStream,
      sends: post("/", 100_000, "x".repeat(80_000)),
    },
    {
      inStates: "content, done",
      when: "its handler has answered and still reads the content, which does not come",
      handler: (request) => {
        request.arrayBuffer().catch(() => {});
        return new Response("early");
      },
      sends: post("/", 100_000),
      end: ["data-rate-too-low", 5_000],
    },
    {
      inStates: "upgraded, upgraded",
      when: "nothing takes what was upgraded",
      handler: upgrades(() => {}),
      sends: upgrade,
      end: ["handler-timeout", 35_000],
    },
    {
      inStates: "upgraded, upgraded",
      when: "its handler holds both streams",
      handler: upgrades(({ readable, writable }) => {
        readable.getReader();
        const writer = writable.getWriter();
        letGo = () => writer.abort();
      }),
      sends: upgrade,
    },
    {
      inStates: "upgraded, ended",
      when: "its handler has ended its side, and does not read",
      handler: upgrades(({ readable, writable }) => {
        const reader = readable.getReader();
        writable.close();
        letGo = () => reader.cancel();
      }),
      sends: upgrade,
    },
    {
      inStates: "discarding, flushing",
      when: "its client does not take the last response",
      handler: large,
      sends: get("/", "Connection: close"),
      takesNothing: true,
      end: ["write-timeout", 30_000],
    },
    {
      inStates: "idle, none",
      when: "its client has nothing to ask",
      handler: () => new Response("hello"),
      sends: get(),
      end: ["a FIN", 35_000],
    },
  ];

  for (const { inStates, when, handler, sends, takesNothing, end } of WAITS) {
    const [what, afterMs] = end ?? ["its handler", 600_000];
    test(`${inStates}: when ${when}, ${what} ends the wait`, async () => {
      const { connect, clock, server } = await startMemoryServer(handler, timeouts);
      const peer = connect();
      if (takesNothing) peer.stopReading();
      peer.send(sends);
      await clock.settle();
      assert.equal(states, inStates);
      await clock.advance(afterMs - 100);
      assert.deepEqual([states, server.stats().errors], [inStates, {}]);
      await clock.advance(100 + 2 * LATENESS_MS);
      if (what === "its handler") {
        assert.equal(states, inStates);
        // The system ends it for a machine that is gone, which is told only where the socket is read.
        assert.equal(peer.isWatchedByServer, !peer.isPausedByServer);
        await letGo();
        await clock.settle();
      } else assert.deepEqual(server.stats().errors, what === "a FIN" ? {} : { [what]: 1 });
      assert.notEqual(states, inStates);
    });
  }

  test("is one of these, or that of a connection which is closed", () => {
    const TIMEOUTS = ["queue", "refusal", "headers", "keep-alive", "request", "handler", "linger"];
    const isOpen = ({ deadline }: { readonly deadline: string }): boolean => deadline !== "over";
    const met = new Set(WAITS.flatMap(({ inStates }) => inStates.split(", ")));
    const rows = [...READING, ...WRITING].filter((row) => isOpen(row) && !TIMEOUTS.includes(row.deadline));
    assert.ok(rows.length > 5);
    assert.deepEqual(rows.filter(({ name }) => !met.has(name)).map(({ name }) => name), []);
    assert.deepEqual([...READING, ...WRITING].filter((row) => !isOpen(row)).map(({ name }) => name), [
      "closed",
      "cut",
      "gone",
    ]);
  });
});
