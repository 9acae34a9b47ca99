/**
 * Requests as bytes, good and bad, each with the statuses it must get: what no browser would send.
 *
 * @module
 */

/** One conversation. */
export interface WireCase {
  /** Its name in URLs. */
  readonly id: string;
  /** Whether the requests are good ones, which are served, or at least one is not. */
  readonly kind: "served" | "refused";
  /** What is special about the request, in a few words. */
  readonly title: string;
  /** Why it is answered so. */
  readonly reason: string;
  /** Where it is said. */
  readonly section: string;
  /** The status codes of the responses, in order. */
  readonly statuses: readonly number[];
  /** What is sent, piece by piece. */
  readonly pieces: readonly string[];
}

/** A head whose connection closes after the response, so that the conversation has an end. */
function head(requestLine: string, ...fieldLines: readonly string[]): string {
  return [requestLine, "Host: localhost", ...fieldLines, "Connection: close", "", ""].join("\r\n");
}

const SERVED: readonly Omit<WireCase, "kind">[] = [
  {
    id: "pipelined",
    title: "Three requests in one packet",
    reason: "They are answered in order, and the responses leave together.",
    section: "RFC 9112, section 9.3.2",
    statuses: [200, 404, 200],
    pieces: [
      "GET /api/ping HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" +
      head("GET /api/ping HTTP/1.1"),
    ],
  },
  {
    id: "pieces",
    title: "A head cut to pieces",
    reason: "However the bytes arrive, the result is the same.",
    section: "RFC 9112, section 2.2",
    statuses: [200],
    pieces: head("GET /api/ping HTTP/1.1").match(/[^]{1,12}/g)!,
  },
  {
    id: "continue",
    title: "Ask before sending",
    reason: "100 Continue is sent when the handler begins to read, not before.",
    section: "RFC 9110, section 10.1.1",
    statuses: [100, 200],
    pieces: [head("POST /api/length HTTP/1.1", "Expect: 100-continue", "Content-Length: 6"), "hello\n"],
  },
  {
    id: "chunked",
    title: "Chunks and trailers",
    reason: "The echo digests what it passes on, and says the digest in the trailer section.",
    section: "RFC 9112, section 7.1",
    statuses: [200],
    pieces: [
      "POST /api/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n" +
      "Connection: close, TE\r\n\r\n",
      "f\r\nA trivet stands\r\n",
      "f\r\n on three legs.\r\n0\r\n\r\n",
    ],
  },
  {
    id: "hints",
    title: "Early hints",
    reason: "A handler can send informational responses before the final one.",
    section: "RFC 8297",
    statuses: [103, 200],
    pieces: [head("GET /api/hints HTTP/1.1")],
  },
  {
    id: "head",
    title: "HEAD",
    reason: "The fields of a GET, and no content.",
    section: "RFC 9110, section 9.3.2",
    statuses: [200],
    pieces: [head("HEAD /api/time HTTP/1.1")],
  },
  {
    id: "old",
    title: "HTTP/1.0, without Host",
    reason: "Answered in words it knows; a stream would end with the connection.",
    section: "RFC 9112, appendix C.2.1",
    statuses: [200],
    pieces: ["GET /api/ping HTTP/1.0\r\n\r\n"],
  },
];

