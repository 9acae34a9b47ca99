/** What onError is told, what it can do, and that nothing else happens: no error of a handler ends up anywhere else. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, type HandlerInfo, HttpResponse, serve, type ServeOptions, TrivetError } from "../../mod.ts";
import { get, handlerError, head, okText } from "../fixtures/differential.ts";
import { startMemoryServer, statuses } from "../support/memory_server.ts";
import { connectRaw } from "../support/raw_client.ts";

const IMF_FIXDATE = /^Date: .*GMT\r$/gm;
const MAX_REPORTS = 2;
const OWN_ERROR = new Error("The handler's own words.");
const failing: Handler = () => {
  throw OWN_ERROR;
};

/** What onError was told at one call. */
interface Report {
  readonly error: TrivetError;
  readonly request: Request | undefined;
}

/** Sends one request to a server of its own, and gives what came back and what onError was told. */
async function exchange(handler: Handler, onError?: ServeOptions["onError"], request = get("/asked")) {
  const reports: Report[] = [];
  const server = await serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    onError(error, request) {
      reports.push({ error, request });
      // A server that asked again and again for the error of its own answer would never come to an end.
      return reports.length <= MAX_REPORTS ? onError?.(error, request) : undefined;
    },
  }, handler).ready();
  const client = await connectRaw({ port: server.port });
  client.send(request);
  client.end();
  // Where the response is cut off, the end is a FIN or a reset, as the runtime has it.
  await client.receiveAll().catch(() => assert.notEqual(client.cause, null));
  const received = client.received().replace(IMF_FIXDATE, "Date: <date>\r");
  client.destroy();
  await server.shutdown();
  return { received, reports, errors: server.stats().errors };
}

function failingStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.error(new Error("Again.")) });
}

