/**
 * The contract of connections, between the portable core and what accepts them: types only.
 *
 * An adapter in `runtime/` translates one runtime's sockets to these shapes and absorbs that runtime's oddities. It
 * knows nothing of HTTP. Every rule written here is a test in `test/runtime/`, which runs against each adapter and
 * against the transports in memory.
 *
 * The style is push: one {@linkcode TransportEvents} object for each listener and one `session` slot on each
 * connection, so that a read costs no closure, no promise and no look-up.
 *
 * @module
 */

/** The address of one end of a TCP connection or of a TCP listener. */
export interface TcpAddress {
  /** Always `"tcp"`. */
  readonly transport: "tcp";
  /** The IP address, without brackets; that of an IPv4 peer is IPv4, also at a listener for IPv6. */
  readonly hostname: string;
  /** The port, 0 to 65535. */
  readonly port: number;
}

/** The address of a Unix domain socket. */
export interface UnixAddress {
  /** Always `"unix"`. */
  readonly transport: "unix";
  /** The path of the socket file; empty for the unnamed client end. */
  readonly path: string;
}

/** The address of one end of a connection or of a listener. */
export type Address = TcpAddress | UnixAddress;

/** A certificate with its key. Each is text in PEM, or the path of a file that holds it. */
export interface TlsIdentity {
  /** The certificate chain, the server's own certificate first. */
  readonly cert: string;
  /** The private key of the first certificate. */
  readonly key: string;
  /** What the key is encrypted with, where it is. */
  readonly passphrase?: string | undefined;
}

/** Whether clients show a certificate: they are not asked; they may show one; or those without one are refused. */
export type ClientCertificates = "no" | "optional" | "required";

/** How to speak TLS. */
export interface TlsOptions extends TlsIdentity {
  /** The authorities that sign the certificates of clients: in PEM, or the path of a file. Needed to ask for them. */
  readonly ca?: string | undefined;
  /**
   * Whether clients are asked for a certificate. One that is shown must be signed by an authority of `ca`, or the
   * handshake fails, also where it is optional. Default "required" with `ca`, else "no".
   */
  readonly requestCert?: ClientCertificates | undefined;
  /** The oldest version that is spoken, "TLSv1.2" or "TLSv1.3". Default "TLSv1.2". */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /**
   * Further certificates by the name that clients ask for (RFC 6066 section 3): "a.example", or "*.example" for all
   * names with one label more. Clients that ask for another name, or none, get the first certificate.
   */
  readonly sni?: Readonly<Record<string, TlsIdentity>> | undefined;
}

/** What was agreed on in a TLS handshake. */
export interface TlsInfo {
  /** The version: "TLSv1.3" or "TLSv1.2". */
  readonly protocol: string;
  /** The cipher suite by its registered name, such as "TLS_AES_128_GCM_SHA256". */
  readonly cipher: string;
  /** The protocol spoken above it (ALPN, RFC 7301), such as "http/1.1"; `null` when the client named none. */
  readonly alpnProtocol: string | null;
  /** The name that the client asked for (SNI, RFC 6066 section 3); `null` when it named none. */
  readonly serverName: string | null;
  /** The client's certificate, which an authority of `tls.ca` has signed; `null` when it has shown none. */
  readonly peerCertificate: PeerCertificate | null;
}

/** A certificate that a client has shown. */
export interface PeerCertificate {
  /** Whose it is: a line for each attribute, such as "CN=client". */
  readonly subject: string;
  /** Who signed it, likewise. */
  readonly issuer: string;
  /** Other names of the subject, such as "DNS:a.example, IP Address:192.0.2.1"; empty where it has none. */
  readonly subjectAltName: string;
  /** The serial number, in hexadecimal digits. */
  readonly serialNumber: string;
  /** From when on it is valid, as "Jan  1 00:00:00 2020 GMT". */
  readonly validFrom: string;
  /** Until when it is valid. */
  readonly validTo: string;
  /** The SHA-256 digest of the certificate, in pairs of hexadecimal digits with colons between them. */
  readonly fingerprint256: string;
  /** The certificate itself, in DER. */
  readonly raw: Uint8Array<ArrayBuffer>;
}

