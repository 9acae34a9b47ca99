/**
 * What a handler may do with its socket at the wrong time, in every state: the connection ends once, others are served on,
 * and the handler is told where it can know better.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HandlerInfo } from "../../src/api/handler.ts";
import type { ServerWebSocket, WebSocketAnswer } from "../../src/api/websocket.ts";
import { HttpResponse } from "../../src/web/http_response.ts";
import { createGate, get, type MemoryServer, startMemoryServer, statuses } from "../support/memory_server.ts";
import type { MemoryPeer } from "../support/memory_runtime.ts";
import { closePayload, frame } from "../support/websocket_frames.ts";
import { framesOf, show, webSocketRequest } from "../support/websocket_wire.ts";

const text = (payload: string): Uint8Array => frame({ opcode: 1, payload });
const close = (code: number): Uint8Array => frame({ opcode: 8, payload: closePayload(code) });

/** What may be done, at any time. */
const ACTS: Readonly<Record<string, (socket: ServerWebSocket) => unknown>> = {
  "sends text": (socket) => socket.send("text"),
  "sends a Blob": (socket) => socket.send(new Blob(["blob"])),
  "pings": (socket) => socket.ping("ping"),
  "closes": (socket) => socket.close(),
  "closes twice": (socket) => [socket.close(4000), socket.close(4001)],
  "subscribes and publishes": (socket) => [socket.subscribe("topic"), socket.publish("topic", "text")],
  "reads its stream": (socket) => socket.readable.getReader().read(),
  "cancels its stream": (socket) => socket.readable.cancel(),
  "cancels what it reads": (socket) => {
    const reader = socket.readable.getReader();
    const read = reader.read();
    return Promise.all([read, reader.cancel("enough")]);
  },
  "writes to its stream": (socket) => socket.writable.getWriter().write("text"),
  "closes its stream": (socket) => socket.writable.close(),
  "aborts its stream": (socket) => socket.writable.abort("enough"),
  "aborts what it writes": (socket) => {
    const writer = socket.writable.getWriter();
    writer.closed.catch(() => {});
    const write = writer.write("text");
    return Promise.all([write, writer.abort("enough")]);
  },
  "pipes its streams together": (socket) => socket.readable.pipeTo(socket.writable),
  "pipes its streams together and cancels that": (socket) =>
    socket.readable.pipeTo(socket.writable, { signal: AbortSignal.abort() }),
  "loops, and leaves the loop": async (socket) => {
    for await (const _message of socket) break;
  },
  "loops, and throws in the loop": async (socket) => {
    for await (const _message of socket) throw new Error("in the loop");
  },
  "dispatches events of its own": (socket) =>
    ["open", "message", "error"].map((n) => socket.dispatchEvent(new Event(n))),
};

interface Stage {
  readonly socket: ServerWebSocket;
  readonly peer: MemoryPeer;
  readonly memory: MemoryServer;
}

const STATES: Readonly<Record<string, (stage: Stage) => void | Promise<void>>> = {
  "while it opens": () => {},
  "while it is open": ({ memory }) => memory.clock.settle(),
  "while its client does not read": async ({ memory, peer, socket }) => {
    await memory.clock.settle();
    peer.stopReading();
    socket.send(new Uint8Array(200_000));
    await memory.clock.settle();
  },
  "behind its own close": async ({ memory, socket }) => {
    await memory.clock.settle();
    socket.close(4000);
  },
  "behind its client's close": async ({ memory, peer }) => {
    await memory.clock.settle();
    peer.send(close(4001));
    await memory.clock.settle();
  },
  "when its client is gone": async ({ memory, peer }) => {
    await memory.clock.settle();
    peer.reset();
    await memory.clock.settle();
  },
};

/** Serves one more client, as if nothing had been. */
async function servesOn(memory: MemoryServer): Promise<void> {
  const other = await memory.send(webSocketRequest("/echo"));
  other.send(text("still here"));
  await memory.clock.settle();
  assert.deepEqual(show(framesOf(other.received())), ["text still here"]);
  other.reset();
  await memory.clock.settle();
  const { webSockets, connections, activeExchanges } = memory.server.stats();
  assert.deepEqual([webSockets.open, connections.open, activeExchanges], [0, 0, 0]);
}

