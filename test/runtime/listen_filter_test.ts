/** How the system is told to leave unanswered what connects to a listener that closes: what Linux is asked for. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import process from "node:process";
import { describe, test } from "node:test";
import { detectRuntime } from "../../runtime/detect.ts";
import { acceptLast, type SystemCalls } from "../../runtime/listen_filter.ts";
import type { Listener, TcpAddress } from "../../src/transport.ts";
import { AT_ANY_PORT, EventRecorder } from "./event_recorder.ts";

const PORT = 0x1f90;
const [AF_UNIX, AF_INET, AF_INET6] = [1, 2, 10];
/** Where memory begins. */
const ADDRESS = 0x7f00_1234_5678;

/** A descriptor of the process that is a socket. */
interface Socket {
  readonly descriptor: number;
  readonly family: number;
  readonly port: number;
  readonly isListening: boolean;
  readonly refusesFilters?: boolean;
}

const LISTENER: Socket = { descriptor: 7, family: AF_INET, port: PORT, isListening: true };

/** One instruction of a filter: code, jumps and value (`struct sock_filter`). */
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** A C library, and the filters that were attached by it. */
class Library {
  readonly attached: { readonly descriptor: number; readonly filter: readonly Instruction[] }[] = [];
  readonly #sockets: readonly Socket[];
  readonly #memory: Uint8Array[] = [];

  constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  readonly calls: SystemCalls = {
    getsockopt: (descriptor, level, option, value, byteLength) => {
      assert.deepEqual([level, option], [1, 30], "SOL_SOCKET, SO_ACCEPTCONN");
      assert.deepEqual([...byteLength], [4, 0, 0, 0]);
      const socket = this.#find(descriptor);
      if (socket === undefined) return -1;
      value.set([socket.isListening ? 1 : 0, 0, 0, 0]);
      return 0;
    },
    getsockname: (descriptor, address, byteLength) => {
      assert.deepEqual([address.byteLength, ...byteLength], [128, 128, 0, 0, 0]);
      const { family, port } = this.#find(descriptor)!;
      address.set([family, 0, port >> 8, port & 0xff]);
      return 0;
    },
    setsockopt: (descriptor, level, option, value, byteLength) => {
      assert.deepEqual([level, option], [1, 26], "SOL_SOCKET, SO_ATTACH_FILTER");
      assert.equal(byteLength, 16);
      const view = new DataView(value.buffer, value.byteOffset, byteLength);
      const instructions = this.#memory[Number(view.getBigUint64(8, true)) - ADDRESS];
      assert.equal(instructions.byteLength, 8 * view.getUint16(0, true));
      if (this.#find(descriptor)!.refusesFilters === true) return -1;
      this.attached.push({ descriptor, filter: readFilter(instructions) });
      return 0;
    },
    addressOf: (bytes) => ADDRESS + this.#memory.push(bytes) - 1,
  };

  #find(descriptor: number): Socket | undefined {
    return this.#sockets.find((socket) => socket.descriptor === descriptor);
  }
}

function readFilter(bytes: Uint8Array): Instruction[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: bytes.byteLength / 8 }, (_, i) => [
    view.getUint16(8 * i, true),
    view.getUint8(8 * i + 2),
    view.getUint8(8 * i + 3),
    view.getUint32(8 * i + 4, true),
  ]);
}

/** How many bytes of a segment a filter lets through, as Linux runs it. */
function run(filter: readonly Instruction[], segment: Uint8Array): number {
  let accumulator = 0;
  for (let at = 0;; at++) {
    const [code, ifTrue, ifFalse, value] = filter[at];
    if (code === 0x30) accumulator = segment[value];
    else if (code === 0x54) accumulator &= value;
    else if (code === 0x15) at += accumulator === value ? ifTrue : ifFalse;
    else if (code === 0x06) return value;
    else assert.fail(`There is no instruction ${code}.`);
  }
}

/** A segment with these flags. */
function segment(flags: number): Uint8Array {
  const bytes = new Uint8Array(20).fill(0xff);
  bytes[13] = flags;
  return bytes;
}

const [FIN, SYN, RST, PSH, ACK, ECE, CWR] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80];

/** Asks for a filter where these are the sockets of the process, of which so many are the server's. */
async function attach(
  sockets: readonly Socket[],
  descriptors = 1,
): Promise<{ isDone: boolean; attached: Library["attached"] }> {
  const library = new Library(sockets);
  const isDone = await acceptLast(() => library.calls, PORT, () => 0, descriptors);
  return { isDone, attached: library.attached };
}

