/**
 * The URL of a file's path, without a module of Node: importing one costs Deno 50 ms, and Node has none to give at once
 * before 20.16.
 *
 * @module
 */

/**
 * The file: URL of an absolute path, without a slash at its end.
 *
 * @param path The path.
 * @param platform The system's name, as Node and Deno give it: Windows separates the parts of a path with a backslash.
 */
export function toFileUrl(path: string, platform: string): string {
  const isWindows = platform === "win32" || platform === "windows";
  const parts = path.split(isWindows ? /[\\/]/ : "/").map((part) => encodeURIComponent(part));
  // A drive keeps its colon, and has no slash in front of it.
  if (isWindows) parts[0] = parts[0] === "" ? "" : `/${decodeURIComponent(parts[0])}`;
  return `file://${parts.join("/").replace(/\/$/, "")}`;
}
