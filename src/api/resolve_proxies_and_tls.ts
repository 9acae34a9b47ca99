/**
 * The options about what stands between a client and its connection: TLS, and proxies in front.
 *
 * It decides what they may be. It must not know what is in a certificate, which is looked at when the server starts.
 *
 * @module
 */

import { whyNotRange } from "../http/ip_address.ts";
import type { ClientCertificates, TlsIdentity, TlsOptions } from "../transport.ts";
import { rejectUnknown, resolveName, resolveType, wrongType } from "./option_rules.ts";
import type { ProxyProtocolOptions, ProxyTrustOptions } from "./options.ts";

const IDENTITY_NAMES = ["cert", "key", "passphrase"];
const REQUEST_CERT: readonly ClientCertificates[] = ["no", "optional", "required"];
const MIN_VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
const HEADERS = ["x-forwarded", "forwarded"] as const;
const PEM_OR_PATH = "text in PEM or the path of a file";
const MAX_HOPS = 100;

/** A name as clients ask for it: labels of letters, digits and hyphens, or an asterisk in place of the first one. */
const SERVER_NAME = /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i;

export function resolveTls(tls: TlsOptions | undefined): TlsOptions | undefined {
  if (tls === undefined) return undefined;
  checkObject("tls", tls, "an object with cert and key");
  rejectUnknown("option tls", tls, [...IDENTITY_NAMES, "ca", "requestCert", "minVersion", "sni"]);
  checkIdentity("tls", tls);
  const { ca, requestCert, minVersion, sni = {} } = tls;
  if (ca !== undefined) checkText("tls.ca", ca);
  resolveName("tls.requestCert", requestCert, REQUEST_CERT);
  resolveName("tls.minVersion", minVersion, MIN_VERSIONS);
  if (ca === undefined && requestCert !== undefined && requestCert !== "no") {
    throw new TypeError(
      `The option tls.requestCert is "${requestCert}", which needs tls.ca: who may sign certificates.`,
    );
  }
  if (ca !== undefined && requestCert === "no") {
    throw new TypeError('The option tls.ca has no effect while tls.requestCert is "no".');
  }
  checkObject("tls.sni", sni, "an object with a certificate for each name");
  for (const [name, identity] of Object.entries(sni)) {
    const option = `tls.sni[${JSON.stringify(name.slice(0, 100))}]`;
    if (!SERVER_NAME.test(name)) {
      throw new TypeError(`The option ${option} is for no name of a host, such as "a.example" or "*.a.example".`);
    }
    checkObject(option, identity, "an object with cert and key");
    rejectUnknown(`option ${option}`, identity, IDENTITY_NAMES);
    checkIdentity(option, identity);
  }
  return tls;
}

export function resolveTlsWatch(watch: boolean | undefined, tls: TlsOptions | undefined): boolean {
  const isOn = resolveType("tlsWatch", watch, "boolean") ?? false;
  if (isOn && tls === undefined) throw new TypeError("The option tlsWatch has no effect without the option tls.");
  return isOn;
}

export function resolveProxyTrust(trust: ProxyTrustOptions | undefined): ProxyTrustOptions | undefined {
  if (trust === undefined) return undefined;
  checkObject("trustProxy", trust, "an object with from");
  rejectUnknown("option trustProxy", trust, ["from", "header", "host"]);
  const { from, header, host } = trust;
  if (typeof from === "number") {
    if (!Number.isInteger(from) || from < 1 || from > MAX_HOPS) {
      throw new RangeError(`The option trustProxy.from is ${from}, allowed is a whole number from 1 to ${MAX_HOPS}.`);
    }
  } else {checkPeers(
      "trustProxy.from",
      from,
      '"loopback", a list of ranges such as "10.0.0.0/8", or a number of proxies',
    );}
  resolveName("trustProxy.header", header, HEADERS);
  resolveType("trustProxy.host", host, "boolean");
  return trust;
}

export function resolveProxyProtocol(proxies: ProxyProtocolOptions | undefined): ProxyProtocolOptions | undefined {
  if (proxies === undefined) return undefined;
  checkObject("proxyProtocol", proxies, "an object with from");
  rejectUnknown("option proxyProtocol", proxies, ["from"]);
  checkPeers("proxyProtocol.from", proxies.from, '"loopback", or a list of ranges such as "10.0.0.0/8"');
  return proxies;
}

function checkPeers(option: string, from: unknown, allowed: string): void {
  if (from === "loopback") return;
  if (!Array.isArray(from) || from.length === 0) throw wrongType(option, from, allowed);
  for (const range of from) {
    if (typeof range !== "string") throw wrongType(option, range, allowed);
    const why = whyNotRange(range);
    if (why !== null) {
      throw new TypeError(`The option ${option} has ${JSON.stringify(range.slice(0, 100))}, which ${why}.`);
    }
  }
}

function checkIdentity(option: string, identity: TlsIdentity): void {
  checkText(`${option}.cert`, identity.cert);
  checkText(`${option}.key`, identity.key);
  if (identity.passphrase !== undefined && typeof identity.passphrase !== "string") {
    throw new TypeError(`The option ${option}.passphrase is no string.`);
  }
}

/** What is given may be a secret, and is not shown. */
function checkText(option: string, given: unknown): void {
  if (typeof given === "string" && given !== "") return;
  // What readFileSync() gives without an encoding.
  const isBytes = ArrayBuffer.isView(given);
  const got = given === undefined
    ? "missing"
    : given === ""
    ? "empty"
    : isBytes
    ? "bytes"
    : `of the type ${typeof given}`;
  const advice = isBytes ? ': read it as "utf8", or give its path' : "";
  throw new TypeError(`The option ${option} is ${got}, expected is ${PEM_OR_PATH}${advice}.`);
}

function checkObject(option: string, given: unknown, allowed: string): void {
  if (typeof given !== "object" || given === null) throw wrongType(option, given, allowed);
}
