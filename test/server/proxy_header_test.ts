/**
 * The header of the PROXY protocol, versions 1 and 2: whose address it tells, where it ends, and what is none.
 *
 * The rows with a CVE are what has broken other implementations.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import { type ProxyHeader, readProxyHeader } from "../../src/server/proxy_header.ts";
import { latin1 } from "../support/parse_requests.ts";

/** An address with its port, null where the socket's stays, or what is wrong with the header. */
type Expected = string | null | RegExp;

const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const IPV4_ADDRESSES = "\xc0\0\x02\x01\xc6\x33\x64\x01\x30\x39\x01\xbb";
const IPV6_ADDRESSES = `\x20\x01\x0d\xb8${"\0".repeat(11)}\x01${"\0".repeat(15)}\x01\x30\x39\x01\xbb`;

/** A header of version 2: version and command, family, what its length says, and what follows. */
function v2(command: number, family: number, rest: string, saidBytes = rest.length): string {
  return SIGNATURE + String.fromCharCode(command, family, saidBytes >> 8, saidBytes & 0xff) + rest;
}

const HEADERS: Readonly<Record<string, readonly [header: string, expected: Expected]>> = {
  // Version 1, section 2.1.
  "version 1 over IPv4": ["PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n", "192.0.2.1 12345"],
  "version 1 over IPv6": ["PROXY TCP6 2001:DB8:0::1 ::1 12345 443\r\n", "2001:db8::1 12345"],
  "version 1, unknown": ["PROXY UNKNOWN\r\n", null],
  "version 1, unknown with addresses": ["PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", null],
  "version 1 with the highest port": ["PROXY TCP4 192.0.2.1 198.51.100.1 65535 65535\r\n", "192.0.2.1 65535"],
  "version 1 with a port that is too high": ["PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", /above 65535/],
  "version 1 with a negative port": ["PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n", /form/],
  "version 1 with a port that begins with a zero": ["PROXY TCP4 192.0.2.1 198.51.100.1 080 443\r\n", /form/],
  "version 1 with a port in hexadecimal": ["PROXY TCP4 192.0.2.1 198.51.100.1 0x50 443\r\n", /form/],
  "version 1 with an address in octal": ["PROXY TCP4 0300.0.2.1 198.51.100.1 80 443\r\n", /family/],
  "version 1 with an address of another family": ["PROXY TCP4 ::1 ::1 80 443\r\n", /family/],
  "version 1 with two addresses of different families": ["PROXY TCP6 ::1 192.0.2.1 80 443\r\n", /family/],
  "version 1 with a name in place of an address": ["PROXY TCP4 localhost 192.0.2.1 80 443\r\n", /form/],
  "version 1 with two spaces": ["PROXY TCP4  192.0.2.1 198.51.100.1 80 443\r\n", /form/],
  "version 1 with a space at its end": ["PROXY TCP4 192.0.2.1 198.51.100.1 80 443 \r\n", /form/],
  "version 1 without ports": ["PROXY TCP4 192.0.2.1 198.51.100.1\r\n", /form/],
  "version 1 with UDP": ["PROXY UDP4 192.0.2.1 198.51.100.1 80 443\r\n", /form/],
  "version 1 in small letters": ["proxy TCP4 192.0.2.1 198.51.100.1 80 443\r\n", /does not begin/],
  "version 1 with a line feed alone": [
    `PROXY TCP4 192.0.2.1 198.51.100.1 80 443\n${"x".repeat(80)}`,
    /longer than 107/,
  ],
  "version 1 with a carriage return alone": ["PROXY TCP4 192.0.2.1 198.51.100.1 80 443\rGET", /end with CR and LF/],
  "version 1 with NUL": ["PROXY TCP4 192.0.2.1\0 198.51.100.1 80 443\r\n", /form/],
  "version 1 with a byte that is not ASCII": ["PROXY UNKNOWN \xff\r\n", /form/],
  "version 1 of 107 bytes": [`PROXY UNKNOWN ${"x".repeat(91)}\r\n`, null],
  "version 1 whose 107 bytes have no end": [`PROXY UNKNOWN ${"x".repeat(93)}`, /longer than 107/],
  "version 1 of 108 bytes": [`PROXY UNKNOWN ${"x".repeat(92)}\r\n`, /longer than 107/],
  "version 1 that never ends, CVE-2021-23351 (go-proxyproto: memory without bound)": [
    `PROXY TCP4 ${"1".repeat(200)}`,
    /longer than 107/,
  ],
  "version 1 with words of any length, CVE-2019-10097 (httpd: a buffer on the stack)": [
    `PROXY TCP4 ${"9".repeat(60)} 1.1.1.1 1 1\r\n`,
    /family/,
  ],
  // Version 2, section 2.2.
  "version 2 over IPv4": [v2(0x21, 0x11, IPV4_ADDRESSES), "192.0.2.1 12345"],
  "version 2 over IPv6": [v2(0x21, 0x21, IPV6_ADDRESSES), "2001:db8::1 12345"],
  "version 2 over a Unix domain socket": [v2(0x21, 0x31, `/run/a.sock${"\0".repeat(205)}`), "unix"],
  "version 2 with what is not looked at behind its addresses": [
    v2(0x21, 0x11, `${IPV4_ADDRESSES}\x04\0\x02ab`),
    "192.0.2.1 12345",
  ],
  "version 2, unspecified": [v2(0x21, 0x00, ""), null],
  "version 2, unspecified, with something behind it": [v2(0x21, 0x00, "abc"), null],
  "version 2, local": [v2(0x20, 0x00, ""), null],
  "version 2, local, with addresses, CVE-2024-23327 (Envoy: a crash)": [v2(0x20, 0x11, IPV4_ADDRESSES), null],
  "version 2, local, of an unknown family": [v2(0x20, 0xff, "abc"), null],
  "version 2 with an unknown family, CVE-2024-23325 (Envoy: a crash)": [v2(0x21, 0x41, IPV4_ADDRESSES), /neither TCP/],
  "version 2 over UDP, on what is a stream": [v2(0x21, 0x12, IPV4_ADDRESSES), /neither TCP/],
  "version 2 with an unknown command": [v2(0x22, 0x11, IPV4_ADDRESSES), /unknown command/],
  "version 3": [v2(0x31, 0x11, IPV4_ADDRESSES), /version that is not 2/],
  "version 2 that is shorter than its IPv4 addresses": [v2(0x21, 0x11, IPV4_ADDRESSES.slice(1)), /shorter than/],
  "version 2 that is shorter than its IPv6 addresses": [v2(0x21, 0x21, IPV4_ADDRESSES), /shorter than/],
  "version 2 that is shorter than its paths": [v2(0x21, 0x31, IPV6_ADDRESSES), /shorter than/],
  "version 2 without addresses": [v2(0x21, 0x11, ""), /shorter than/],
  "version 2 whose additions claim more than there is, CVE-2020-11653 (Varnish: an assertion)": [
    v2(0x21, 0x11, `${IPV4_ADDRESSES}\x20\xff\xff\x01`),
    "192.0.2.1 12345",
  ],
  "version 2 of 4,096 bytes": [v2(0x21, 0x11, IPV4_ADDRESSES + "x".repeat(4_096 - 28)), "192.0.2.1 12345"],
  "version 2 of 4,097 bytes": [v2(0x21, 0x11, "", 4_097 - 16), /longer than 4096/],
  "version 2 of 65,551 bytes": [v2(0x21, 0x11, "", 0xffff), /longer than 4096/],
  "a wrong signature": ["\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c", /does not begin/],
  "a request of HTTP": ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", /does not begin/],
  "a TLS handshake": ["\x16\x03\x01\x02\0\x01", /does not begin/],
};

