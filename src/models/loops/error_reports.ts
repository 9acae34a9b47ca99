/**
 * Errors of another event loop, told to the user's `onError` on the thread where it was set.
 *
 * It decides what of a request and of a response crosses between the two threads. It must not know which loop it is.
 *
 * @module
 */

import { TrivetError } from "../../api/errors.ts";
import { restoreTrivetError } from "../../threads/error_copy.ts";
import { nativeResponse } from "../../web/native_body.ts";
import { readResponse } from "../../web/read_response.ts";
import type { FromLoop, RequestCopy, ResponseCopy } from "./loop_protocol.ts";

/**
 * Calls `onError` for an error of another loop. It never rejects.
 *
 * @returns What it has given, or `null` when the standard response is to be sent.
 */
export async function answerReport(
  { error, request }: FromLoop & { kind: "error" },
  onError: ((error: TrivetError, request?: Request) => Response | Promise<Response> | void) | undefined,
  reportError: (error: TrivetError) => void,
): Promise<ResponseCopy | null> {
  try {
    const given = await onError?.(restoreTrivetError(error), request === null ? undefined : restoreRequest(request));
    return given === undefined ? null : await copyResponse(given);
  } catch (cause) {
    // The user's own report has failed; its cause is the user's to see, and the peer still gets a response.
    reportError(new TrivetError("handler-failed", "onError has failed for an error of another loop.", { cause }));
    return null;
  }
}

/** What is told of a request. */
export function copyRequest(request: Request | undefined): RequestCopy | null {
  if (request === undefined) return null;
  return { method: request.method, url: request.url, fields: [...request.headers] };
}

function restoreRequest({ method, url, fields }: RequestCopy): Request {
  return new Request(url, { method, headers: fields.map(([name, value]) => [name, value]) });
}

async function copyResponse(response: Response): Promise<ResponseCopy> {
  const { status, statusText, fields: lines, content } = await readResponse(response);
  const fields: [string, string][] = [];
  for (let i = 0; i < lines.length; i += 2) fields.push([lines[i], lines[i + 1]]);
  const held = new (nativeResponse())(content as BodyInit | null);
  return { status, statusText, fields, content: content === null ? null : new Uint8Array(await held.arrayBuffer()) };
}