/** Where and how to listen. */
export interface ListenOptions {
  /** An IP address or a name that resolves to one; not used with `unixPath`. */
  readonly hostname: string;
  /** The TCP port; 0 lets the system choose. */
  readonly port: number;
  /** Set, the listener is a Unix domain socket at this path and not TCP. */
  readonly unixPath: string | undefined;
  /**
   * Who may connect to the Unix domain socket, as file permissions. A file of a socket at which nothing listens any
   * more is replaced; that of the listener is gone when it is closed.
   */
  readonly unixMode?: number | undefined;
  /** Set, the listener is the socket with this descriptor, which another process has bound; no address is used then. */
  readonly descriptor?: number | undefined;
  /** Connections the system may hold until they are accepted. */
  readonly tcpBacklog: number | undefined;
  /** Share the port with other listeners through SO_REUSEPORT. */
  readonly reusePort: boolean;
  /** How many listeners there are at the port that close together with this one, itself included; 1 by default. */
  readonly listeners?: number;
  /** Set, {@linkcode TransportConnection.startTls} may be called on its connections, with this. */
  readonly tls: TlsOptions | undefined;
}

/** What takes the events of one connection: {@linkcode TransportEvents} passes them on to it. */
export interface TransportSession {
  /** Bytes came; see {@linkcode TransportEvents.onData}. */
  onData(borrowed: Uint8Array, end: number): void;
  /** All that was waiting has left. */
  onDrain(): void;
  /** The peer sent FIN. */
  onEnd(): void;
  /** The connection is gone. */
  onClose(cause: Error | undefined): void;
}

/** One accepted connection: a byte stream in each direction. */
export interface TransportConnection {
  /** The core's slot: the adapter sets it to `undefined` before `onOpen` and never touches it again. */
  session: TransportSession | undefined;
  /** The protocol that was agreed on with the peer in the TLS handshake (ALPN, RFC 7301); `null` without one. */
  readonly negotiatedProtocol: string | null;
  /**
   * What was agreed on in the TLS handshake, made when it is first asked for; `null` without TLS, and where it is asked
   * for only when the connection is gone.
   */
  readonly tls: TlsInfo | null;
  /** The peer's address. */
  readonly remoteAddress: Address;
  /** The address at which the connection was accepted. */
  readonly localAddress: Address;
  /**
   * Hands the bytes from `start` up to `end` over for sending, all of them unless told otherwise, in call order. The
   * adapter owns the bytes from here on: the core never changes them again. Returns false when more is waiting than the
   * adapter's high water; then {@linkcode TransportEvents.onDrain} fires once when all of it has left. The bytes are
   * taken either way. After `end`, `abort`, `cutOff` or close it does nothing and returns false, and no `onDrain`
   * follows.
   */
  write(bytes: Uint8Array, start?: number, end?: number): boolean;
  /**
   * Does what `write` does, but the bytes are the core's again when it returns: what the system has not taken by then
   * was copied, into memory that is used again.
   */
  writeBorrowed(bytes: Uint8Array, start: number, end: number): boolean;
  /** Does what a `write` of each piece would do, in as few system calls as the runtime allows. */
  writeAll(pieces: readonly Uint8Array[]): boolean;
  /**
   * Begins the TLS handshake as the server, once, at a listener with `tls` and before anything was written. Then
   * follows {@linkcode TransportEvents.onSecure}, or `onClose` where the handshake fails, and until then nothing but
   * `abort` and `cutOff` may be called. It has no deadline of its own.
   *
   * @param rest Bytes that came already and belong to the handshake; they are the core's again afterwards.
   */
  startTls(rest: Uint8Array): void;
  /** Stops reading: at most one more `onData` (what was read already) and no `onEnd` follows until `resume`. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /**
   * Has the system ask a peer that is silent whether it is still there, as often as the system is set to (on Linux after
   * two hours): a machine that has lost its network or its power closes nothing. A peer that does not answer is told as
   * one that has reset the connection, where reading is not paused. Calling it again changes nothing.
   */
  watchPeer(): void;
  /** Sends what was written, then FIN; reading goes on. When the peer's FIN has come too, the connection closes. */
  end(): void;
  /**
   * Closes at once, in both directions: there is nothing more to say. What the system has not taken is discarded; what
   * it had before it sent FIN still reaches a peer that reads on. The peer sees a reset or an end, as it comes. Of all
   * events only `onClose` follows, without a cause. Calling it again, or after `cutOff`, changes nothing.
   */
  abort(): void;
  /**
   * Does what `abort` does, and has the peer see that the connection failed: it is reset. That is the only way to tell
   * a peer of HTTP/1.0 that its content is not whole. What the system has taken already is on its way and mostly
   * arrives.
   *
   * A Unix domain socket has no reset, and Deno has none for what `Deno.listen` accepts: there the peer sees an end.
   */
  cutOff(): void;
}