const REFUSED: readonly Omit<WireCase, "kind">[] = [
  {
    id: "smuggling",
    title: "Two lengths: Content-Length and chunked",
    reason: "The classic of request smuggling.",
    section: "RFC 9112, section 6.1",
    statuses: [400],
    pieces: [
      head("POST /api/echo HTTP/1.1", "Content-Length: 6", "Transfer-Encoding: chunked") +
      "0\r\n\r\nGET /admin HTTP/1.1\r\n",
    ],
  },
  {
    id: "lengths",
    title: "Content-Length, twice and different",
    reason: "Nobody can tell where the message ends.",
    section: "RFC 9112, section 6.3",
    statuses: [400],
    pieces: [head("POST /api/echo HTTP/1.1", "Content-Length: 5", "Content-Length: 6") + "hello"],
  },
  {
    id: "chunk",
    title: "A chunk size that is no number",
    reason: "The handler has the first chunk already; the rest fails.",
    section: "RFC 9112, section 7.1",
    statuses: [400],
    pieces: [
      head("POST /api/length HTTP/1.1", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0x5\r\nworld\r\n0\r\n\r\n",
    ],
  },
  {
    id: "colon",
    title: "A space before the colon",
    reason: "Some see a field here, some do not: another way to smuggle.",
    section: "RFC 9112, section 5.1",
    statuses: [400],
    pieces: [head("POST /api/echo HTTP/1.1", "Content-Length : 5") + "hello"],
  },
  {
    id: "fold",
    title: "A folded field line",
    reason: "Obsolete, and read differently by different servers.",
    section: "RFC 9112, section 5.2",
    statuses: [400],
    pieces: [head("GET /api/ping HTTP/1.1", "X-Note: one,", "  two")],
  },
  {
    id: "lf",
    title: "Lines that end in a bare LF",
    reason: "One way to end a line is enough.",
    section: "RFC 9112, section 2.2",
    statuses: [400],
    pieces: ["GET /api/ping HTTP/1.1\nHost: localhost\n\n"],
  },
  {
    id: "host",
    title: "No Host",
    reason: "An HTTP/1.1 request must have one.",
    section: "RFC 9112, section 3.2",
    statuses: [400],
    pieces: ["GET /api/ping HTTP/1.1\r\nConnection: close\r\n\r\n"],
  },
  {
    id: "slow",
    title: "A head that never ends",
    reason: "This server gives it five seconds.",
    section: "RFC 9110, section 15.5.9",
    statuses: [408],
    pieces: ["GET /api/ping HTTP/1.1\r\nHost: local"],
  },
  {
    id: "large",
    title: "A terabyte, announced",
    reason: "Too large is known from the head.",
    section: "RFC 9110, section 15.5.14",
    statuses: [413],
    pieces: [head("POST /api/echo HTTP/1.1", "Content-Length: 1000000000000")],
  },
  {
    id: "target",
    title: "A request-target of 9,000 letters",
    reason: "Allowed are 8 KiB.",
    section: "RFC 9110, section 15.5.15",
    statuses: [414],
    pieces: [head(`GET /${"a".repeat(9_000)} HTTP/1.1`)],
  },
  {
    id: "expectation",
    title: "An expectation nobody knows",
    reason: "Only 100-continue is defined.",
    section: "RFC 9110, section 10.1.1",
    statuses: [417],
    pieces: [head("GET /api/ping HTTP/1.1", "Expect: miracles")],
  },
  {
    id: "fields",
    title: "A hundred and one field lines",
    reason: "Allowed are a hundred.",
    section: "RFC 6585, section 5",
    statuses: [431],
    pieces: [head("GET /api/ping HTTP/1.1", ...Array.from({ length: 99 }, (_, i) => `X-${i}: ${i}`))],
  },
  {
    id: "failing",
    title: "A handler that throws",
    reason: "It costs one response; the server goes on.",
    section: "RFC 9110, section 15.6.1",
    statuses: [500],
    pieces: [head("GET /api/failing HTTP/1.1")],
  },
  {
    id: "coding",
    title: "A transfer coding nobody has",
    reason: "Content in an unknown coding cannot be read to its end.",
    section: "RFC 9112, section 6.1",
    statuses: [501],
    pieces: [head("POST /api/echo HTTP/1.1", "Transfer-Encoding: rot13, chunked") + "0\r\n\r\n"],
  },
  {
    id: "version",
    title: "HTTP/9.0",
    reason: "Not yet.",
    section: "RFC 9110, section 15.6.6",
    statuses: [505],
    pieces: [head("GET /api/ping HTTP/9.0")],
  },
];

/** Every conversation, those that go well first. */
export const WIRE_CASES: readonly WireCase[] = [
  ...SERVED.map((served) => ({ kind: "served" as const, ...served })),
  ...REFUSED.map((refused) => ({ kind: "refused" as const, ...refused })),
];