for (const [when, enter] of Object.entries(STATES)) {
  describe(`a handler, ${when},`, () => {
    for (const [what, act] of Object.entries(ACTS)) {
      test(what, async () => {
        const gate = createGate();
        const closes: number[] = [];
        let socket!: ServerWebSocket;
        const memory = await startMemoryServer(async (request, info) => {
          const upgrade = info.upgradeWebSocket();
          if (request.url.endsWith("/echo")) {
            upgrade.socket.onmessage = ({ data }) => upgrade.socket.send(data);
            return upgrade.response;
          }
          socket = upgrade.socket;
          socket.onclose = ({ code }) => closes.push(code);
          if (when === "while it opens") await gate.opened;
          return upgrade.response;
        });
        const peer = await memory.send(webSocketRequest("/"));
        await enter({ socket, peer, memory });
        let outcome: unknown;
        try {
          outcome = act(socket);
        } catch (error) {
          outcome = error;
        }
        if (outcome instanceof Error) assert.equal(outcome.name, "InvalidStateError", String(outcome));
        // What waits ends with the connection at the latest.
        const settled = Promise.resolve(outcome).then(() => true, () => true);
        gate.open();
        await memory.clock.settle();
        peer.read();
        peer.send(text("one more"));
        await memory.clock.settle();
        peer.send(close(1000));
        await memory.clock.settle();
        peer.end();
        await memory.clock.settle();
        assert.equal(peer.serverSide, "closed");
        assert.equal(closes.length, 1);
        assert.ok(await Promise.race([settled, memory.clock.settle().then(() => false)]), "it is settled");
        for (const { code } of memory.reported) assert.equal(code, "too-late");
        await servesOn(memory);
      });
    }
  });
}

describe("what a listener does", () => {
  const EVENTS = ["open", "message", "error", "close"] as const;
  const DEEDS: Readonly<Record<string, (socket: ServerWebSocket, memory: MemoryServer) => unknown>> = {
    "throws": () => {
      throw new Error("on purpose");
    },
    "rejects": () => Promise.reject(new Error("on purpose")),
    "closes": (socket) => socket.close(4000),
    "sends without end": (socket) => {
      for (let i = 0; i < 50; i++) socket.send(new Uint8Array(100_000));
    },
    "stops the server": (_socket, memory) => void memory.server.shutdown({ timeout: 1_000 }),
    "stops the server at once": (_socket, memory) => void memory.server.shutdown({ timeout: 0 }),
  };
  for (const event of EVENTS) {
    for (const [what, deed] of Object.entries(DEEDS)) {
      test(`in the ${event} event, it ${what}: the connection ends once`, async () => {
        let closes = 0;
        const memory: MemoryServer = await startMemoryServer((_request, info) => {
          const { response, socket } = info.upgradeWebSocket({ maxBufferedAmount: 500_000 });
          socket.addEventListener(event, () => deed(socket, memory));
          socket.addEventListener("close", () => closes++);
          return response;
        });
        const peer = await memory.send(webSocketRequest("/"));
        peer.stopReading();
        peer.send(text("message"));
        await memory.clock.settle();
        // Breaks the protocol, for an error event.
        peer.send(frame({ opcode: 3 }));
        await memory.clock.advance(60_000);
        assert.equal(peer.serverSide, "closed");
        assert.equal(closes, 1);
        const { webSockets, connections } = memory.server.stats();
        assert.deepEqual([webSockets.open, connections.open], [0, 0]);
        await memory.server.shutdown();
      });
    }
  }
});

