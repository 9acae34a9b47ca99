/**
 * What both lazy classes ask of the native `Response` that holds their content.
 *
 * It knows which native class holds content and what that class can tell: whether a body was disturbed or is locked is
 * known to native objects alone. It must not know requests and responses of HTTP.
 *
 * @module
 */

let NativeResponse: typeof Response | null = null;

/** The runtime's own class `Response`, whatever its global name means later. Its first use loads it on one runtime. */
export function nativeResponse(): typeof Response {
  return NativeResponse ??= globalThis.Response;
}

/** Whether an object has the runtime's own class, or one that extends it. */
export function isNativeResponse(value: object): value is Response {
  return value instanceof nativeResponse();
}

/** Bytes that own their memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A response whose content was read: the body of a lazy object whose content was taken without a native object. */
export function usedResponse(): Response {
  const response = new (nativeResponse())("");
  ignoreOutcome(response.arrayBuffer());
  return response;
}

/** "Unusable" in the Fetch standard: the body was disturbed, or its stream is locked. */
export function isUnusable(native: Request | Response): boolean {
  return native.bodyUsed || native.body?.locked === true;
}

/** Whole content as a `Blob` of the media type in a Content-Type field. */
export function toBlob(content: ArrayBuffer | Bytes, contentType: string | null): Promise<Blob> {
  // Without a type, one runtime's Response would make up `text/plain`.
  if (contentType === null) return Promise.resolve(new Blob([content]));
  return new (nativeResponse())(content, { headers: { "content-type": contentType } }).blob();
}

/** Leaves a promise alone whose outcome is not needed, not even its rejection. */
export function ignoreOutcome(promise: Promise<unknown>): void {
  promise.catch(() => {});
}

/** A body as a stream of strings, decoded as UTF-8; an empty one where there is none. */
export function decodeStream(body: ReadableStream<Uint8Array> | null): ReadableStream<string> {
  const bytes: ReadableStream<Uint8Array> = body ?? new Blob().stream();
  return bytes.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
}

/** The bytes of a buffer. Not every supported runtime has `bytes()`. */
export function toBytes(buffer: ArrayBuffer): Bytes {
  return new Uint8Array(buffer);
}