/**
 * What a listener tells the core. No event fires inside a call of `write`, `pause`, `resume`, `end`, `abort` or
 * `cutOff`: an adapter whose runtime does so defers the event to a microtask. Handlers of the core do not throw.
 */
export interface TransportEvents {
  /** A connection was accepted. Always the first event of a connection. */
  onOpen(connection: TransportConnection): void;
  /** The TLS handshake that `startTls` began is done: what is written and read from now on goes through TLS. */
  onSecure(connection: TransportConnection): void;
  /**
   * Bytes came: those of `borrowed` before `end`, which is not 0. They are valid until return: what the core wants to
   * keep it copies. What lies behind `end` means nothing. So an adapter hands over the buffer it reads into, without a
   * view for each read.
   */
  onData(connection: TransportConnection, borrowed: Uint8Array, end: number): void;
  /** All that was waiting has left, after a `write` that returned false. None follows `end`. */
  onDrain(connection: TransportConnection): void;
  /** The peer sent FIN; writing is still allowed. At most once, after the last `onData`. */
  onEnd(connection: TransportConnection): void;
  /**
   * The connection is gone, in both directions. Exactly once for each `onOpen`, always last, also after `abort` and
   * `cutOff`. `cause` is set when the transport failed (reset, broken pipe), and absent when this side wanted the
   * close.
   */
  onClose(connection: TransportConnection, cause?: Error): void;
  /** Accepting failed (for example EMFILE). The adapter waits a little and goes on accepting by itself. */
  onAcceptError(cause: Error): void;
}

/** A bound, listening socket. */
export interface Listener {
  /**
   * Reads certificates and keys anew, for handshakes that begin from now on; only where it listens with `tls`. Resolves
   * to whether any of them has changed. Rejects as `listen` does where they can't be used: then it keeps those it has.
   */
  reloadTls(): Promise<boolean>;
  /** Where it listens, with the port the system chose. */
  readonly address: Address;
  /**
   * Stops accepting and frees the port; open connections live on, and those that wait in the system's queue are lost.
   * Where the port is not free at once the result resolves when it is. Calling it again changes nothing.
   */
  close(): void | Promise<void>;
  /**
   * Does what `close` does when the system's queue is empty: every connection whose client was told that it is
   * established is opened first. It takes a turn or two of the event loop, and half a second at most. What is still in
   * the queue then is lost; `close` in the meantime ends the wait.
   */
  closeWhenEmpty(): void | Promise<void>;
  /** Lets the listener keep the process alive (the state it starts in). */
  ref(): void;
  /** Lets the process end although the listener is open. */
  unref(): void;
}
