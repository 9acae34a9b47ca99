/** Whom a server believes what proxies say: the client's address, the scheme and the host it has asked for. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Handler } from "../../src/api/handler.ts";
import type { ProxyTrustOptions, ServeOptions } from "../../src/api/options.ts";
import type { Address } from "../../src/transport.ts";
import { get, startMemoryServer, statuses, text } from "../support/memory_server.ts";

const LOOPBACK = "127.0.0.1";
const PEER = "10.0.0.2";

const tell: Handler = (request, info) => {
  const hostOf = (address: Address): string => address.transport === "tcp" ? address.hostname : "unix";
  return text([request.url, hostOf(info.remoteAddr), hostOf(info.peerAddr), info.requestIP()?.address].join(" "));
};

/** Asks a server once, from an address, and gives the body. */
async function ask(
  trustProxy: ProxyTrustOptions | undefined,
  peer: string,
  lines: readonly string[],
  options: ServeOptions = {},
): Promise<string> {
  const { runtime, clock } = await startMemoryServer(tell, { ...options, ...(trustProxy ? { trustProxy } : {}) });
  const address: Address = peer === "unix"
    ? { transport: "unix", path: "" }
    : { transport: "tcp", hostname: peer, port: 50_000 };
  const client = runtime.connect(address);
  client.send(get("/a", ...lines));
  await clock.settle();
  assert.deepEqual(statuses(client.received()), [200]);
  return client.received().split("\r\n\r\n")[1];
}

interface Case {
  readonly trust?: ProxyTrustOptions;
  readonly peer?: string;
  readonly lines: readonly string[];
  /** URL and client's address. */
  readonly url?: string;
  readonly client: string;
}

const URL_AS_IT_CAME = "http://a.test/a";
const TRUST_LOOPBACK: ProxyTrustOptions = { from: "loopback" };
const TRUST_RANGES: ProxyTrustOptions = { from: ["10.0.0.0/8", "192.0.2.0/24", "::1"] };
const FORWARDED: ProxyTrustOptions = { from: "loopback", header: "forwarded", host: true };

