/** The opening handshake (RFC 6455 section 4.2): which requests become a WebSocket, and what the others are told. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { WebSocketOptions } from "../../src/api/websocket.ts";
import { startMemoryServer, statuses } from "../support/memory_server.ts";
import { startThreadServer } from "../support/thread_server.ts";
import { ACCEPT, echo, KEY, webSocketRequest } from "../support/websocket_wire.ts";

interface Refusal {
  readonly name: string;
  readonly rfc: string;
  readonly request: string;
  readonly status: number;
  readonly options?: WebSocketOptions;
}

const RIGHT = webSocketRequest();
/** A right request in which something is replaced. */
function but(what: string | RegExp, by: string): string {
  assert.notEqual(RIGHT.replace(what, by), RIGHT);
  return RIGHT.replace(what, by);
}

const KEY_LINE = `Sec-WebSocket-Key: ${KEY}\r\n`;

const REFUSALS: readonly Refusal[] = [
  { name: "a plain request", rfc: "9110 15.5.22", request: "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", status: 426 },
  { name: "POST", rfc: "6455 4.1", request: but("GET", "POST"), status: 400 },
  { name: "HEAD", rfc: "6455 4.1", request: but("GET", "HEAD"), status: 400 },
  { name: "HTTP/1.0", rfc: "6455 4.1", request: but("HTTP/1.1", "HTTP/1.0"), status: 426 },
  { name: "no Upgrade", rfc: "6455 4.2.1", request: but("Upgrade: websocket\r\n", ""), status: 426 },
  { name: "another Upgrade", rfc: "6455 4.2.1", request: but("Upgrade: websocket", "Upgrade: h2c"), status: 426 },
  { name: "no Connection", rfc: "6455 4.2.1", request: but("Connection: Upgrade\r\n", ""), status: 426 },
  { name: "another Connection", rfc: "6455 4.2.1", request: but("Connection: Upgrade", "Connection: x"), status: 426 },
  { name: "no version", rfc: "6455 4.4", request: but("Sec-WebSocket-Version: 13\r\n", ""), status: 426 },
  ...["8", "12", "14", "013", "13, 13", "x", ""].map((version) => ({
    name: `version "${version}"`,
    rfc: "6455 4.4",
    request: but("Version: 13", `Version: ${version}`),
    status: 426,
  })),
  { name: "no key", rfc: "6455 4.2.1", request: but(KEY_LINE, ""), status: 400 },
  { name: "two keys", rfc: "6455 11.3.1", request: but(KEY_LINE, KEY_LINE + KEY_LINE), status: 400 },
  ...[
    ["an empty key", ""],
    ["a key of 15 bytes", "dGhlIHNhbXBsZSBub25j"],
    ["a key of 17 bytes", "dGhlIHNhbXBsZSBub25jZXM="],
    ["a key without padding", "dGhlIHNhbXBsZSBub25jZQ"],
    ["a key of another alphabet", "dGhlIHNhbXBsZSBub25-_Q=="],
    ["a key whose last bits are not clear", "dGhlIHNhbXBsZSBub25jZR=="],
    ["a key with something behind it", `${KEY}x`],
  ].map(([name, key]) => ({ name, rfc: "6455 4.2.1", request: but(KEY, key), status: 400 })),
  {
    name: "content",
    rfc: "6455 4.2.1",
    request: `${webSocketRequest("/", "Content-Length: 1")}x`,
    status: 400,
  },
  ...["a b", "a, a", "a;b", "", ",", "("].map((protocols) => ({
    name: `protocols "${protocols}"`,
    rfc: "6455 4.1",
    request: webSocketRequest("/", `Sec-WebSocket-Protocol: ${protocols}`),
    status: 400,
  })),
  ...["a b", ";", "a;", "a; =1", "a; b=", "a; b=c d", 'a; b="c d"', 'a; b="', "a; b=c=d", "(x)"].map((extensions) => ({
    name: `extensions "${extensions}"`,
    rfc: "6455 9.1",
    request: webSocketRequest("/", `Sec-WebSocket-Extensions: ${extensions}`),
    status: 400,
  })),
  ...([
    ["same", undefined],
    ["same", "https://b.test"],
    ["same", "https://a.test.b.test"],
    ["same", "https://a.test:8443"],
    ["same", "null"],
    [["https://a.test"], undefined],
    [["https://a.test"], "http://a.test"],
    [[], "https://a.test"],
    [() => false, "https://a.test"],
    [(origin: string | null) => origin !== null, undefined],
  ] as const).map(([origin, sent]) => ({
    name: `origin ${sent ?? "none"} where ${String(origin)} is allowed`,
    rfc: "6455 10.2",
    request: webSocketRequest("/", ...(sent === undefined ? [] : [`Origin: ${sent}`])),
    options: { origin },
    status: 403,
  })),
];

