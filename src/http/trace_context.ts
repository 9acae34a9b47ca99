/**
 * The fields `traceparent` and `tracestate` (W3C Trace Context, Level 1, the recommendation of 23 November 2021).
 *
 * It decides what is a trace context: one that is wrong in any way is none, and a state that is wrong is none without
 * making the rest so (section 3.3). It must not know what is traced.
 *
 * @module
 */

import type { FieldSection } from "./field_section.ts";

/** What a request says of the trace it is part of. */
export interface TraceContext {
  /** The number of the trace: 32 hexadecimal digits in lower case, not all 0. */
  readonly traceId: string;
  /** The number of the client's span, which a span of this request has for its parent: 16 digits, not all 0. */
  readonly parentId: string;
  /** Whether the client may have recorded the trace, and so recommends to record it. */
  readonly isSampled: boolean;
  /** The flags as they came: 8 bits, of which only the lowest, "sampled", has a meaning in Level 1. */
  readonly flags: number;
  /** What tracing systems have to say, as it came; `null` where nothing did, or nothing that is in order. */
  readonly state: string | null;
}

/**
 * `version "-" trace-id "-" parent-id "-" trace-flags`, and behind that what later versions may have (section 3.2.2).
 */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;

/** `list-member = key "=" value`, with the two forms of a key (section 3.3.1.3). */
const LIST_MEMBER =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;
const MAX_LIST_MEMBERS = 32;

/** Reads the trace context of a request; `null` where there is none in order. */
export function readTraceContext(fields: FieldSection): TraceContext | null {
  // Several fields of the name are joined by a comma, which makes them wrong.
  const match = TRACEPARENT.exec(fields.get("traceparent") ?? "");
  if (match === null) return null;
  const [, version, traceId, parentId, flags, rest] = match;
  if (version === "ff" || (version === "00" && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null;
  const bits = Number.parseInt(flags, 16);
  return { traceId, parentId, isSampled: (bits & 1) === 1, flags: bits, state: readState(fields.get("tracestate")) };
}

/** A list in which members may be empty and have white space around them, and each key occurs once. */
function readState(state: string | null): string | null {
  if (state === null) return null;
  const keys = new Set<string>();
  for (const member of state.split(",")) {
    const trimmed = member.replace(/^[ \t]+|[ \t]+$/g, "");
    if (trimmed === "") continue;
    if (!LIST_MEMBER.test(trimmed)) return null;
    const key = trimmed.slice(0, trimmed.indexOf("="));
    if (keys.has(key)) return null;
    keys.add(key);
  }
  return keys.size === 0 || keys.size > MAX_LIST_MEMBERS ? null : state;
}
