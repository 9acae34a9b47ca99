/**
 * The handlers that are measured, written once for every server that takes fetch handlers.
 *
 * They decide what a request costs beside the server and must not know which server calls them: which class of response
 * they make is said to them. Nothing in them is prepared for the benchmark's own requests.
 *
 * @module
 */

/** The names of the handlers. */
export type HandlerName = "hello" | "json" | "echo" | "stream" | "count" | "flood";

/** A handler that every fetch server takes. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** The global `Response` or a class with its interface. */
export interface ResponseClass {
  new (body?: BodyInit | null, init?: ResponseInit): Response;
  json(value: unknown, init?: ResponseInit): Response;
}

/** What the handler "hello" answers. */
export const HELLO = "Hello, world!";
/** The two fields the handler "json" adds to its answer. */
export const JSON_FIELDS = { "cache-control": "no-store", "x-frame-options": "DENY" } as const;

const STREAM_CHUNKS = 16;
const CHUNK_BYTES = 64 * 1024;
/** Bytes of the answer of "stream". */
export const STREAM_BYTES: number = STREAM_CHUNKS * CHUNK_BYTES;
/** Bytes of the answer of "flood". */
export const FLOOD_BYTES: number = 1024 ** 3;

/** A chunk of streamed content: every byte tells its place in a chunk, so that a lost or doubled piece shows. */
export const CHUNK: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK_BYTES).map((_, index) => index % 251);

/** What the handler "json" answers, beside its fields. */
export function describeRequest(url: URL, userAgent: string | null, language: string | null): object {
  return { path: url.pathname, name: url.searchParams.get("name"), userAgent, language };
}

/** Makes a handler. */
export function createHandler(name: HandlerName, responseClass: ResponseClass): FetchHandler {
  switch (name) {
    case "hello":
      return () => new responseClass(HELLO);
    case "json":
      return (request) => {
        const { headers } = request;
        const answer = describeRequest(new URL(request.url), headers.get("user-agent"), headers.get("accept-language"));
        return responseClass.json(answer, { headers: JSON_FIELDS });
      };
    case "echo":
      return async (request) => new responseClass(await request.arrayBuffer());
    case "stream":
      return () => new responseClass(streamOf(STREAM_BYTES));
    case "count":
      return async (request) => new responseClass(String(await countBytes(request.body)));
    case "flood":
      return () => new responseClass(streamOf(FLOOD_BYTES));
  }
}

/** Content of so many bytes, a whole number of chunks, made when it is asked for. */
function streamOf(byteLength: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  let leftBytes = byteLength;
  return new ReadableStream({
    pull(controller) {
      if (leftBytes === 0) return controller.close();
      leftBytes -= CHUNK_BYTES;
      // A server may take over what it is given, so it gets a chunk of its own.
      controller.enqueue(CHUNK.slice());
    },
  });
}

async function countBytes(body: ReadableStream<Uint8Array> | null): Promise<number> {
  let byteLength = 0;
  const reader = body?.getReader();
  for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
    byteLength += next.value.byteLength;
  }
  return byteLength;
}
