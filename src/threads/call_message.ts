/**
 * A call as it is said to a thread: the message and the text beside it.
 *
 * It decides how the parts of a request are put into one string and found in it again. It must not know what is done
 * with them.
 *
 * @module
 */

import { FieldSection } from "../http/field_section.ts";
import type { Address, TlsInfo } from "../transport.ts";
import type { OutgoingBatch } from "./batch.ts";
import type { CallContent, CallMessage, FieldLines, SentPort, TlsCopy } from "./protocol.ts";

/** What a thread is told of a request. */
export interface CallParts {
  readonly method: string;
  readonly uri: string;
  readonly fields: FieldSection;
  readonly upgrade: string | null;
  readonly content: CallContent;
  readonly trailers: FieldLines;
  readonly remoteAddress: Address;
  readonly localAddress: Address;
  readonly peerAddress: Address;
  readonly tls: TlsInfo | null;
}

/** Adds a call to a batch. */
export function writeCall(batch: OutgoingBatch, id: number, sequence: number, parts: CallParts): void {
  const { method, uri, fields, upgrade, content, trailers, remoteAddress, localAddress, peerAddress, tls } = parts;
  const remote = hostOf(remoteAddress);
  // The field section comes first, so that its offsets hold in the whole text.
  const text = fields.text + method + uri + remote + hostOf(localAddress);
  batch.add(
    [
      "call",
      id,
      sequence,
      batch.attachText(text),
      fields.text.length,
      method.length,
      uri.length,
      remote.length,
      fields.offsets,
      upgrade,
      content,
      trailers,
      portOf(remoteAddress),
      portOf(localAddress),
      // Nearly always the same one.
      peerAddress === remoteAddress ? null : peerAddress,
      tls === null ? null : copyTls(tls),
    ] satisfies CallMessage,
  );
}

/** A call as it came. */
export class ReceivedCall implements CallParts {
  readonly id: number;
  readonly sequence: number;
  readonly method: string;
  readonly uri: string;
  readonly fields: FieldSection;
  readonly upgrade: string | null;
  readonly content: CallContent;
  readonly trailers: FieldLines;
  readonly #text: string;
  readonly #remoteStart: number;
  readonly #localStart: number;
  readonly #remotePort: SentPort;
  readonly #localPort: SentPort;
  readonly #peerAddress: Address | null;
  readonly #tls: TlsCopy | null;
  #remoteAddress: Address | null = null;
  #localAddress: Address | null = null;

  /**
   * @param message The message.
   * @param texts What came with it.
   */
  constructor(message: CallMessage, texts: readonly string[]) {
    const methodStart = message[4];
    const uriStart = methodStart + message[5];
    const text = texts[message[3]];
    this.id = message[1];
    this.sequence = message[2];
    this.#text = text;
    this.#remoteStart = uriStart + message[6];
    this.#localStart = this.#remoteStart + message[7];
    this.method = text.substring(methodStart, uriStart);
    this.uri = text.substring(uriStart, this.#remoteStart);
    this.fields = new FieldSection(text, message[8]);
    this.upgrade = message[9];
    this.content = message[10];
    this.trailers = message[11];
    this.#remotePort = message[12];
    this.#localPort = message[13];
    this.#peerAddress = message[14];
    this.#tls = message[15];
  }

  /** The address at the other end of the socket. */
  get peerAddress(): Address {
    return this.#peerAddress ?? this.remoteAddress;
  }

  get tls(): TlsInfo | null {
    return this.#tls === null ? null : restoreTls(this.#tls);
  }

  /** The client's address, made when it is asked for, which few handlers do. */
  get remoteAddress(): Address {
    return this.#remoteAddress ??= toAddress(
      this.#text.substring(this.#remoteStart, this.#localStart),
      this.#remotePort,
    );
  }

  /** The address at which the connection was accepted. */
  get localAddress(): Address {
    return this.#localAddress ??= toAddress(this.#text.substring(this.#localStart), this.#localPort);
  }
}

/** A certificate goes as char codes, since messages hold no bytes. */
function copyTls({ peerCertificate, ...rest }: TlsInfo): TlsCopy {
  if (peerCertificate === null) return { ...rest, peerCertificate: null };
  return { ...rest, peerCertificate: { ...peerCertificate, raw: String.fromCharCode(...peerCertificate.raw) } };
}

function restoreTls({ peerCertificate, ...rest }: TlsCopy): TlsInfo {
  if (peerCertificate === null) return { ...rest, peerCertificate: null };
  const raw = Uint8Array.from(peerCertificate.raw, (char) => char.charCodeAt(0));
  return { ...rest, peerCertificate: { ...peerCertificate, raw } };
}

function hostOf(address: Address): string {
  return address.transport === "tcp" ? address.hostname : address.path;
}

function portOf(address: Address): SentPort {
  return address.transport === "tcp" ? address.port : null;
}

function toAddress(host: string, port: SentPort): Address {
  return port === null ? { transport: "unix", path: host } : { transport: "tcp", hostname: host, port };
}
