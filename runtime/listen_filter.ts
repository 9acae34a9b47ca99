/**
 * Has the system leave unanswered what connects to a listener from now on, so that closing it loses nothing.
 *
 * A filter on the listening socket drops each segment that opens a connection (socket(7), SO_ATTACH_FILTER, which takes
 * no privilege). Handshakes that were answered already are completed, and are accepted like everything before them;
 * when a round trip is over nothing can come any more. Clients ask again a second later, when the port is closed, or is
 * that of a new process. Without it what comes between the last look into the queue and the close is lost.
 *
 * Neither Deno nor Bun can ask for that, so that the calls are made in the C library, where the program may do so. This
 * decides what is asked of Linux. It must not know how a runtime accepts.
 *
 * @module
 */

import { acceptedAll } from "./accept_queue.ts";

/** The calls of the C library, as `dlopen` of Deno and of Bun gives them, and where bytes lie. */
export interface SystemCalls {
  getsockopt(socket: number, level: number, option: number, value: Uint8Array, byteLength: Uint8Array): number;
  getsockname(socket: number, address: Uint8Array, byteLength: Uint8Array): number;
  setsockopt(socket: number, level: number, option: number, value: Uint8Array, byteLength: number): number;
  addressOf(bytes: Uint8Array): number | bigint;
}

/** What each call takes; each returns an `int`. */
export const SYSTEM_CALLS: Readonly<Record<Exclude<keyof SystemCalls, "addressOf">, readonly ("int" | "bytes")[]>> = {
  getsockopt: ["int", "int", "int", "bytes", "bytes"],
  getsockname: ["int", "bytes", "bytes"],
  setsockopt: ["int", "int", "int", "bytes", "int"],
};

/**
 * The names of the C library on Linux: that of GNU, and musl's, as Alpine has it. Elsewhere there is none by these
 * names.
 */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/** Linux's values on the processors that runtimes are built for. */
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ACCEPTCONN = 30;
/** Room for an address of any family. */
const ADDRESS_BYTES = 128;
const AF_INET = 2;
const AF_INET6 = 10;
/** Descriptors that are looked through: a listener, which is opened at the start, has a low number. */
const MAX_DESCRIPTOR = 4_096;

/**
 * Of a segment, SYN and ACK are two bits of the byte 13; one that has the first alone is dropped (RFC 9293 section
 * 3.1).
 */
const DROPS_SYN: readonly (readonly [code: number, ifTrue: number, ifFalse: number, value: number])[] = [
  [0x30, 0, 0, 13], // A = segment[13]
  [0x54, 0, 0, 0x12], // A &= SYN | ACK
  [0x15, 0, 1, 0x02], // if (A === SYN)
  [0x06, 0, 0, 0], // return nothing of it
  [0x06, 0, 0, 0xffff], // return all of it
];

/**
 * Has nothing new come to the listeners of a server at a port, and waits until all was accepted that came before.
 * Resolves to whether that could be done: not where another server of this process listens there too, which may go on.
 *
 * @param open Opens the C library by a name; throws where there is none, or the program may not.
 * @param countAccepted How many connections were accepted so far.
 * @param descriptors How many the server has at the port, all of whose listeners close now.
 */
export async function acceptLast(
  open: (library: string) => SystemCalls,
  port: number,
  countAccepted: () => number,
  descriptors: number,
): Promise<boolean> {
  const calls = openFirst(open);
  const listening = calls === null ? [] : findListening(calls, port);
  if (listening.length !== descriptors) return false;
  if (!listening.every((socket) => attachFilter(calls!, socket))) return false;
  // This takes some milliseconds, more than a handshake with a proxy that was under way. A client that connects
  // meanwhile sends its SYN again after a second.
  await acceptedAll(countAccepted);
  return true;
}

function openFirst(open: (library: string) => SystemCalls): SystemCalls | null {
  for (const library of LIBRARIES) {
    try {
      return open(library);
    } catch {
      // The next name may be that of this system.
    }
  }
  return null;
}

/** The descriptors of what listens at a port in this process. */
function findListening(calls: SystemCalls, port: number): number[] {
  const found: number[] = [];
  const [value, address] = [new Uint8Array(4), new Uint8Array(ADDRESS_BYTES)];
  for (let descriptor = 3; descriptor < MAX_DESCRIPTOR; descriptor++) {
    if (calls.getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, value, lengthOf(value)) !== 0) continue;
    if (value[0] !== 1 || calls.getsockname(descriptor, address, lengthOf(address)) !== 0) continue;
    if ((address[0] !== AF_INET && address[0] !== AF_INET6) || (address[2] << 8 | address[3]) !== port) continue;
    found.push(descriptor);
  }
  return found;
}

function attachFilter(calls: SystemCalls, socket: number): boolean {
  const instructions = new Uint8Array(8 * DROPS_SYN.length);
  const view = new DataView(instructions.buffer);
  for (const [i, [code, ifTrue, ifFalse, value]] of DROPS_SYN.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, ifTrue);
    view.setUint8(8 * i + 3, ifFalse);
    view.setUint32(8 * i + 4, value, true);
  }
  const program = new Uint8Array(16);
  const programView = new DataView(program.buffer);
  programView.setUint16(0, DROPS_SYN.length, true);
  programView.setBigUint64(8, BigInt(calls.addressOf(instructions)), true);
  return calls.setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, program, program.byteLength) === 0;
}

/** A `socklen_t` of so many bytes; an address is shorter than 256. */
function lengthOf({ byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array([byteLength, 0, 0, 0]);
}
