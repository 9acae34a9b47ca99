/**
 * Every error Trivet can meet: one table of codes, each with who is to blame and the status the peer gets.
 *
 * The table is the only place where a failure turns into a status code. A status of `null` means that nothing is
 * answered: the peer is gone, the final response has begun, or the error belongs to no request.
 *
 * It must not know where an error is met.
 *
 * @module
 */

/** Who is to blame for an error. */
export type Blame = "peer" | "handler" | "transport" | "timeout" | "overload" | "server";

/** What the table says of one code. */
interface ErrorEntry {
  readonly blame: Blame;
  readonly status: number | null;
}

/** The stable, kebab-case name of an error. */
export type ErrorCode =
  | "request-line-invalid"
  | "method-unsupported"
  | "request-target-invalid"
  | "request-target-too-long"
  | "misdirected"
  | "version-invalid"
  | "version-unsupported"
  | "field-line-invalid"
  | "field-section-too-large"
  | "too-many-field-lines"
  | "host-missing"
  | "host-repeated"
  | "host-invalid"
  | "content-length-invalid"
  | "content-length-repeated"
  | "content-length-with-transfer-encoding"
  | "transfer-encoding-invalid"
  | "transfer-encoding-in-http-1-0"
  | "transfer-coding-unknown"
  | "chunk-invalid"
  | "chunk-extensions-too-long"
  | "content-too-large"
  | "message-incomplete"
  | "expectation-unknown"
  | "peer-disconnected"
  | "proxy-header-invalid"
  | "tls-handshake-failed"
  | "head-timeout"
  | "content-timeout"
  | "data-rate-too-low"
  | "handler-timeout"
  | "write-timeout"
  | "shutdown-timeout"
  | "handler-failed"
  | "response-invalid"
  | "response-field-invalid"
  | "response-content-failed"
  | "response-content-length-mismatch"
  | "upgrade-not-requested"
  | "websocket-request-invalid"
  | "websocket-upgrade-required"
  | "websocket-origin-refused"
  | "websocket-violation"
  | "websocket-timeout"
  | "websocket-backlog"
  | "publish-backlog"
  | "too-late"
  | "thread-lost"
  | "thread-crashed"
  | "module-invalid"
  | "unhandled-rejection"
  | "connection-limit"
  | "queue-full"
  | "queue-timeout"
  | "draining"
  | "listen-failed"
  | "tls-invalid"
  | "accept-failed"
  | "log-failed"
  | "not-listening"
  | "internal-error";

