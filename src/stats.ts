/**
 * What `stats()` reports.
 *
 * @module
 */

/** A snapshot of a server's counts. */
export interface ServerStats {
  /** What the server is doing. */
  readonly state: "starting" | "listening" | "draining" | "stopped";
  /** Whether a graceful stop is under way: new requests get a 503. */
  readonly draining: boolean;
  /** The concurrency model. */
  readonly model: string;
  /** Milliseconds since the server was made. */
  readonly uptimeMs: number;
  /** Connections. */
  readonly connections: {
    /** Open now. */
    readonly open: number;
    /** Accepted since the start. */
    readonly accepted: number;
    /** Of these, answered with 503 because of a limit. */
    readonly refused: number;
  };
  /** Requests whose head was read, since the start. */
  readonly requests: number;
  /** Exchanges in flight now. */
  readonly activeExchanges: number;
  /** Bytes read from peers. */
  readonly bytesReceived: number;
  /** Bytes handed to the transport. */
  readonly bytesSent: number;
  /** Errors since the start, by code. */
  readonly errors: Readonly<Record<string, number>>;
}
