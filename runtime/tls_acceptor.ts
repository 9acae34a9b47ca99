/**
 * TLS over `node:tls`, on all three runtimes: handshakes on sockets that are open already, and what they agreed on.
 *
 * It decides which certificate is shown and whose certificate is taken. It must not know what is written and read over
 * TLS. It has no deadline, since the core has one. The runtimes' own TLS listeners can't do this: `Deno.listenTls`
 * never lets go of a silent handshake, and neither it nor `Bun.listen` takes over a socket, changes its certificates,
 * or asks for those of clients without refusing the others.
 *
 * @module
 */

import type { Socket } from "node:net";
import type { createSecureContext, createServer, SecureContext, Server, TLSSocket } from "node:tls";
import type { PeerCertificate, TlsInfo, TlsOptions } from "../src/transport.ts";
import { type Crypto, loadTlsMaterial, type TlsMaterial, type TlsPair } from "./tls_material.ts";

/** How a handshake ends. */
export interface HandshakeEvents {
  /** It is done: this socket stands in place of the one it was begun on. */
  onSecured(socket: TLSSocket): void;
  /** It has failed. */
  onHandshakeFailed(cause: Error): void;
}

/** A socket for TLS, with the one that it wraps: no documentation names it, and every runtime has it. */
interface WrappingSocket extends TLSSocket {
  readonly _parent?: Socket;
}

/** The modules of Node that TLS needs; they are loaded where a server speaks it. */
interface Modules extends Crypto {
  readonly createServer: typeof createServer;
  readonly createSecureContext: typeof createSecureContext;
}

/** Shakes hands with the certificates of one listener. */
export class TlsAcceptor {
  readonly #options: TlsOptions;
  readonly #modules: Modules;
  readonly #waiting = new WeakMap<Socket, HandshakeEvents>();
  /** What was loaded last, and a server that listens nowhere: handshakes are all that is wanted of it. */
  #fingerprint: string;
  #server: Server;

  private constructor(options: TlsOptions, modules: Modules, material: TlsMaterial) {
    this.#options = options;
    this.#modules = modules;
    this.#fingerprint = material.fingerprint;
    this.#server = this.#createServer(material);
  }

  /** Makes one, with certificates that were found in order. */
  static async create(options: TlsOptions): Promise<TlsAcceptor> {
    const [tls, crypto] = await Promise.all([import("node:tls"), import("node:crypto")]);
    const { createServer, createSecureContext } = tls;
    const { createPrivateKey, X509Certificate } = crypto;
    const modules = { createServer, createSecureContext, createPrivateKey, X509Certificate };
    return new TlsAcceptor(options, modules, await loadTlsMaterial(options, modules));
  }

  /** Reads the certificates anew, for the next handshakes. Resolves to whether they have changed. */
  async reload(): Promise<boolean> {
    const material = await loadTlsMaterial(this.#options, this.#modules);
    if (material.fingerprint === this.#fingerprint) return false;
    this.#server = this.#createServer(material);
    this.#fingerprint = material.fingerprint;
    return true;
  }

  /** Begins a handshake. */
  accept(socket: Socket, events: HandshakeEvents): void {
    this.#waiting.set(socket, events);
    // A client that ends its side within a handshake has left: the other half is of no use, and would hold a
    // descriptor.
    socket.allowHalfOpen = false;
    this.#server.emit("connection", socket);
  }

  /** What a socket has agreed on; `null` once it is closed, when it does not tell any more. */
  describe(socket: TLSSocket): TlsInfo | null {
    const protocol = socket.destroyed ? null : socket.getProtocol();
    if (!protocol) return null;
    const cipher = socket.getCipher();
    const { alpnProtocol, servername } = socket as TLSSocket & { servername?: string | false | null };
    return {
      protocol,
      cipher: cipher.standardName ?? cipher.name,
      alpnProtocol: alpnProtocol || null,
      serverName: servername || null,
      peerCertificate: this.#describeCertificate(rawCertificateOf(socket)),
    };
  }

  #createServer({ first, byName, ca }: TlsMaterial): Server {
    const { minVersion = "TLSv1.2", requestCert = ca === undefined ? "no" : "required" } = this.#options;
    const toContext = (pair: TlsPair): SecureContext => this.#modules.createSecureContext({ ...pair, ca, minVersion });
    const contexts = new Map([...byName].map(([name, pair]) => [name, toContext(pair)]));
    // Where nothing is found, the first one is used.
    const SNICallback = (name: string, done: (error: Error | null, context?: SecureContext) => void): void =>
      done(null, findByName(contexts, name.toLowerCase()));
    const server = this.#modules.createServer({
      ...first,
      ca,
      minVersion,
      requestCert: requestCert !== "no",
      rejectUnauthorized: requestCert === "required",
      ALPNProtocols: ["http/1.1"],
      ...contexts.size > 0 ? { SNICallback } : {},
    });
    server.on("tlsClientError", (cause, socket: WrappingSocket) => {
      this.#take(socket)?.onHandshakeFailed(cause);
      socket.destroy();
    });
    return server.on("secureConnection", (socket: WrappingSocket) => {
      const events = this.#take(socket);
      socket.allowHalfOpen = true;
      if (events === undefined) socket.destroy();
      else if (requestCert !== "optional" || isTrustworthy(socket)) events.onSecured(socket);
      else events.onHandshakeFailed(new Error(`The client's certificate is not trusted: ${socket.authorizationError}`));
    });
  }

  /** The runtimes' own words for a certificate differ; this class of `node:crypto` says the same on each. */
  #describeCertificate(raw: Uint8Array | null): PeerCertificate | null {
    if (raw === null) return null;
    const certificate = new this.#modules.X509Certificate(raw);
    const { subject, issuer, subjectAltName, serialNumber, validFrom, validTo, fingerprint256 } = certificate;
    return {
      subject,
      issuer,
      subjectAltName: subjectAltName ?? "",
      // Deno leaves out the first zero.
      serialNumber: serialNumber.length % 2 === 0 ? serialNumber : `0${serialNumber}`,
      validFrom,
      validTo,
      fingerprint256,
      raw: new Uint8Array(raw),
    };
  }

  #take(socket: WrappingSocket): HandshakeEvents | undefined {
    const parent = socket._parent;
    if (parent === undefined) return undefined;
    const events = this.#waiting.get(parent);
    this.#waiting.delete(parent);
    return events;
  }
}

/** A client may show no certificate; one that is shown must be trusted. */
function isTrustworthy(socket: TLSSocket): boolean {
  return socket.authorized || rawCertificateOf(socket) === null;
}

/** The name itself, or the one with an asterisk in place of its first label (RFC 9525 section 6.3). */
function findByName<T>(byName: ReadonlyMap<string, T>, name: string): T | undefined {
  return byName.get(name) ?? byName.get(`*${name.slice(name.indexOf("."))}`);
}

function rawCertificateOf(socket: TLSSocket): Uint8Array | null {
  const certificate = socket.getPeerCertificate() as { raw?: Uint8Array } | null | undefined;
  return certificate?.raw ?? null;
}
