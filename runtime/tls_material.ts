/**
 * Certificates and keys: from what the user gave to what `node:tls` takes.
 *
 * It decides whether they can be used, and says in one line why not. It must not know what they are used for.
 *
 * @module
 */

import type { createPrivateKey, X509Certificate } from "node:crypto";
import type { TlsIdentity, TlsOptions } from "../src/transport.ts";

/** A certificate chain and its key in PEM; the key is not encrypted any more. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

/** Everything that the options of a listener name, read and checked. */
export interface TlsMaterial {
  /** For clients that ask for no name, or for an unknown one. */
  readonly first: TlsPair;
  /** By the names of `tls.sni`, in lower case. */
  readonly byName: ReadonlyMap<string, TlsPair>;
  readonly ca: string | undefined;
  /** All that was read, by which a later state of the files is told from this one. */
  readonly fingerprint: string;
}

const PEM = /-----BEGIN [A-Z0-9 ]+-----/;
const PEM_CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;
const PEM_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
/** As PKCS #8 and the older form of keys say it. */
const ENCRYPTED = /ENCRYPTED/;

/** What is used of `node:crypto`. */
export interface Crypto {
  readonly createPrivateKey: typeof createPrivateKey;
  readonly X509Certificate: typeof X509Certificate;
}

/**
 * Reads and checks certificates and keys.
 *
 * @throws {Error} With the code "ERR_TLS_MATERIAL" and one line that names the option and says what is wrong with it.
 */
export async function loadTlsMaterial(options: TlsOptions, crypto: Crypto): Promise<TlsMaterial> {
  const texts: string[] = [];
  const read = async (name: string, given: string): Promise<string> => {
    const text = await readPem(name, given);
    texts.push(text);
    return text;
  };
  const first = await readPair("tls", options, read, crypto);
  const byName = new Map<string, TlsPair>();
  for (const [name, identity] of Object.entries(options.sni ?? {})) {
    byName.set(name.toLowerCase(), await readPair(`tls.sni[${JSON.stringify(name)}]`, identity, read, crypto));
  }
  const ca = options.ca === undefined ? undefined : await read("tls.ca", options.ca);
  if (ca !== undefined) {
    attempt(() => new crypto.X509Certificate(ca), () => invalid("tls.ca", "holds no certificate that can be read"));
  }
  return { first, byName, ca, fingerprint: JSON.stringify(texts) };
}

async function readPair(
  option: string,
  { cert: givenCert, key: givenKey, passphrase }: TlsIdentity,
  read: (name: string, given: string) => Promise<string>,
  { createPrivateKey, X509Certificate }: Crypto,
): Promise<TlsPair> {
  const cert = await read(`${option}.cert`, givenCert);
  const encryptedKey = await read(`${option}.key`, givenKey);
  if (!PEM_CERTIFICATE.test(cert)) throw invalid(`${option}.cert`, "holds no certificate in PEM");
  if (!PEM_KEY.test(encryptedKey)) throw invalid(`${option}.key`, "holds no private key in PEM");
  const own = attempt(
    () => new X509Certificate(cert),
    () => invalid(`${option}.cert`, "holds no certificate that can be read"),
  );
  const isEncrypted = ENCRYPTED.test(encryptedKey);
  if (isEncrypted && passphrase === undefined) {
    throw invalid(`${option}.key`, `is encrypted: the option ${option}.passphrase has to be set`);
  }
  const key = attempt(
    () => createPrivateKey(isEncrypted ? { key: encryptedKey, passphrase } : encryptedKey),
    () =>
      invalid(
        `${option}.key`,
        isEncrypted
          ? `can't be decrypted with the option ${option}.passphrase`
          : "holds no private key that can be read",
      ),
  );
  if (!own.checkPrivateKey(key)) {
    throw invalid(`${option}.key`, `does not match the certificate of the option ${option}.cert`);
  }
  // Not every runtime takes a passphrase for every kind of key.
  return { cert, key: isEncrypted ? key.export({ type: "pkcs8", format: "pem" }) as string : encryptedKey };
}

/** Text in PEM as it is, and of anything else the file that it names. */
async function readPem(name: string, given: string): Promise<string> {
  if (PEM.test(given)) return given;
  // What has several lines is no path, and may be a secret.
  if (given.includes("\n")) throw invalid(name, "is neither text in PEM nor the path of a file");
  const shown = JSON.stringify(given.slice(0, 200));
  const { readFile } = await import("node:fs/promises");
  let text: string;
  try {
    text = await readFile(given, "utf8");
  } catch (cause) {
    const { code } = cause as { code?: string };
    const reason = REASONS.get(code ?? "") ?? `can't be read (${code ?? (cause as Error).message})`;
    throw invalid(name, `is ${shown}: that is no text in PEM, and the file ${reason}`, cause);
  }
  if (!PEM.test(text)) throw invalid(name, `is ${shown}: that file holds nothing in PEM`);
  return text;
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "does not exist (ENOENT)"],
  ["EACCES", "can't be read: permission denied (EACCES)"],
  ["EISDIR", "is a folder (EISDIR)"],
  ["ENOTDIR", "does not exist (ENOTDIR)"],
]);

function attempt<T>(make: () => T, explain: () => Error): T {
  try {
    return make();
  } catch (cause) {
    throw Object.assign(explain(), { cause });
  }
}

function invalid(name: string, what: string, cause?: unknown): Error {
  return Object.assign(new Error(`The option ${name} ${what}.`, { cause }), { code: "ERR_TLS_MATERIAL" });
}