const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorEntry>> = {
  // The peer sent what an RFC does not allow or Trivet refuses, does not read, or has gone.
  "request-line-invalid": { blame: "peer", status: 400 },
  "method-unsupported": { blame: "peer", status: 501 },
  "request-target-invalid": { blame: "peer", status: 400 },
  "request-target-too-long": { blame: "peer", status: 414 },
  "misdirected": { blame: "peer", status: 421 },
  "version-invalid": { blame: "peer", status: 400 },
  "version-unsupported": { blame: "peer", status: 505 },
  "field-line-invalid": { blame: "peer", status: 400 },
  "field-section-too-large": { blame: "peer", status: 431 },
  "too-many-field-lines": { blame: "peer", status: 431 },
  "host-missing": { blame: "peer", status: 400 },
  "host-repeated": { blame: "peer", status: 400 },
  "host-invalid": { blame: "peer", status: 400 },
  "content-length-invalid": { blame: "peer", status: 400 },
  "content-length-repeated": { blame: "peer", status: 400 },
  "content-length-with-transfer-encoding": { blame: "peer", status: 400 },
  "transfer-encoding-invalid": { blame: "peer", status: 400 },
  "transfer-encoding-in-http-1-0": { blame: "peer", status: 400 },
  "transfer-coding-unknown": { blame: "peer", status: 501 },
  "chunk-invalid": { blame: "peer", status: 400 },
  "chunk-extensions-too-long": { blame: "peer", status: 400 },
  "content-too-large": { blame: "peer", status: 413 },
  "message-incomplete": { blame: "peer", status: 400 },
  "expectation-unknown": { blame: "peer", status: 417 },
  "peer-disconnected": { blame: "peer", status: null },
  "proxy-header-invalid": { blame: "peer", status: null },
  "tls-handshake-failed": { blame: "peer", status: null },
  "websocket-request-invalid": { blame: "peer", status: 400 },
  "websocket-upgrade-required": { blame: "peer", status: 426 },
  "websocket-origin-refused": { blame: "peer", status: 403 },
  "websocket-violation": { blame: "peer", status: null },
  "websocket-backlog": { blame: "peer", status: null },

  // A deadline passed.
  "head-timeout": { blame: "timeout", status: 408 },
  "content-timeout": { blame: "timeout", status: 408 },
  "data-rate-too-low": { blame: "timeout", status: 408 },
  "handler-timeout": { blame: "timeout", status: 503 },
  "write-timeout": { blame: "timeout", status: null },
  "shutdown-timeout": { blame: "timeout", status: null },
  "websocket-timeout": { blame: "timeout", status: null },

  // The handler, or the response it made.
  "handler-failed": { blame: "handler", status: 500 },
  "response-invalid": { blame: "handler", status: 500 },
  "response-field-invalid": { blame: "handler", status: 500 },
  "response-content-failed": { blame: "handler", status: 500 },
  "response-content-length-mismatch": { blame: "handler", status: 500 },
  "upgrade-not-requested": { blame: "handler", status: 500 },
  "too-late": { blame: "handler", status: 500 },
  "thread-lost": { blame: "handler", status: 503 },
  "thread-crashed": { blame: "handler", status: null },
  "module-invalid": { blame: "handler", status: null },
  "unhandled-rejection": { blame: "handler", status: null },

  // More work than the server takes.
  "connection-limit": { blame: "overload", status: 503 },
  "queue-full": { blame: "overload", status: 503 },
  "queue-timeout": { blame: "overload", status: 503 },
  "draining": { blame: "overload", status: 503 },
  "publish-backlog": { blame: "overload", status: null },

  // The operating system or the runtime.
  "listen-failed": { blame: "transport", status: null },
  "tls-invalid": { blame: "transport", status: null },
  "accept-failed": { blame: "transport", status: null },
  "log-failed": { blame: "transport", status: null },
  "not-listening": { blame: "transport", status: null },

  // Trivet itself: a fault to report.
  "internal-error": { blame: "server", status: 500 },
};

/** Every code. */
export const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERROR_TABLE) as ErrorCode[];

/**
 * An error of the server, typed by who is to blame for it.
 *
 * `onError` receives these; a request whose content cannot be read to its end rejects with one.
 *
 * @example
 * ```ts
 * import { TrivetError } from "@trivet/http";
 *
 * const error = new TrivetError("content-too-large", "The content has 20 bytes, allowed are 10.");
 * console.assert(error.blame === "peer" && error.status === 413);
 * ```
 */
export class TrivetError extends Error {
  /** The stable name of this error. */
  readonly code: ErrorCode;
  /** Who is to blame. */
  readonly blame: Blame;
  /** The status code the peer gets, or `null` when no response can be sent. */
  readonly status: number | null;

  /**
   * Makes the error of a code.
   *
   * @param code The entry of the table.
   * @param message What was got and what was expected, in plain words; never bytes the peer sent.
   * @param options `cause`, where another error led to this one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    const entry = ERROR_TABLE[code];
    this.name = "TrivetError";
    this.code = code;
    this.blame = entry.blame;
    this.status = entry.status;
  }
}

/**
 * A thrown value as an error of this package: what it is already, or the cause of one.
 *
 * @param thrown Whatever it was. It need not let itself be looked at, as a Proxy that was revoked does not.
 */
export function toTrivetError(thrown: unknown, code: ErrorCode, message: string): TrivetError {
  try {
    if (thrown instanceof TrivetError) return thrown;
  } catch {
    // It is none.
  }
  return new TrivetError(code, message, { cause: thrown });
}
