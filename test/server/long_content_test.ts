/**
 * Content that is longer than a few lines is put into storage that all connections share, on runtimes that take bytes only
 * until they are written: none of it may be seen by another client, however slowly one of them reads.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { HttpResponse, serve } from "../../mod.ts";
import type { Server } from "../../src/api/server.ts";
import type { StoredBytes } from "../../src/runtime.ts";
import { streamStored } from "../../src/web/part_sources.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";

/** Around the bounds of that storage and of single writes. */
const LENGTHS = [0, 47, 2_047, 2_048, 8_191, 10_923, 32_768, 65_300, 65_536, 65_537, 73_728, 300_000];
/** By the bytes a char takes in UTF-8; of each pair of a surrogate alone, the bytes of U+FFFD. */
const CHARS = ["a", "\xe9", "\u20ac", "\u{1f600}", "\ud800"];
const KINDS = [
  "HttpResponse",
  "Response",
  "with a field of its own",
  "as HTML",
  "bytes",
  "bytes of a Response",
  "bytes that are kept",
  "a clone of a Response",
  "a Blob",
  "a Blob of a Response",
  "JSON",
  "stored",
];

/** Text that shows where it is from. */
function textOf(target: string): string {
  const [, kind, length, char] = target.split("/").map(Number);
  const unit = `${CHARS[char]}${kind}.`;
  return unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
}

/** The content of the response, as text. */
function contentOf(target: string): string {
  const text = textOf(target);
  return KINDS[Number(target.split("/")[1])] === "JSON" ? JSON.stringify(text) : text;
}

/** What handlers have made once and give again and again, by target. */
const kept = new Map<string, { bytes: Uint8Array<ArrayBuffer>; response: Response; blob: Blob }>();

function keptFor(target: string) {
  let made = kept.get(target);
  if (made === undefined) {
    const bytes = new TextEncoder().encode(textOf(target));
    made = { bytes, response: new Response(bytes, PNG), blob: new Blob([bytes], { type: "image/png" }) };
    kept.set(target, made);
  }
  return made;
}

const PNG = { headers: { "content-type": "image/png" } };

/** Bytes of which a read gives a part, some turns later. */
function store(bytes: Uint8Array): StoredBytes {
  return {
    byteLength: bytes.byteLength,
    async read(buffer, position) {
      const readBytes = Math.min(buffer.byteLength, 1 + position % 90_000);
      for (let turns = position % 3; turns >= 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      buffer.set(bytes.subarray(position, position + readBytes));
      return readBytes;
    },
    close: () => Promise.resolve(),
  };
}

function handler(request: Request): Response {
  const { pathname } = new URL(request.url);
  const text = textOf(pathname);
  switch (KINDS[Number(pathname.split("/")[1])]) {
    case "HttpResponse":
      return new HttpResponse(text);
    case "Response":
      return new Response(text);
    case "as HTML":
      return new Response(text, { headers: { "content-type": "text/html;charset=UTF-8" } });
    case "bytes":
      return new HttpResponse(new TextEncoder().encode(text));
    case "bytes of a Response":
      return new Response(new TextEncoder().encode(text), PNG);
    case "bytes that are kept":
      return new HttpResponse(keptFor(pathname).bytes);
    case "a clone of a Response":
      return keptFor(pathname).response.clone();
    case "a Blob":
      return new HttpResponse(keptFor(pathname).blob);
    case "a Blob of a Response":
      return new Response(keptFor(pathname).blob);
    case "stored":
      return new HttpResponse(streamStored(store(keptFor(pathname).bytes)), PNG);
    case "JSON":
      return Response.json(text);
    default:
      // A head that comes once: none of those that are kept.
      return new HttpResponse(text, {
        headers: { "x-of": `${pathname} ${"x".repeat(Number(pathname.at(-1)) * 1_000)}` },
      });
  }
}

/** What a client of these requests has received, with nothing but the lengths and the content of responses looked at. */
function assertAnswered(client: RawClient, targets: readonly string[]): void {
  const received = client.bytes();
  let at = 0;
  for (const target of targets) {
    const headEnd = indexOf(received, "\r\n\r\n", at) + 4;
    const head = new TextDecoder().decode(received.subarray(at, headEnd));
    const expected = new TextEncoder().encode(contentOf(target));
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/, target);
    assert.match(head, new RegExp(`\\r\\ncontent-length: ${expected.byteLength}\\r\\n`, "i"), target);
    at = headEnd + expected.byteLength;
    assert.ok(Buffer.from(received.subarray(headEnd, at)).equals(expected), `the content of ${target}`);
  }
  assert.equal(received.byteLength, at, "nothing behind the last response");
}

function indexOf(bytes: Uint8Array, text: string, from: number): number {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(text, from);
  assert.notEqual(found, -1, "the end of a head");
  return found;
}

const requests = (targets: readonly string[]): string =>
  targets.map((target, at) => {
    const isLast = at === targets.length - 1;
    return `GET ${target} HTTP/1.1\r\nHost: a\r\n${isLast ? "Connection: close\r\n" : ""}\r\n`;
  }).join("");

describe("long content", () => {
  let server: Server;
  before(async () => {
    server = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler).ready();
  });
  after(() => server.stop());

  const connect = (): Promise<RawClient> => connectRaw({ port: server.port });

  for (const [kind, name] of KINDS.entries()) {
    test(`comes whole to clients that ask one request after the other: ${name}`, async () => {
      for (const char of CHARS.keys()) {
        // Asked for twice, since a head that has come before is kept.
        const targets = LENGTHS.flatMap((length) => [`/${kind}/${length}/${char}`, `/${kind}/${length}/${char}`]);
        const client = await connect();
        client.send(requests(targets));
        await client.receiveAll();
        assertAnswered(client, targets);
      }
    });
  }

  test("comes whole to many clients at once, of whom some read late", async () => {
    const plans = Array.from({ length: 24 }, (_, at) => ({
      readsLate: at % 3 === 0,
      targets: LENGTHS.map((length, step) => `/${(at + step) % KINDS.length}/${length}/${at % CHARS.length}`),
    }));
    const clients = await Promise.all(plans.map(async ({ readsLate, targets }) => {
      const client = await connect();
      if (readsLate) client.pause();
      client.send(requests(targets));
      return client;
    }));
    await Promise.all(clients.map((client, at) => plans[at].readsLate ? null : client.receiveAll()));
    await Promise.all(clients.map((client) => {
      client.resume();
      return client.receiveAll();
    }));
    clients.forEach((client, at) => assertAnswered(client, plans[at].targets));
  });
});