function read(bytes: string): ProxyHeader | null | TrivetError {
  try {
    return readProxyHeader(latin1(bytes));
  } catch (error) {
    assert.ok(error instanceof TrivetError);
    return error;
  }
}

/** What is read of all bytes at once, or `null` while more are needed. */
function describeRead(bytes: string): string | null {
  const header = read(bytes);
  if (header === null) return null;
  if (header instanceof TrivetError) return `${header.code}: ${header.message}`;
  const { source } = header;
  const told = source === null
    ? "the socket's"
    : source.transport === "unix"
    ? "unix"
    : `${source.hostname} ${source.port}`;
  return `${told}, ${header.byteLength} bytes`;
}

describe("a PROXY header", () => {
  for (const [name, [header, expected]] of Object.entries(HEADERS)) {
    test(name, () => {
      const got = describeRead(header);
      if (expected instanceof RegExp) {
        assert.match(got ?? "", /^proxy-header-invalid: /);
        assert.match(got ?? "", expected);
      } else assert.equal(got, `${expected ?? "the socket's"}, ${header.length} bytes`);
    });
  }

  test("tells the same however its bytes are split, and is not whole before its last one", () => {
    for (const [name, [header, expected]] of Object.entries(HEADERS)) {
      const whole = describeRead(header);
      for (let length = 0; length < header.length; length++) {
        const part = describeRead(header.slice(0, length));
        if (expected instanceof RegExp) assert.ok(part === null || part.startsWith("proxy-header-invalid"), name);
        else assert.equal(part, null, `${name}, ${length} bytes`);
      }
      assert.equal(describeRead(`${header}GET / HTTP/1.1`), whole, name);
    }
  });
});