const CASES: Readonly<Record<string, Case>> = {
  "without the option nothing is believed": {
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "Forwarded: for=1.1.1.1;proto=https"],
    client: LOOPBACK,
  },
  "a peer that is not trusted changes nothing": {
    trust: TRUST_LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https"],
    client: PEER,
  },
  "a trusted peer tells address and scheme": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: HTTPS"],
    url: "https://a.test/a",
    client: "1.1.1.1",
  },
  "loopback is all of 127.0.0.0/8, ::1 and Unix domain sockets: ::1": {
    trust: TRUST_LOOPBACK,
    peer: "::1",
    lines: ["X-Forwarded-For: 1.1.1.1"],
    client: "1.1.1.1",
  },
  "loopback is all of 127.0.0.0/8, ::1 and Unix domain sockets: a Unix domain socket": {
    trust: TRUST_LOOPBACK,
    peer: "unix",
    lines: ["X-Forwarded-For: 1.1.1.1"],
    client: "1.1.1.1",
  },
  "a Unix domain socket is not trusted where loopback is not": {
    trust: TRUST_RANGES,
    peer: "unix",
    lines: ["X-Forwarded-For: 1.1.1.1"],
    client: "unix",
  },
  "what a client has sent stands left of what the proxy has added": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 127.0.0.1, 8.8.8.8, 1.1.1.1", "X-Forwarded-Proto: https, https, http"],
    client: "1.1.1.1",
  },
  "addresses are read from the right up to the first that is not trusted, and proto with it": {
    trust: TRUST_RANGES,
    lines: ["X-Forwarded-For: 8.8.8.8, 1.1.1.1, 192.0.2.7", "X-Forwarded-Proto: http, https, http"],
    url: "https://a.test/a",
    client: "1.1.1.1",
  },
  "all of them are trusted: the client is the first": {
    trust: TRUST_RANGES,
    lines: ["X-Forwarded-For: 10.1.1.1, 192.0.2.7"],
    client: "10.1.1.1",
  },
  "an IPv4 address in the form of IPv6 is that address": {
    trust: TRUST_RANGES,
    lines: ["X-Forwarded-For: 1.1.1.1, ::ffff:192.0.2.7"],
    client: "1.1.1.1",
  },
  "an address is written in one way": {
    trust: TRUST_RANGES,
    lines: ["X-Forwarded-For: 2001:DB8:0:0::0001"],
    client: "2001:db8::1",
  },
  "what is no address ends the search: the nearest that is known stands for it": {
    trust: TRUST_RANGES,
    lines: ["X-Forwarded-For: 1.1.1.1, unknown, 192.0.2.7"],
    client: "192.0.2.7",
  },
  "a trusted peer that tells no address": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["X-Forwarded-Proto: https"],
    url: "https://a.test/a",
    client: LOOPBACK,
  },
  "a trusted peer that tells nothing": { trust: TRUST_LOOPBACK, peer: LOOPBACK, lines: [], client: LOOPBACK },
  "a scheme that is none of HTTP's": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: javascript"],
    client: "1.1.1.1",
  },
  "the host is not believed unless that is asked for": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: b.test"],
    client: "1.1.1.1",
  },
  "the host is believed where that is asked for": {
    trust: { ...TRUST_LOOPBACK, host: true },
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: b.test:8443", "X-Forwarded-Proto: https"],
    url: "https://b.test:8443/a",
    client: "1.1.1.1",
  },
  "a host that is none by the grammar of Host is ignored": {
    trust: { ...TRUST_LOOPBACK, host: true },
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: user@b.test/path"],
    client: "1.1.1.1",
  },
  "a host that is none of a URL is ignored": {
    trust: { ...TRUST_LOOPBACK, host: true },
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: [:::]"],
    client: "1.1.1.1",
  },
  "Forwarded is not read where X-Forwarded is": {
    trust: TRUST_LOOPBACK,
    peer: LOOPBACK,
    lines: ["Forwarded: for=8.8.8.8;proto=https"],
    client: LOOPBACK,
  },
  "X-Forwarded is not read where Forwarded is": {
    trust: FORWARDED,
    peer: LOOPBACK,
    lines: ["X-Forwarded-For: 8.8.8.8", "X-Forwarded-Proto: https", "X-Forwarded-Host: c.test"],
    client: LOOPBACK,
  },
  "Forwarded tells address, scheme and host": {
    trust: FORWARDED,
    peer: LOOPBACK,
    lines: ['Forwarded: for=8.8.8.8, for="[2001:db8::7]:4711";proto=https;host="b.test:8443"'],
    url: "https://b.test:8443/a",
    client: "2001:db8::7",
  },
  "one proxy, whoever it is": {
    trust: { from: 1 },
    lines: ["X-Forwarded-For: 8.8.8.8, 1.1.1.1"],
    client: "1.1.1.1",
  },
  "two proxies, whoever they are": {
    trust: { from: 2 },
    lines: ["X-Forwarded-For: 8.8.8.8, 1.1.1.1, 10.0.0.3", "X-Forwarded-Proto: https, http"],
    url: "https://a.test/a",
    client: "1.1.1.1",
  },
  "fewer addresses than proxies": { trust: { from: 3 }, lines: ["X-Forwarded-For: 1.1.1.1"], client: "1.1.1.1" },
};

describe("the client of a request", () => {
  for (const [name, { trust, peer = PEER, lines, url = URL_AS_IT_CAME, client }] of Object.entries(CASES)) {
    test(name, async () => {
      assert.equal(
        await ask(trust, peer, lines),
        `${url} ${client} ${peer} ${client === "unix" ? "" : client}`,
      );
    });
  }

  test("does not change what limits by address count", async () => {
    const options = { trustProxy: TRUST_RANGES, maxConnectionsPerIp: 1 };
    const { runtime, clock } = await startMemoryServer(tell, options);
    const connect = async (client: string): Promise<string> => {
      const peer = runtime.connect();
      peer.send(get("/", `X-Forwarded-For: ${client}`));
      await clock.settle();
      return statuses(peer.received()).join();
    };
    assert.deepEqual([await connect("1.1.1.1"), await connect("2.2.2.2")], ["200", "503"]);
  });

  test("may ask for an https target over plain TCP where a trusted proxy says that it did so over TLS", async () => {
    const { runtime, clock } = await startMemoryServer(tell, { trustProxy: TRUST_RANGES });
    const request = (proto: string) =>
      `GET https://a.test/a HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: ${proto}\r\n\r\n`;
    const answers: number[] = [];
    for (const proto of ["https", "http"]) {
      const peer = runtime.connect();
      peer.send(request(proto));
      await clock.settle();
      answers.push(...statuses(peer.received()));
    }
    assert.deepEqual(answers, [200, 421]);
  });
});