describe("a request that does not become a WebSocket", () => {
  for (const { name, rfc, request, status, options } of REFUSALS) {
    test(`${name}: ${status} (RFC ${rfc})`, async () => {
      const { send, reported, server } = await startMemoryServer(echo(options));
      const peer = await send(request);
      assert.deepEqual(statuses(peer.received()), [status]);
      assert.equal(/\r\nupgrade: websocket\r\n/i.test(peer.received()), status === 426);
      assert.equal(/\r\nsec-websocket-version: 13\r\n/i.test(peer.received()), status === 426);
      assert.deepEqual(reported, [], "it is the client's fault");
      assert.equal(Object.values(server.stats().errors).reduce((sum, count) => sum + count, 0), 1);
    });
  }

  test("can be answered otherwise by a handler that catches it", async () => {
    const { send } = await startMemoryServer((_request, info) => {
      try {
        return info.upgradeWebSocket().response;
      } catch (error) {
        return new Response((error as { code: string }).code);
      }
    });
    const peer = await send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert.match(peer.received(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n.*websocket-upgrade-required/);
  });

  test("gives its socket a close event when the handler answers with another response", async () => {
    const log: string[] = [];
    const { send } = await startMemoryServer((_request, info) => {
      const { socket } = info.upgradeWebSocket();
      socket.onopen = () => log.push("open");
      socket.onclose = ({ code, wasClean }) => log.push(`close ${code} ${wasClean}`);
      return new Response("no");
    });
    const peer = await send(webSocketRequest());
    assert.deepEqual(statuses(peer.received()), [200]);
    assert.deepEqual(log, ["close 1006 false"]);
  });

  for (
    const [name, end, status] of [
      ["throws", () => Promise.reject(new Error("The handler's own.")), 500],
      ["gives no response", () => Promise.resolve(null as unknown as Response), 500],
      ["takes too long", () => new Promise<Response>(() => {}), 503],
    ] as const
  ) {
    for (const onThread of [false, true]) {
      test(`gives its socket a close event when the handler ${name}${onThread ? " on a thread" : ""}`, async () => {
        const log: string[] = [];
        const handler: Handler = (_request, info) => {
          const { socket } = info.upgradeWebSocket();
          socket.onclose = ({ code }) => log.push(`close ${code}`);
          return end();
        };
        const options = { handlerTimeout: 1_000 };
        const { send, clock } = onThread
          ? await startThreadServer((request, _place, info) => handler(request, info), {
            ...options,
            model: "hybrid",
            threads: 1,
          })
          : await startMemoryServer(handler, options);
        const peer = await send(webSocketRequest());
        await clock.advance(2_000);
        assert.deepEqual(statuses(peer.received()), [status]);
        assert.deepEqual(log, ["close 1006"]);
      });
    }
  }

  test("gives its socket a close event when the client leaves before the handler answers", async () => {
    const log: string[] = [];
    const { send, clock } = await startMemoryServer((_request, info) => {
      const { socket } = info.upgradeWebSocket();
      socket.onclose = ({ code }) => log.push(`close ${code}`);
      return new Promise(() => {});
    });
    const peer = await send(webSocketRequest());
    peer.reset();
    await clock.settle();
    assert.deepEqual(log, ["close 1006"]);
  });

  for (
    const options of [
      { maxMessageSize: 0 },
      { maxMessageSize: 1.5 },
      { maxMessageSize: "1" },
      { maxMesageSize: 1 },
      { pingInterval: -1 },
      { origin: "https://a.test" },
      { origin: [1] },
      { protocol: 1 },
      { compress: 1 },
      { compress: { level: 10 } },
      { compress: { serverMaxWindowBits: 8 } },
      { compress: { contextTakeover: "yes" } },
      { compress: { window: 1 } },
    ]
  ) {
    test(`because the options are wrong: ${JSON.stringify(options)}`, async () => {
      const { send, reported } = await startMemoryServer(echo(options as WebSocketOptions));
      assert.deepEqual(statuses((await send(webSocketRequest())).received()), [500]);
      const cause = reported[0].cause as Error;
      assert.ok(cause instanceof TypeError || cause instanceof RangeError, String(cause));
      const name = JSON.stringify(options).match(/"(\w+)":[^{]*$/)![1];
      assert.ok(cause.message.includes(name), cause.message);
    });
  }

  test("because `protocol` gives one that was not offered", async () => {
    const { send, reported } = await startMemoryServer(echo({ protocol: () => "c" }));
    const peer = await send(webSocketRequest("/", "Sec-WebSocket-Protocol: a, b"));
    assert.deepEqual(statuses(peer.received()), [500]);
    assert.match(
      String(reported[0].cause),
      /^TypeError: The function protocol gave "c", expected one of the protocols/,
    );
  });

  for (const given of [Promise.resolve(false), undefined, "https://a.test"] as unknown as boolean[]) {
    test(`because \`origin\` gives no boolean but ${typeof given}, which must not count as a yes`, async () => {
      const { send, reported } = await startMemoryServer(echo({ origin: () => given }));
      assert.deepEqual(statuses((await send(webSocketRequest())).received()), [500]);
      assert.ok(reported[0].cause instanceof TypeError, String(reported[0].cause));
    });
  }
});

describe("a request that becomes a WebSocket", () => {
  const accepted = async (request: string, options?: WebSocketOptions, use?: Handler): Promise<string> => {
    const { send } = await startMemoryServer(use ?? echo(options));
    const received = (await send(request)).received();
    assert.match(received, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(received, /\r\nupgrade: websocket\r\n/i);
    assert.match(received, /\r\nConnection: upgrade\r\n/i);
    assert.ok(received.toLowerCase().includes(`\r\nsec-websocket-accept: ${ACCEPT.toLowerCase()}\r\n`));
    assert.ok(!/content-length|transfer-encoding/i.test(received));
    return received;
  };

  for (
    const [name, request] of [
      ["as RFC 6455 section 1.3 has it", RIGHT],
      [
        "in other cases",
        but("Upgrade: websocket", "uPGRADE: WebSocket").replace("Connection: Upgrade", "connection: UPGRADE"),
      ],
      ["with more options of the connection", but("Connection: Upgrade", "Connection: keep-alive, Upgrade")],
      ["with more protocols to upgrade to", but("Upgrade: websocket", "Upgrade: h2c, websocket")],
      ["in absolute-form", but("GET / ", "GET http://a.test/ ")],
    ]
  ) {
    test(`${name} (RFC 6455 4.2.1)`, () => accepted(request).then(() => {}));
  }

  for (
    const [offered, protocol, chosen] of [
      [undefined, undefined, undefined],
      [undefined, "a", undefined],
      ["a, b", undefined, undefined],
      ["a, b", "b", "b"],
      ["a, b", "c", undefined],
      ["a, b", ["b", "a"], "b"],
      [",a,, b,", "b", "b"],
      ["a, b", ["c", "a"], "a"],
      ["a, b", ["A"], undefined],
      ["a, b", (all: readonly string[]) => all.at(-1), "b"],
      ["a, b", () => undefined, undefined],
    ] as const
  ) {
    test(`protocols ${offered ?? "none"} where ${String(protocol)} is spoken: ${chosen ?? "none"} (RFC 6455 4.2.2)`, async () => {
      const lines = offered === undefined ? [] : [`Sec-WebSocket-Protocol: ${offered}`];
      let seen: string | undefined;
      const received = await accepted(webSocketRequest("/", ...lines), undefined, (_request, info) => {
        const { response, socket } = info.upgradeWebSocket({ protocol });
        seen = socket.protocol;
        return response;
      });
      assert.equal(received.match(/sec-websocket-protocol: (.*)\r\n/i)?.[1], chosen);
      assert.equal(seen, chosen ?? "");
    });
  }

  for (
    const [origin, allowed] of [
      ["https://anywhere.test", undefined],
      [undefined, undefined],
      ["https://a.test", "same"],
      ["http://a.test", "same"],
      ["https://b.test", ["https://a.test", "https://b.test"]],
      [undefined, (given: string | null) => given === null],
    ] as const
  ) {
    test(`origin ${origin ?? "none"} where ${String(allowed)} is allowed (RFC 6455 10.2)`, async () => {
      await accepted(webSocketRequest("/", ...(origin === undefined ? [] : [`Origin: ${origin}`])), {
        origin: allowed,
      });
    });
  }

  test("knows the URL of its request", async () => {
    let url = "";
    await accepted(but("GET / ", "GET /chat?room=1 "), undefined, (_request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      url = socket.url;
      return response;
    });
    assert.equal(url, "ws://a.test/chat?room=1");
  });
});
