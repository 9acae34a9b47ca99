/**
 * A handler that serves the files of a folder.
 *
 * It decides which file a request means, which may be served, and how conditional and range requests (RFC 9110 sections
 * 13 and 14) are answered. What it may read is decided twice: by the path of the request, and by the real path of what
 * was found. It must not know which runtime reads the files.
 *
 * @module
 */

import type { Handler } from "../api/handler.ts";
import type { Files, OpenFile } from "../runtime.ts";
import { streamStored } from "../web/part_sources.ts";
import { contentTypeOf } from "./content_types.ts";
import { evaluatePreconditions, type RangeAnswer, readRange } from "./file_conditions.ts";
import { rejectUnknown, resolveType, wrongType } from "../api/option_rules.ts";
import { formatImfFixdate } from "../http/dates.ts";
import { FIELD_VALUE, isAllOfClass } from "../http/grammar.ts";
import { HttpResponse } from "../web/http_response.ts";

/** What `staticFiles` can be told. */
export interface StaticFilesOptions {
  /** What a folder is served as, where it has such a file. Default "index.html". */
  readonly index?: string | undefined;
  /** The field Cache-Control of every response with a file. Default: none, so that caches ask each time. */
  readonly cacheControl?: string | undefined;
  /** Answers what is not there, in place of a plain 404. */
  readonly notFound?: Handler | undefined;
}

const ALLOWED_METHODS = "GET, HEAD";
const OPTION_NAMES = ["index", "cacheControl", "notFound"];

/**
 * Makes the handler of a folder.
 *
 * @throws {TypeError} For an unknown option or one that can't be.
 */
export function serveFolder(
  files: Files,
  rootUrl: string,
  options: StaticFilesOptions = {},
): Handler {
  if (typeof options !== "object" || options === null) throw wrongType("options", options, "an object");
  rejectUnknown("option of staticFiles()", options, OPTION_NAMES);
  const index = resolveType("index", options.index, "string") ?? "index.html";
  if (/[\0\\/]/.test(index)) throw wrongType("index", index, "the name of a file, without a folder");
  const cacheControl = resolveType("cacheControl", options.cacheControl, "string");
  if (cacheControl !== undefined && !isAllOfClass(cacheControl, 0, cacheControl.length, FIELD_VALUE)) {
    throw wrongType("cacheControl", cacheControl, "what can stand in a header");
  }
  const notFound = resolveType("notFound", options.notFound, "function") ?? plainNotFound;
  return async (request, info) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new HttpResponse("Method Not Allowed\n", { status: 405, headers: { allow: ALLOWED_METHODS } });
    }
    const { pathname, search } = new URL(request.url);
    const path = decodePath(pathname);
    if (path === null) return await notFound(request, info);
    const found = await findFile(files, rootUrl, path, index);
    if (found === "folder") {
      return new HttpResponse(null, { status: 301, headers: { location: `${pathname}/${search}` } });
    }
    if (found === null) return await notFound(request, info);
    return answer(request, found.file, found.path, cacheControl);
  };
}

/**
 * The parts of a path, decoded once; `null` for one that means no file: a NUL, a backslash or an encoded slash, which
 * systems read in different ways, two slashes, which at the beginning of a Location would name a host, and names that
 * begin with a dot, but for `.well-known` (RFC 8615).
 */
function decodePath(pathname: string): string[] | null {
  let parts: string[];
  try {
    parts = pathname.split("/").slice(1).map(decodeURIComponent);
  } catch {
    return null;
  }
  const isSafe = parts.every((part, at) =>
    !/[\0\\/]/.test(part) && (!part.startsWith(".") || part === ".well-known") &&
    (part !== "" || at === parts.length - 1)
  );
  return isSafe ? parts : null;
}

interface Found {
  readonly file: OpenFile;
  readonly path: string;
}

/** The file of a path; "folder" for a folder that was asked for without the slash at its end. */
async function findFile(
  files: Files,
  rootUrl: string,
  parts: readonly string[],
  index: string,
): Promise<Found | "folder" | null> {
  const isFolder = parts.at(-1) === "";
  const names = isFolder ? [...parts.slice(0, -1), index] : parts;
  const [realRoot, real] = await Promise.all([
    files.realUrl(rootUrl),
    files.realUrl(`${rootUrl.replace(/\/$/, "")}/${names.map(encodeURIComponent).join("/")}`),
  ]);
  // A link may lead out of the folder. What it leads to is compared, and then opened by its real path.
  if (realRoot === null || real === null || !real.startsWith(`${realRoot.replace(/\/$/, "")}/`)) return null;
  const file = await files.open(real);
  if (file !== null) return { file, path: names.at(-1)! };
  return !isFolder && await files.kindOf(real) === "folder" ? "folder" : null;
}

async function answer(
  request: Request,
  file: OpenFile,
  name: string,
  cacheControl: string | undefined,
): Promise<Response> {
  const { byteLength, changedAtMs } = file;
  const entityTag = `"${byteLength.toString(36)}-${Math.floor(changedAtMs).toString(36)}"`;
  const headers: [string, string][] = [
    ["content-type", contentTypeOf(name)],
    ["etag", entityTag],
    // RFC 9110 section 8.8.2.1: a file from the future was changed when the response is made.
    ["last-modified", formatImfFixdate(Math.min(changedAtMs, Date.now()))],
    ["accept-ranges", "bytes"],
    ["x-content-type-options", "nosniff"],
  ];
  if (cacheControl !== undefined) headers.push(["cache-control", cacheControl]);
  const condition = evaluatePreconditions(request, entityTag, changedAtMs);
  if (condition !== null) {
    await file.close();
    return new HttpResponse(null, { status: condition, headers: condition === 304 ? headers.slice(1) : [] });
  }
  const range = readRange(request, byteLength, entityTag, changedAtMs);
  if (range === "unsatisfiable") {
    await file.close();
    return new HttpResponse(null, { status: 416, headers: { "content-range": `bytes */${byteLength}` } });
  }
  return await sendFile(request, file, range, headers);
}

async function sendFile(
  request: Request,
  file: OpenFile,
  range: RangeAnswer | null,
  headers: [string, string][],
): Promise<Response> {
  const { start, end } = range ?? { start: 0, end: file.byteLength };
  headers.push(["content-length", String(end - start)]);
  if (range !== null) headers.push(["content-range", `bytes ${start}-${end - 1}/${file.byteLength}`]);
  const status = range === null ? 200 : 206;
  if (request.method === "HEAD" || start === end) {
    await file.close();
    return new HttpResponse(null, { status, headers });
  }
  return new HttpResponse(streamStored(file, start, end), { status, headers });
}

function plainNotFound(): Response {
  return new HttpResponse("Not Found\n", { status: 404 });
}
