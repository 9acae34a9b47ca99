/** The span of a request, by an API of OpenTelemetry that notes what it is told: in memory. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import { type OpenTelemetryApi, type OpenTelemetrySpan, withOpenTelemetry } from "../../src/entry/opentelemetry.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { createGate, get, type MemoryServer, startMemoryServer, text } from "../support/memory_server.ts";

/** An API, what its span was told, and what was told to its diagnostics. `fails` names the calls that throw. */
class Api implements OpenTelemetryApi {
  readonly told: string[] = [];
  readonly diagnosed: string[] = [];
  readonly #fails: readonly string[];

  /** Whether a span was begun. */
  get isBegun(): boolean {
    return !["extract", "startSpan", "setSpan"].some((name) => this.#fails.includes(name));
  }

  constructor(fails: readonly string[] = []) {
    this.#fails = fails;
  }

  readonly context = { active: () => ({}), with: <T>(_context: unknown, act: () => T): T => act() };
  readonly propagation = { extract: (context: unknown) => this.#call("extract", context) };
  readonly trace = {
    getTracer: () => ({ startSpan: () => this.#call("startSpan", this.#span) }),
    setSpan: (context: unknown) => this.#call("setSpan", context),
  };
  readonly diag = { error: (_message: string, error: unknown): void => void this.diagnosed.push(String(error)) };

  readonly #span: OpenTelemetrySpan = {
    setAttribute: (name, value) => this.#tell("setAttribute", `${name.split(".").slice(-1)} ${value}`),
    setStatus: ({ code, message }) => this.#tell("setStatus", `failed ${code} ${message ?? ""}`.trim()),
    recordException: (exception) => this.#tell("recordException", `exception ${exception}`),
    end: () => this.#tell("end", "end"),
  };

  #tell(name: string, what: string): void {
    this.told.push(this.#call(name, what));
  }

  #call<T>(name: string, result: T): T {
    if (this.#fails.includes(name)) throw new Error(`${name} fails`);
    return result;
  }
}

/** How an exchange ends. */
interface Ending {
  readonly handler: Handler;
  readonly options?: ServeOptions;
  readonly request?: string;
  /** What happens then. */
  readonly then?: (started: MemoryServer, peer: MemoryPeer) => unknown;
  /** What the peer receives first. */
  readonly received: string;
  /** What the span is told. */
  readonly told: readonly string[];
}

const throwing = (thrown: unknown): Handler => () => {
  throw thrown;
};
const gate = createGate();
/** Fails content of which the beginning has left. */
const cut = createGate();
const cutContent = (): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("hello")),
    pull: () => cut.opened,
  });
const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

const ENDINGS: Readonly<Record<string, Ending>> = {
  "a response": { handler: () => text("hello"), received: "HTTP/1.1 200", told: ["status_code 200", "end"] },
  "a response to HEAD": {
    handler: () => Promise.resolve(text("hello")),
    request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    received: "HTTP/1.1 200",
    told: ["status_code 200", "end"],
  },
  "an error that is thrown": {
    handler: throwing(new RangeError("no")),
    received: "HTTP/1.1 500",
    told: ["exception RangeError: no", "status_code 500", "type RangeError", "failed 2 no", "end"],
  },
  "something that is thrown and has no text": {
    handler: throwing(Object.create(null)),
    received: "HTTP/1.1 500",
    told: [
      "exception Error: What was thrown can't be shown.",
      "status_code 500",
      "type Error",
      "failed 2 What was thrown can't be shown.",
      "end",
    ],
  },
  "a Response that is thrown": {
    handler: throwing(new Response(null, { status: 404 })),
    received: "HTTP/1.1 404",
    told: ["status_code 404", "end"],
  },
  "no response": {
    handler: (() => {}) as unknown as Handler,
    received: "HTTP/1.1 500",
    told: ["status_code 500", "type response-invalid", "failed 2", "end"],
  },
  "a promise of no response": {
    handler: (() => Promise.resolve(null)) as unknown as Handler,
    received: "HTTP/1.1 500",
    told: ["status_code 500", "type response-invalid", "failed 2", "end"],
  },
  "content that the server refuses": {
    handler: async (request) => text(await request.text()),
    options: { maxRequestBodySize: 3 },
    request: chunked,
    received: "HTTP/1.1 413",
    told: ["status_code 413", "end"],
  },
  "a response behind the deadline, in place of which the server has given another": {
    handler: () => gate.opened.then(() => text("late")),
    options: { handlerTimeout: 1_000 },
    then: async ({ clock }) => {
      await clock.advance(2_000);
      gate.open();
    },
    received: "HTTP/1.1 503",
    told: ["status_code 503", "type handler-timeout", "failed 2", "end"],
  },
  "a response whose content fails": {
    handler: () => new Response(cutContent()),
    then: async ({ clock }) => {
      await clock.advance(100);
      cut.fail(new Error("no more"));
    },
    received: "HTTP/1.1 200",
    told: ["status_code 200", "type response-content-failed", "failed 2", "end"],
  },
  "a client that has left": {
    handler: () => new Promise(() => {}),
    then: (_started, peer) => peer.reset(),
    received: "",
    told: ["type peer-disconnected", "failed 2", "end"],
  },
};

/** Has a handler with spans of this API answer. */
async function answer(
  api: Api,
  { handler, options, request = get("/"), then, received }: Ending,
): Promise<MemoryServer> {
  const started = await startMemoryServer(withOpenTelemetry(api, handler), options);
  const peer = await started.send(request);
  await then?.(started, peer);
  await started.clock.settle();
  assert.equal(peer.received().slice(0, "HTTP/1.1 200".length), received);
  return started;
}

/** The calls that may fail, and by which of what the span is told an ending has them. */
const CALLS: Readonly<Record<string, RegExp>> = {
  extract: /./,
  startSpan: /./,
  setSpan: /./,
  setAttribute: /status_code/,
  setStatus: /failed/,
  recordException: /exception/,
  end: /end/,
};

describe("the span of a request", () => {
  for (const [name, ending] of Object.entries(ENDINGS)) {
    test(`tells how it has ended, and ends once: ${name}`, async () => {
      const api = new Api();
      await answer(api, ending);
      assert.deepEqual([api.told, api.diagnosed], [ending.told, []]);
    });
  }

  test("does not hide that a handler gave no response", async () => {
    const { reported } = await answer(new Api(), ENDINGS["no response"]);
    assert.deepEqual(reported.map(({ code }) => code), ["response-invalid"]);
  });

  for (const call of Object.keys(CALLS)) {
    test(`costs no response where ${call} throws, which is told to the diagnostics of the API`, async () => {
      for (const ending of Object.values(ENDINGS).filter(({ then }) => then === undefined)) {
        const api = new Api([call]);
        await answer(api, ending);
        const isCalled = CALLS[call].test(ending.told.join());
        if (!isCalled) continue;
        assert.deepEqual(new Set(api.diagnosed), new Set([`Error: ${call} fails`]));
        assert.equal(api.told.filter((each) => each === "end").length, api.isBegun && call !== "end" ? 1 : 0);
      }
    });
  }
});
