/**
 * The head of a request, whatever version of HTTP carried it (RFC 9110 section 6).
 *
 * It holds what exchanges, models and threads need of a request, and nothing of its message framing or of the
 * connection: a version of HTTP that needs more extends it.
 *
 * @module
 */

import type { FieldSection } from "./field_section.ts";

/** The schemes of HTTP (RFC 9110 section 4.2). */
export type Scheme = "http" | "https";

/** The length of content that is only known when it has come. */
export const UNKNOWN_LENGTH = -1;

/** A request head that was found in order. */
export class RequestHead {
  /** The method, case-sensitive. */
  readonly method: string;
  /** The field lines of the header section; its Host is the authority of the target where that has one. */
  fields: FieldSection;
  /** The path and query of the target, or "*". */
  pathAndQuery: string;
  /** Whether the URL Standard leaves the path and query as they are. */
  isPlainTarget: boolean;
  /** The scheme that the target names; `null` where it names none, as most do. */
  scheme: Scheme | null = null;
  /** Host and port: of the target if it has them, else of Host; `null` where neither came. */
  authority: string | null = null;
  /** Bytes of the content, 0 where there is none, or {@linkcode UNKNOWN_LENGTH}. */
  contentLength = 0;
  /** Whether the peer waits for 100 (Continue) before it sends the content (RFC 9110 section 10.1.1). */
  expectsContinue = false;
  /** The value of Upgrade if the peer really asks for an upgrade, else `null` (RFC 9110 section 7.8). */
  upgrade: string | null = null;
  /** Whether the peer takes trailer fields (RFC 9110 section 10.1.4). */
  acceptsTrailers = false;

  /**
   * @param method The method.
   * @param target The path and query of the target.
   * @param isPlainTarget Whether the URL Standard leaves them as they are.
   * @param fields The field lines.
   */
  constructor(method: string, target: string, isPlainTarget: boolean, fields: FieldSection) {
    this.method = method;
    this.pathAndQuery = target;
    this.isPlainTarget = isPlainTarget;
    this.fields = fields;
  }

  /** The version of the protocol it came in, as logs name it; `null` where it was not told, as on another thread. */
  get protocol(): string | null {
    return null;
  }
}
