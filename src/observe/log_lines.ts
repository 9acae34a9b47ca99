/**
 * How a request looks as a line of a log.
 *
 * Whatever a client has sent is written so that it can neither end the line and forge another one, nor end a quoted
 * string, nor be taken for an order by a terminal (CWE-117, CWE-150): only printable ASCII is left as it is. It must
 * not know where lines go.
 *
 * @module
 */

import type { AccessLogEntry, AccessLogFormat } from "../api/access_log.ts";

/** Makes a line of a request, without a line feed. */
export type LineMaker = (entry: AccessLogEntry) => string;

/** What nginx writes for a client that has left before there was a response; tools know it. */
const CLIENT_CLOSED_REQUEST = 499;

/** Makes the lines of a format. */
export function lineMaker(format: AccessLogFormat, takesColour: boolean): LineMaker {
  switch (format) {
    case "common":
      return makeCommonLine;
    case "combined":
      return (entry) => `${makeCommonLine(entry)} ${quote(entry.referer)} ${quote(entry.userAgent)}`;
    case "json":
      return makeJsonLine;
    case "short":
      return (entry) => makeShortLine(entry, takesColour);
  }
}

function makeCommonLine(entry: AccessLogEntry): string {
  const { remoteAddress, time, status, bytes } = entry;
  const shown = status === 0 ? CLIENT_CLOSED_REQUEST : status;
  return `${escape(remoteAddress)} - - [${formatCommonTime(time)}] "${requestLine(entry)}" ${shown} ${bytes}`;
}

function requestLine({ method, target, protocol }: AccessLogEntry): string {
  return method === null ? "-" : `${escape(method)} ${escape(target ?? "-")} ${protocol}`;
}

/**
 * JSON may have any character but the control characters of ASCII as it is; those of Latin-1 mean as much to terminals.
 */
function makeJsonLine(entry: AccessLogEntry): string {
  const { time, ...rest } = entry;
  const line = JSON.stringify({ time: new Date(time).toISOString(), ...rest });
  return line.replace(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const GREEN = 32;
const YELLOW = 33;
const RED = 31;
const CYAN = 36;

function makeShortLine(entry: AccessLogEntry, takesColour: boolean): string {
  const { time, status, method, target, durationMs, bytes, aborted, error } = entry;
  const shown = status === 0 ? "---" : String(status);
  const painted = takesColour ? `\x1b[${colourOf(status, aborted)}m${shown}\x1b[0m` : shown;
  const what = method === null ? `(${error})` : `${escape(method)} ${escape(target ?? "-")}`;
  const end = aborted ? " (not sent whole)" : "";
  return `${formatTimeOfDay(time)} ${painted} ${what} ${durationMs.toFixed(1)} ms ${bytes} B${end}`;
}

function colourOf(status: number, aborted: boolean): number {
  if (status >= 500 || aborted) return RED;
  if (status >= 400) return YELLOW;
  return status >= 300 || status < 200 ? CYAN : GREEN;
}

function quote(value: string | null): string {
  return `"${value === null ? "-" : escape(value)}"`;
}

/**
 * Printable ASCII but the quotation mark and the backslash is left as it is; other bytes are written as Apache does.
 */
function escape(text: string): string {
  return text.replace(/[^ !#-[\]-~]/g, escapeChar);
}

function escapeChar(char: string): string {
  if (char === '"' || char === "\\") return `\\${char}`;
  const code = char.charCodeAt(0);
  return code > 0xff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\x${code.toString(16).padStart(2, "0")}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
let lastSecond = -1;
let lastCommonTime = "";

/** As in "10/Oct/2026:13:55:36 +0000": always UTC. Made once a second. */
function formatCommonTime(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== lastSecond) {
    const [date, time] = new Date(second * 1000).toISOString().slice(0, 19).split("T");
    const [year, month, day] = date.split("-");
    lastCommonTime = `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
    lastSecond = second;
  }
  return lastCommonTime;
}

/** The time of the local clock. */
function formatTimeOfDay(timeMs: number): string {
  const date = new Date(timeMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}
