/** IP addresses and ranges in text: what is one, how it is written, and what is in it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatIp, IpRanges, parseIp, whyNotRange } from "../../src/http/ip_address.ts";

/** What is given, and how the address that it stands for is written; `null` where it is none. */
const ADDRESSES: readonly (readonly [text: string, written: string | null])[] = [
  ["192.0.2.1", "192.0.2.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["256.0.0.1", null],
  ["1.2.3", null],
  ["1.2.3.4.5", null],
  ["1.2.3.4 ", null],
  ["", null],
  // Some read a zero in front as octal (CVE-2021-29921, CVE-2021-28918): 012.0.0.1 would be 10.0.0.1 there.
  ["012.0.0.1", null],
  ["0x7f.0.0.1", null],
  ["2130706433", null],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:DB8::0001", "2001:db8::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["1:2:3:4:5:6:7:8::", null],
  ["1:2:3:4:5:6:7", null],
  ["1:2:3:4:5:6:7:8:9", null],
  ["1::2::3", null],
  [":::", null],
  [":1", null],
  ["1:", null],
  ["12345::", null],
  ["g::", null],
  ["[::1]", null],
  ["fe80::1%eth0", null],
  // RFC 4291 section 2.5.5.2: the same address in the form of IPv6.
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::FFFF:c000:201", "192.0.2.1"],
  ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ["192.0.2.1::", null],
  ["::192.0.2.1:1", null],
  ["0".repeat(46), null],
];

describe("an IP address in text", () => {
  for (const [text, written] of ADDRESSES) {
    test(`${JSON.stringify(text.slice(0, 50))} ${written === null ? "is none" : `is ${written}`}`, () => {
      const address = parseIp(text);
      assert.equal(address === null ? null : formatIp(address), written);
    });
  }
});

const RANGES: readonly (readonly [range: string, address: string, isIn: boolean])[] = [
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.0.0.0/8", "::ffff:10.0.0.1", true],
  ["192.0.2.128/25", "192.0.2.129", true],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["192.0.2.7", "192.0.2.7", true],
  ["192.0.2.7", "192.0.2.8", false],
  ["192.0.2.7/32", "192.0.2.7", true],
  ["0.0.0.0/0", "203.0.113.9", true],
  ["0.0.0.0/0", "::1", false],
  ["::/0", "2001:db8::1", true],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["::1", "::1", true],
];

describe("a range of addresses", () => {
  for (const [range, address, isIn] of RANGES) {
    test(`${range} ${isIn ? "holds" : "does not hold"} ${address}`, () => {
      assert.equal(whyNotRange(range), null);
      assert.equal(new IpRanges([range]).includes(parseIp(address)!), isIn);
    });
  }

  for (
    const [range, why] of [
      ["10.0.0.1/8", /range that it is in is 10\.0\.0\.0\/8/],
      ["10.0.0.0/33", /at most 32/],
      ["::1/129", /at most 128/],
      ["10.0.0.0/", /no IP address/],
      ["10.0.0.0/08", /no IP address/],
      ["10.0.0.0/8/8", /no IP address/],
      ["localhost", /no IP address/],
    ] as const
  ) {
    test(`${range} is none, and it is said why`, () => assert.match(whyNotRange(range) ?? "", why));
  }
});