describe("the filter of a listener that closes", () => {
  test("drops the segments that ask for a connection, and no other ones", async () => {
    const { isDone, attached: [{ filter }] } = await attach([LISTENER]);
    assert.equal(isDone, true);
    for (const flags of [SYN, SYN | ECE | CWR]) assert.equal(run(filter, segment(flags)), 0, `${flags}`);
    for (const flags of [ACK, SYN | ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, 0]) {
      assert.equal(run(filter, segment(flags)), 0xffff, `${flags}`);
    }
  });

  for (const family of [AF_INET, AF_INET6]) {
    test(`is attached to the one socket that listens at the port, of family ${family}`, async () => {
      const { attached } = await attach([
        { ...LISTENER, descriptor: 3, port: PORT + 1 },
        { ...LISTENER, descriptor: 4, port: PORT + 0x100 },
        { ...LISTENER, descriptor: 5, family: AF_UNIX },
        { ...LISTENER, descriptor: 6, isListening: false },
        { ...LISTENER, descriptor: 4_095, family },
        { ...LISTENER, descriptor: 4_096 },
      ]);
      assert.deepEqual(attached.map(({ descriptor }) => descriptor), [4_095]);
    });
  }

  test("is attached to each that the server has at the port", async () => {
    const { isDone, attached } = await attach([LISTENER, { ...LISTENER, descriptor: 9 }], 2);
    assert.deepEqual([isDone, attached.map(({ descriptor }) => descriptor)], [true, [7, 9]]);
  });

  for (const [descriptors, what] of [[1, "more"], [3, "fewer"]] as const) {
    test(`is attached to none where ${what} listen at the port than the server has: others may go on`, async () => {
      const { isDone, attached } = await attach([LISTENER, { ...LISTENER, descriptor: 9 }], descriptors);
      assert.deepEqual([isDone, attached], [false, []]);
    });
  }

  test("is not there where the socket is not found, or takes none", async () => {
    assert.equal((await attach([{ ...LISTENER, port: 1 }])).isDone, false);
    assert.equal((await attach([{ ...LISTENER, refusesFilters: true }])).isDone, false);
  });

  test("is waited for until nothing is accepted any more", async () => {
    let asked = 0;
    assert.equal(await acceptLast(() => new Library([LISTENER]).calls, PORT, () => Math.min(asked++, 4), 1), true);
    assert.ok(asked > 4, `${asked}`);
  });
});

describe("the C library", () => {
  const names = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
  for (const [index, name] of names.entries()) {
    test(`is opened as ${name}, where there is none by the names before`, async () => {
      const tried: string[] = [];
      const library = new Library([LISTENER]);
      const isDone = await acceptLast(
        (each) => {
          tried.push(each);
          if (each !== name) throw new Error("There is no such file.");
          return library.calls;
        },
        PORT,
        () => 0,
        1,
      );
      assert.deepEqual([isDone, tried], [true, names.slice(0, index + 1)]);
    });
  }

  test("may not be there: then nothing is done", async () => {
    const open = (): never => {
      throw new Error("It is not permitted.");
    };
    assert.equal(await acceptLast(open, PORT, () => assert.fail("nothing is waited for"), 1), false);
  });
});

const runtime = detectRuntime();
/** Node can't call a C library; the filter is Linux's. */
const hasFilter = runtime.name !== "node" && process.platform === "linux";

describe(`a client that connects while a listener closes, on ${runtime.name}`, { skip: !hasFilter }, () => {
  /** How it fares with a client that connects as soon as this was called. */
  function outcomeOf({ port }: TcpAddress): Promise<unknown> {
    return new Promise((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => {
        resolve("connected");
        socket.destroy();
      }).on("error", ({ code }: Error & { code?: string }) => resolve(code));
    });
  }

  for (const [what, options] of Object.entries({ alone: {}, "that may be shared": { reusePort: true } })) {
    test(`is not answered until the port is free: a port ${what}`, async () => {
      const recorder = new EventRecorder();
      const listener: Listener = await runtime.listen({ ...AT_ANY_PORT, ...options }, recorder);
      const closed = listener.closeWhenEmpty();
      const outcome = outcomeOf(listener.address as TcpAddress);
      await closed;
      // The system sends its SYN again after a second.
      assert.equal(await outcome, "ECONNREFUSED");
      assert.deepEqual([recorder.connections.length, recorder.violations], [0, []]);
    });
  }

  for (const [closes, expected] of [[2, "ECONNREFUSED"], [1, "connected"]] as const) {
    test(`is ${closes === 2 ? "not " : ""}answered where ${closes} of 2 listeners at the port close`, async () => {
      const shared = { ...AT_ANY_PORT, reusePort: true, listeners: closes };
      const first: Listener = await runtime.listen(shared, new EventRecorder());
      const address = first.address as TcpAddress;
      const second: Listener = await runtime.listen({ ...shared, port: address.port }, new EventRecorder());
      const closed = first.closeWhenEmpty();
      const outcome = outcomeOf(address);
      await closed;
      if (closes === 2) await second.closeWhenEmpty();
      assert.equal(await outcome, expected);
      await second.close();
    });
  }
});
