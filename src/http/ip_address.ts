/**
 * IP addresses and ranges of them, in text.
 *
 * It decides what is an address (RFC 4291 section 2.2, RFC 6943 section 3.1.1) and whether it is in a range (RFC 4632).
 * It must not know clients and proxies.
 *
 * @module
 */

/**
 * An address as eight groups of 16 bits, the form of IPv6. An IPv4 address is the IPv6 address that stands for it
 * (RFC 4291 section 2.5.5.2), so that both forms of it are the same.
 */
export type IpAddress = readonly number[];

const GROUP_COUNT = 8;
const GROUP_BITS = 16;
/** The groups before the IPv4 address, and their bits. */
const IPV4_PREFIX: IpAddress = [0, 0, 0, 0, 0, 0xffff];
const IPV4_PREFIX_BITS = 96;

/** Four decimal numbers. None has a zero in front: some read that as octal (CVE-2021-29921 and its like). */
const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const IPV6_GROUP = /^[0-9a-f]{1,4}$/i;
/** The longest IPv6 address in text. */
const MAX_TEXT_LENGTH = 45;

/** Reads an address, without brackets, port or zone; `null` where it is none. */
export function parseIp(text: string): IpAddress | null {
  if (text.length > MAX_TEXT_LENGTH) return null;
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Whether an address stands for one of IPv4. */
function isIpv4(address: IpAddress): boolean {
  return IPV4_PREFIX.every((group, at) => address[at] === group);
}

/** The one way to write an address: IPv4 with dots, IPv6 as RFC 5952 has it. */
export function formatIp(address: IpAddress): string {
  if (isIpv4(address)) {
    return [address[6] >> 8, address[6] & 0xff, address[7] >> 8, address[7] & 0xff].join(".");
  }
  const { start, length } = longestZeros(address);
  const write = (groups: IpAddress): string => groups.map((group) => group.toString(16)).join(":");
  if (length < 2) return write(address);
  return `${write(address.slice(0, start))}::${write(address.slice(start + length))}`;
}

function parseIpv4(text: string): IpAddress | null {
  const match = IPV4.exec(text);
  if (match === null) return null;
  const [a, b, c, d] = match.slice(1).map(Number);
  return Math.max(a, b, c, d) > 255 ? null : [...IPV4_PREFIX, a << 8 | b, c << 8 | d];
}

function parseIpv6(text: string): IpAddress | null {
  const [left, right, ...more] = text.split("::");
  if (more.length > 0) return null;
  const before = parseGroups(left, right === undefined);
  const after = right === undefined ? [] : parseGroups(right, true);
  if (before === null || after === null) return null;
  const missing = GROUP_COUNT - before.length - after.length;
  // "::" stands for at least one group.
  if (right === undefined ? missing !== 0 : missing < 1) return null;
  return [...before, ...Array<number>(missing).fill(0), ...after];
}

/** Groups with colons between them; the last two may be written as an IPv4 address where nothing follows. */
function parseGroups(text: string, isLast: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    if (IPV6_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const embedded = isLast && at === parts.length - 1 ? parseIpv4(part) : null;
    if (embedded === null) return null;
    groups.push(embedded[6], embedded[7]);
  }
  return groups;
}

/** The first of the longest runs of groups that are zero. */
function longestZeros(address: IpAddress): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  for (let start = 0; start < GROUP_COUNT; start++) {
    let end = start;
    while (end < GROUP_COUNT && address[end] === 0) end++;
    if (end - start > longest.length) longest = { start, length: end - start };
  }
  return longest;
}

/** All addresses that begin with the same bits. */
interface IpRange {
  readonly address: IpAddress;
  readonly prefixBits: number;
}

const CIDR = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/;

/** What is wrong with a range in text, in a few words that follow "which"; `null` where it is in order. */
export function whyNotRange(text: string): string | null {
  const range = parseRange(text);
  return typeof range === "string" ? range : null;
}

function parseRange(text: string): IpRange | string {
  const match = CIDR.exec(text);
  const address = match === null ? null : parseIp(match[1]);
  if (match === null || address === null) return "is no IP address and no range like 10.0.0.0/8 or fd00::/8";
  const isShort = !match[1].includes(":");
  const longest = isShort ? 32 : 128;
  const given = match[2] === undefined ? longest : Number(match[2]);
  if (given > longest) return `has a prefix of ${given} bits, at most ${longest} are possible`;
  const prefixBits = isShort ? given + IPV4_PREFIX_BITS : given;
  const first = address.map((group, at) => group & maskOf(prefixBits, at));
  if (first.some((group, at) => group !== address[at])) {
    return `has bits behind its prefix; the range that it is in is ${formatIp(first)}/${given}`;
  }
  return { address, prefixBits };
}

/** Which bits of a group belong to a prefix. */
function maskOf(prefixBits: number, at: number): number {
  const bits = Math.max(0, Math.min(GROUP_BITS, prefixBits - at * GROUP_BITS));
  return 0xffff << (GROUP_BITS - bits) & 0xffff;
}

/** Several ranges. */
export class IpRanges {
  readonly #ranges: readonly IpRange[];

  /** @param ranges Ranges in which nothing is wrong, see {@linkcode whyNotRange}; others hold no address. */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map(parseRange).filter((range) => typeof range !== "string");
  }

  /** Whether an address is in one of them. */
  includes(address: IpAddress): boolean {
    return this.#ranges.some(({ address: first, prefixBits }) =>
      first.every((group, at) => group === (address[at] & maskOf(prefixBits, at)))
    );
  }
}

/** `authority = host ":" port`, where an IPv6 address stands in brackets (RFC 3986 section 3.2.2). */
export function composeAuthority(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