describe("an upgrade", () => {
  /** Sends requests one after another, to a handler that does something with its upgrade. */
  async function play(
    handler: (info: HandlerInfo) => Response | Promise<Response>,
    ...requests: readonly string[]
  ) {
    const memory = await startMemoryServer((request, info) => {
      if (!request.url.endsWith("/echo")) return handler(info);
      const { response, socket } = info.upgradeWebSocket();
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    });
    const peers: MemoryPeer[] = [];
    for (const request of requests) peers.push(await memory.send(request));
    await memory.clock.settle();
    return { memory, peers };
  }

  test("is possible once", async () => {
    const codes: unknown[] = [];
    const { memory, peers } = await play((info) => {
      const { response } = info.upgradeWebSocket();
      try {
        info.upgradeWebSocket();
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
      return response;
    }, webSocketRequest("/"));
    assert.deepEqual(codes, ["too-late"]);
    assert.deepEqual(statuses(peers[0].received()), [101]);
    peers[0].reset();
    await servesOn(memory);
  });

  test("is not possible behind the response", async () => {
    const gate = createGate();
    const codes: unknown[] = [];
    const { memory, peers } = await play((info) => {
      gate.opened.then(() => info.upgradeWebSocket()).catch(({ code }) => codes.push(code));
      return new HttpResponse("done");
    }, webSocketRequest("/"));
    gate.open();
    await memory.clock.settle();
    assert.deepEqual(codes, ["too-late"]);
    assert.deepEqual(statuses(peers[0].received()), [200]);
    peers[0].reset();
    await servesOn(memory);
  });

  for (
    const [what, answer, status] of [
      ["another response is given", () => new HttpResponse("no"), 200],
      ["the handler throws", () => {
        throw new Error("on purpose");
      }, 500],
      ["the handler's promise rejects", () => Promise.reject(new Error("on purpose")), 500],
      ["nothing is given", () => undefined as unknown as Response, 500],
    ] as const
  ) {
    test(`is given up where ${what}: its socket closes with 1006`, async () => {
      const closes: unknown[] = [];
      const { memory, peers } = await play((info) => {
        const { socket } = info.upgradeWebSocket();
        socket.onclose = ({ code }) => closes.push(code);
        socket.closed.then(({ code }) => closes.push(`closed ${code}`));
        return answer();
      }, webSocketRequest("/"));
      assert.deepEqual(statuses(peers[0].received()), [status]);
      assert.deepEqual(closes, [1006, "closed 1006"]);
      peers[0].reset();
      await servesOn(memory);
    });
  }

  test("is given up when its handler gives nothing in time", async () => {
    const closes: unknown[] = [];
    const memory = await startMemoryServer((request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      if (request.url.endsWith("/echo")) {
        socket.onmessage = ({ data }) => socket.send(data);
        return response;
      }
      socket.onclose = ({ code }) => closes.push(code);
      return new Promise(() => {});
    }, { handlerTimeout: 2_000 });
    const peer = await memory.send(webSocketRequest("/"));
    await memory.clock.advance(3_000);
    assert.deepEqual(closes, [1006]);
    assert.match(peer.received(), /^HTTP\/1\.1 50[34] /);
    peer.reset();
    await servesOn(memory);
  });

  test("whose response is given twice is one upgrade: the second request gets a failure", async () => {
    let kept: Response | null = null;
    const { memory, peers } = await play(
      (info) => kept ??= info.upgradeWebSocket().response,
      webSocketRequest("/"),
      get("/"),
    );
    assert.deepEqual(peers.map((peer) => statuses(peer.received())), [[101], [500]]);
    assert.deepEqual(memory.reported.map(({ code }) => code), ["response-invalid"]);
    for (const peer of peers) peer.reset();
    await servesOn(memory);
  });

  test("whose response goes to another upgrade harms no other client", async () => {
    const answers: WebSocketAnswer[] = [];
    const gate = createGate();
    const { memory, peers } = await play(
      async (info) => {
        const place = answers.push(info.upgradeWebSocket()) - 1;
        await gate.opened;
        return answers[1 - place].response;
      },
      webSocketRequest("/"),
      webSocketRequest("/"),
    );
    gate.open();
    await memory.clock.settle();
    for (const peer of peers) peer.reset();
    await servesOn(memory);
  });
});

describe("what a socket is given", () => {
  const GIVEN: Readonly<Record<string, (socket: ServerWebSocket) => void>> = {
    "a reason that is no string is made one": (socket) => socket.close(4000, 17 as unknown as string),
    "a reason of null too, as on the Web": (socket) => socket.close(4000, null as unknown as string),
  };
  for (const [what, act] of Object.entries(GIVEN)) {
    test(what, async () => {
      const memory = await startMemoryServer((_request, info) => {
        const { response, socket } = info.upgradeWebSocket();
        socket.onopen = () => act(socket);
        return response;
      });
      const peer = await memory.send(webSocketRequest("/"));
      const [{ payload }] = framesOf(peer.received());
      assert.match(new TextDecoder().decode(payload.subarray(2)), /^(17|null)$/);
      assert.deepEqual(memory.reported, []);
      peer.reset();
    });
  }

  test("a Blob is no payload of a Ping", async () => {
    const { reported, send } = await startMemoryServer((_request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      socket.onopen = () => assert.throws(() => socket.ping(new Blob(["a"]) as unknown as string), TypeError);
      return response;
    });
    const peer = await send(webSocketRequest("/"));
    assert.deepEqual([framesOf(peer.received()), reported], [[], []]);
  });

  for (const topic of [Symbol("topic"), 7, undefined, () => {}] as unknown as string[]) {
    test(`${String(topic)} is no topic`, async () => {
      const { reported, send } = await startMemoryServer((_request, info) => {
        const { response, socket } = info.upgradeWebSocket();
        socket.onopen = () => {
          assert.throws(() => socket.publish(topic, "message"), TypeError);
          assert.throws(() => socket.subscribe(topic), TypeError);
          assert.throws(() => info.publish(topic, "message"), TypeError);
        };
        return response;
      });
      const peer = await send(webSocketRequest("/"));
      assert.deepEqual([framesOf(peer.received()), reported], [[], []]);
    });
  }

  test("what can't be made text throws, and sends nothing", async () => {
    const { reported, send } = await startMemoryServer((_request, info) => {
      const { response, socket } = info.upgradeWebSocket();
      const closing = { toString: () => (socket.close(4000), "late") };
      socket.onopen = () => {
        assert.throws(() => socket.send(Object.create(null)), TypeError);
        socket.send(closing as unknown as string);
      };
      return response;
    });
    const peer = await send(webSocketRequest("/"));
    assert.deepEqual(show(framesOf(peer.received())), ["close 4000"]);
    assert.deepEqual(reported.map(({ code }) => code), ["too-late"]);
  });
});
