/**
 * What an access log is told of a request: types only.
 *
 * @module
 */

/**
 * How a line looks.
 *
 * - `"common"`: the Common Log Format of the first web servers, which every tool reads.
 * - `"combined"`: the same with Referer and User-Agent behind it, as nginx and Apache write by default.
 * - `"json"`: one object a line, with every member of {@linkcode AccessLogEntry} that there is.
 * - `"short"`: time of day, status, method, target, duration and bytes, for reading on a screen; coloured on a terminal.
 */
export type AccessLogFormat = "common" | "combined" | "json" | "short";

/** A format, and where lines go. */
export interface AccessLogOptions {
  /** Default `"combined"`; on a terminal `"short"`. */
  readonly format?: AccessLogFormat | undefined;
  /**
   * The path of a file that lines are appended to. It is made if it is not there, and made anew when it was renamed or
   * removed. One that can't be opened fails the start with `log-failed`. Default: standard output.
   */
  readonly file?: string | undefined;
}

/**
 * One request, when its response has ended.
 *
 * What a client has sent is here as it came, as char codes of its bytes: escape it before it goes into a file or to a
 * terminal, as the formats do.
 */
export interface AccessLogEntry {
  /** When the request had begun, in whole milliseconds since 1970-01-01 UTC. */
  readonly time: number;
  /** The IP address of the client; `"unix:"` on a Unix domain socket. */
  readonly remoteAddress: string;
  /** The method; `null` when no request could be read. */
  readonly method: string | null;
  /** The path and query that were asked for; `null` when no request could be read. */
  readonly target: string | null;
  /** The version of the protocol, such as `"HTTP/1.1"`; `null` when no request could be read. */
  readonly protocol: string | null;
  /** The status code that was sent; 0 when the client had left before, or the connection was cut off. */
  readonly status: number;
  /** Bytes of content that were gathered for sending, without their framing. */
  readonly bytes: number;
  /**
   * Milliseconds, with three decimals, from the end of the request's head until the last byte of the response was
   * gathered for sending.
   */
  readonly durationMs: number;
  /** The field Referer; `null` where it did not come. */
  readonly referer: string | null;
  /** The field User-Agent; `null` where it did not come. */
  readonly userAgent: string | null;
  /** Whether the response could not be sent whole. */
  readonly aborted: boolean;
  /**
   * The code of the error that was answered where no request could be read, or a connection was refused; else `null`.
   */
  readonly error: string | null;
}

/**
 * Where requests are logged: `true` is a short line on a terminal and `"combined"` elsewhere; a function is called with
 * each, soon after its response has ended.
 */
export type AccessLog = boolean | AccessLogFormat | AccessLogOptions | ((entry: AccessLogEntry) => void);