describe("onError", () => {
  test("is told of what a handler threw: the error's cause, with the request", async () => {
    const { received, reports, errors } = await exchange(failing);
    assert.equal(received, handlerError());
    assert.equal(reports.length, 1);
    const [{ error, request }] = reports;
    assert.ok(error instanceof TrivetError);
    assert.deepEqual([error.code, error.blame, error.status], ["handler-failed", "handler", 500]);
    assert.equal(error.cause, OWN_ERROR);
    assert.equal(request?.url, "http://a.test/asked");
    assert.deepEqual(errors, { "handler-failed": 1 });
  });

  test("is told what is wrong with a response, in words that name it", async () => {
    const { reports } = await exchange(() => "text" as unknown as Response);
    assert.match(reports[0].error.message, /Response.*type string/);
  });

  test("is told of a stream that failed after the head was sent, with its cause", async () => {
    const cause = new Error("The stream's own words.");
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        // The head goes out at the end of the turn.
        for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
        controller.error(cause);
      },
    }, { highWaterMark: 0 });
    const { received, reports } = await exchange(() => new HttpResponse(body));
    assert.equal(received, head("HTTP/1.1 200 OK", "Date: <date>", "Transfer-Encoding: chunked"));
    assert.deepEqual(reports.map(({ error }) => [error.code, error.cause]), [["response-content-failed", cause]]);
  });

  test("is not told of what is the peer's fault", async () => {
    const { reports, errors } = await exchange(() => new HttpResponse("never"), undefined, "GET / HTTP/1.1\r\n\r\n");
    assert.deepEqual(reports, []);
    assert.deepEqual(errors, { "host-missing": 1 });
  });

  test("is not told of content that could not be read, when the handler passes its error on", async () => {
    const handler: Handler = async (request) => new HttpResponse(await request.text());
    const broken = head("POST / HTTP/1.1", "Host: a.test", "Transfer-Encoding: chunked") + "x\r\n";
    const { received, reports } = await exchange(handler, undefined, broken);
    assert.match(received, /^HTTP\/1\.1 400 /);
    assert.deepEqual(reports, []);
  });

  const ANSWERS: readonly [name: string, answer: () => Response | Promise<Response>][] = [
    ["a response", () => new HttpResponse("hello")],
    ["a promise of one", () => Promise.resolve(new HttpResponse("hello"))],
    [
      "a response of the runtime",
      () => new Response("hello", { headers: { "content-type": "text/plain;charset=UTF-8" } }),
    ],
  ];
  for (const [name, answer] of ANSWERS) {
    test(`may give ${name} to send in place of the standard one`, async () => {
      const { received, reports } = await exchange(failing, answer);
      assert.equal(received, okText("hello"));
      assert.equal(reports.length, 1);
    });
  }

  const FAILURES: readonly [name: string, answer: () => Response | Promise<Response>][] = [
    ["rejects", () => Promise.reject(new Error("Again."))],
    ["gives what is no response", () => "text" as unknown as Response],
    ["gives a response that can't be sent", () => Response.error()],
    ["gives a 101", () => new HttpResponse(null, { status: 101 })],
    ["gives a stream that fails", () => new HttpResponse(failingStream())],
    ["gives content shorter than its length", () => new HttpResponse("x", { headers: { "content-length": "2" } })],
  ];
  for (const [name, answer] of FAILURES) {
    test(`that ${name} is replaced by the standard response`, async () => {
      const { received, reports } = await exchange(failing, answer);
      assert.equal(received, handlerError());
      assert.ok(reports.length <= MAX_REPORTS, "it is not asked for ever");
    });
  }

  const UNUSED: readonly [name: string, onError: (n: number, mine: Response) => Response | undefined][] = [
    ["behind a response of its own that has failed", (n, mine) => n === 1 ? new HttpResponse(failingStream()) : mine],
    ["that can't be sent", (_n, mine) => {
      mine.headers.set("a", "\x01");
      return mine;
    }],
  ];
  for (const [name, onError] of UNUSED) {
    test(`that gives a response ${name} has its stream cancelled`, async () => {
      let cancels = 0;
      let calls = 0;
      const mine = new HttpResponse(new ReadableStream({ cancel: () => void cancels++ }));
      const { received } = await exchange(failing, () => onError(++calls, mine)!);
      assert.equal(received, handlerError());
      assert.equal(cancels, 1);
    });
  }

  test("is told of a result that throws when it is looked at, like of what the handler throws", async () => {
    const fail = () => {
      throw OWN_ERROR;
    };
    for (const result of [Object.defineProperty({}, "then", { get: fail }), { then: fail }]) {
      const { received, reports } = await exchange(() => result as unknown as Response, () => {});
      assert.equal(received, handlerError());
      assert.deepEqual(reports.map(({ error }) => [error.code, error.cause]), [["handler-failed", OWN_ERROR]]);
    }
  });

  test("that throws is replaced by the standard response, and what it threw is printed", async () => {
    const { send, runtime } = await startMemoryServer(failing, {
      onError: () => {
        throw new Error("onError's own words.");
      },
    });
    assert.deepEqual(statuses((await send(get("/"))).received()), [500]);
    assert.equal(runtime.printed.length, 1);
    assert.match(runtime.printed[0], /onError's own words\./);
  });

  test("that is absent prints the request and what was thrown", async () => {
    const { send, runtime } = await startMemoryServer(failing, { onError: undefined });
    assert.deepEqual(statuses((await send(get("/"))).received()), [500]);
    assert.equal(runtime.printed.length, 1);
    assert.match(runtime.printed[0], /^GET \/ 500: Error: The handler's own words\./);
  });

  for (
    const [name, onError] of [
      ["throws", () => {
        throw new Error("onError's own words.");
      }],
      ["rejects", () => Promise.reject(new Error("onError's own words."))],
    ] as const
  ) {
    test(`that ${name} for an error that belongs to no request does no harm: that is printed`, async () => {
      const { send, runtime, clock, server } = await startMemoryServer(() => new HttpResponse("hello"), { onError });
      runtime.failAccept(new Error("EMFILE"));
      await clock.settle();
      assert.equal(server.stats().errors["accept-failed"], 1);
      assert.equal(runtime.printed.length, 1);
      assert.match(runtime.printed[0], /onError's own words\./);
      assert.deepEqual(statuses((await send(get("/"))).received()), [200]);
    });
  }
});

/** Ways to leave a promise that nobody looks at; each would end a process of Node, were it rejected unhandled. */
const NEGLECTED: readonly [name: string, neglect: (info: HandlerInfo, request: Request) => void][] = [
  ["completed", (info) => void info.completed],
  ["trailers", (info) => void info.trailers],
  ["the signal", (_info, request) => void request.signal],
  ["the body", (_info, request) => void request.body],
  ["a clone", (_info, request) => void request.clone()],
];

describe("promises nobody looks at", () => {
  for (const [name, neglect] of NEGLECTED) {
    test(`${name}: are no unhandled rejections when the client goes away in the middle`, async () => {
      let called!: () => void;
      const isCalled = new Promise<void>((resolve) => called = resolve);
      const server = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request, info) => {
        neglect(info, request);
        called();
        return new Promise(() => {});
      }).ready();
      const client = await connectRaw({ port: server.port });
      client.send(head("POST / HTTP/1.1", "Host: a.test", "Content-Length: 10") + "hello");
      await isCalled;
      client.reset();
      // The runner fails for a rejection that comes until then; a report of zero aborted means the close was seen.
      assert.equal((await server.shutdown({ timeout: 5_000 })).aborted, 0);
    });
  }

  test("of a server that can't listen are none once somebody waits for `finished` alone", async () => {
    const first = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, failing).ready();
    const second = serve({ port: first.port, hostname: "127.0.0.1", onListen: () => {} }, failing);
    await assert.rejects(second.finished);
    await first.stop();
  });
});
