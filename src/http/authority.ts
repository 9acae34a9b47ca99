/**
 * The authority of a URI: where a server is found.
 *
 * @module
 */

/** `authority = host ":" port`, where an IPv6 address stands in brackets (RFC 3986 section 3.2.2). */
export function composeAuthority(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
