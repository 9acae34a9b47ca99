/**
 * The media types of files by the end of their names: those that browsers need to show, run or play a file.
 *
 * @module
 */

const BINARY = "application/octet-stream";
const TEXT_CHARSET = "; charset=utf-8";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html",
  htm: "text/html",
  css: "text/css",
  js: "text/javascript",
  mjs: "text/javascript",
  txt: "text/plain",
  md: "text/markdown",
  csv: "text/csv",
  xml: "application/xml",
  vtt: "text/vtt",
  json: "application/json",
  map: "application/json",
  jsonld: "application/ld+json",
  webmanifest: "application/manifest+json",
  wasm: "application/wasm",
  pdf: "application/pdf",
  svg: "image/svg+xml",
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  ico: "image/x-icon",
  bmp: "image/bmp",
  woff: "font/woff",
  woff2: "font/woff2",
  ttf: "font/ttf",
  otf: "font/otf",
  mp3: "audio/mpeg",
  ogg: "audio/ogg",
  wav: "audio/wav",
  m4a: "audio/mp4",
  flac: "audio/flac",
  weba: "audio/webm",
  mp4: "video/mp4",
  webm: "video/webm",
  ogv: "video/ogg",
  mov: "video/quicktime",
  zip: "application/zip",
  gz: "application/gzip",
  tar: "application/x-tar",
  rss: "application/rss+xml",
  atom: "application/atom+xml",
  ics: "text/calendar",
  epub: "application/epub+zip",
};

/** The Content-Type of a file. What is not known is bytes, which browsers offer to save. */
export function contentTypeOf(name: string): string {
  const end = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  const type = name.includes(".") && Object.hasOwn(TYPES, end) ? TYPES[end] : BINARY;
  return type.startsWith("text/") ? type + TEXT_CHARSET : type;
}
