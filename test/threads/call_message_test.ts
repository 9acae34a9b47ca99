/** A call as it is said to a thread: every part of the request is found again. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EMPTY_FIELD_SECTION, FieldSection } from "../../src/http/field_section.ts";
import type { Address, TlsInfo } from "../../src/transport.ts";
import { OutgoingBatch, readBatch } from "../../src/threads/batch.ts";
import { type CallParts, ReceivedCall, writeCall } from "../../src/threads/call_message.ts";
import type { CallMessage } from "../../src/threads/protocol.ts";

const TCP: Address = { transport: "tcp", hostname: "10.0.0.1", port: 50_000 };
const TCP6: Address = { transport: "tcp", hostname: "::1", port: 0 };
const UNIX: Address = { transport: "unix", path: "/run/a server 80.sock" };
const UNNAMED: Address = { transport: "unix", path: "" };

const TLS: TlsInfo = {
  protocol: "TLSv1.3",
  cipher: "TLS_AES_128_GCM_SHA256",
  alpnProtocol: null,
  serverName: "a.test",
  peerCertificate: {
    subject: "CN=client",
    issuer: "CN=authority",
    subjectAltName: "",
    serialNumber: "03",
    validFrom: "Jan  1 00:00:00 2020 GMT",
    validTo: "Jan  1 00:00:00 2120 GMT",
    fingerprint256: "85:32",
    raw: new Uint8Array([48, 130]),
  },
};

const PLAIN: CallParts = {
  method: "GET",
  uri: "http://a.test/b?c=d",
  fields: EMPTY_FIELD_SECTION,
  upgrade: null,
  content: null,
  trailers: [],
  remoteAddress: TCP,
  localAddress: TCP,
  peerAddress: TCP,
  tls: null,
};

/** Sends calls as between two threads. */
function cross(calls: readonly CallParts[]): ReceivedCall[] {
  const batch = new OutgoingBatch();
  for (const [index, parts] of calls.entries()) writeCall(batch, index + 1, index - 5, parts);
  let received: unknown;
  batch.send((message) => received = structuredClone(message));
  const { messages, texts } = readBatch(received);
  return messages.map((message) => new ReceivedCall(message as unknown as CallMessage, texts));
}

function partsOf(call: ReceivedCall): CallParts {
  const { method, uri, fields, upgrade, content, trailers, remoteAddress, localAddress, peerAddress, tls } = call;
  return { method, uri, fields, upgrade, content, trailers, remoteAddress, localAddress, peerAddress, tls };
}

describe("a call that is sent to a thread", () => {
  const calls: Record<string, CallParts> = {
    "with nothing but a target": PLAIN,
    "with content and trailers": {
      ...PLAIN,
      method: "POST",
      content: 3,
      trailers: ["a", "b"],
    },
    "with content to come and an upgrade": { ...PLAIN, content: "to-come", upgrade: "websocket" },
    "from IPv6": { ...PLAIN, remoteAddress: TCP6, localAddress: TCP6, peerAddress: TCP6 },
    "over a Unix domain socket": { ...PLAIN, remoteAddress: UNNAMED, localAddress: UNIX, peerAddress: UNNAMED },
    "through a proxy, over TLS": { ...PLAIN, remoteAddress: TCP6, tls: TLS },
  };
  for (const [name, parts] of Object.entries(calls)) {
    test(`arrives with all its parts, ${name}`, () => {
      assert.deepEqual(cross([parts]).map(partsOf), [parts]);
    });
  }

  test("arrives with its field section, whose offsets point to the same names and values", () => {
    const fields = new FieldSection('a: "x"\r\nb: caf\xe9', [0, 1, 3, 6, 8, 9, 11, 15]);
    const [{ fields: received }] = cross([{ ...PLAIN, fields }]);
    assert.deepEqual([received.nameAt(0), received.valueAt(0)], ["a", '"x"']);
    assert.deepEqual([received.nameAt(1), received.valueAt(1)], ["b", "caf\xe9"]);
    assert.equal(received.count, 2);
  });

  test("keeps its number and its sequence, beside others of the same batch", () => {
    const received = cross([PLAIN, { ...PLAIN, method: "HEAD" }, { ...PLAIN, uri: "http://c.test/" }]);
    assert.deepEqual(received.map(({ id, sequence }) => [id, sequence]), [[1, -5], [2, -4], [3, -3]]);
    assert.deepEqual(received.map(({ method }) => method), ["GET", "HEAD", "GET"]);
    assert.equal(received[2].uri, "http://c.test/");
  });

  test("gives the same address each time it is asked", () => {
    const [{ remoteAddress }, call] = cross([PLAIN, PLAIN]);
    assert.deepEqual(remoteAddress, TCP);
    assert.equal(call.remoteAddress, call.remoteAddress);
    assert.equal(call.localAddress, call.localAddress);
  });
});
