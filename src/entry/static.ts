/**
 * A handler that serves the files of a folder.
 *
 * @example
 * ```ts
 * import { serve } from "@trivet/http";
 * import { staticFiles } from "@trivet/http/static";
 *
 * const files = staticFiles(new URL("./public/", import.meta.url));
 * const server = serve({ port: 0, hostname: "127.0.0.1" }, files);
 * await server.ready();
 * await server.shutdown();
 * ```
 *
 * @module
 */

import { detectRuntime } from "../../runtime/detect.ts";
import type { Handler } from "../api/handler.ts";
import { wrongType } from "../api/option_rules.ts";
import { resolveModule } from "../server/load_handler.ts";
import { serveFolder, type StaticFilesOptions } from "../static/static_files.ts";

export type { StaticFilesOptions } from "../static/static_files.ts";

/**
 * Makes a handler of a folder. It answers GET and HEAD with regular files, with entity tags, conditional requests and
 * one range (RFC 9110 sections 13 and 14), and everything else with 404 or 405. It lists no folders, follows no link
 * out of the folder, and serves no name that begins with a dot but `.well-known`.
 *
 * @param root The folder: a file: URL, or a path, which is relative to the folder of the program's main module.
 * @param options What else it does.
 * @throws {TypeError} For a root that is no path and no file: URL, and for an unknown option or one that can't be.
 */
export function staticFiles(root: string | URL, options: StaticFilesOptions = {}): Handler {
  const { files, host: { mainModule, workingFolder } } = detectRuntime();
  // An empty path would be the folder of the program itself.
  if (!(root instanceof URL) && (typeof root !== "string" || root === "")) {
    throw wrongType("root", root, "a path or a file: URL");
  }
  const url = root instanceof URL ? root.href : resolveModule(root, mainModule ?? workingFolder);
  if (!url.startsWith("file:")) {
    throw new TypeError(`The folder is ${JSON.stringify(url)}, expected a path or a file: URL.`);
  }
  return serveFolder(files, url, options);
}
