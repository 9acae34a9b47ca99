/**
 * A thousand clients that stop reading, over sockets of the system and on every runtime: what waits for them is bounded, and
 * those that read are served meanwhile.
 *
 * They connect to a Unix domain socket, since of TCP the system alone would keep 2.5 MB for each. Deno and Bun run Trivet
 * from its source, Node from the npm package. It needs npm's registry and Linux, and runs by `deno task test:websocket`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
  findRuntimes,
  type InstalledRuntime,
  installInto,
  makeFolder,
  packPackage,
  ROOT,
} from "../../package/installation.ts";
import { ServingProgram } from "../../package/serving_program.ts";
import { connectRaw, type RawClient } from "../../support/raw_client.ts";
import { frame } from "../../support/websocket_frames.ts";
import { framesOf, webSocketRequest } from "../../support/websocket_wire.ts";

const STALLED = 1_000;
const READING = 10;
const MESSAGE_BYTES = 64 * 1024;
/** As frames of a server: a head of ten bytes. */
const FRAME_BYTES = 10 + MESSAGE_BYTES;
const ROUNDS = 24;
/** Of a message that is echoed. */
const LONG_KIB = 8 * 1024;
/** What may wait for all clients of a thread: `docs/websocket.md`. */
const MAX_KEPT_KIB = 256 * 1024;
/** Frames of connections that are cut off, which a collector has not found yet, and what connections take themselves. */
const MAX_BESIDE_KIB = 768 * 1024;
const AT_ONCE = 50;
const DEADLINE_MS = 30_000;

/** What the server says of itself. */
interface Seen {
  readonly open: number;
  readonly residentKiB: number;
  readonly peakKiB: number;
}

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball);
await Deno.writeTextFile(`${user}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
await Deno.copyFile(new URL("stalled.mjs", import.meta.url), `${user}/stalled.mjs`);

for (const runtime of runtimes) {
  describe(`${STALLED} clients that stop reading, of ${runtime.name} (${runtime.version})`, () => {
    const unixPath = `${folder}/socket`;
    let program: ServingProgram;
    let control: RawClient;
    let clients: RawClient[] = [];

    const open = async (path: string): Promise<RawClient> => {
      const client = await connectRaw({ unixPath });
      clients.push(client);
      client.send(webSocketRequest(path));
      await client.receiveUntil((received) => received.includes("\r\n\r\n"), DEADLINE_MS);
      return client;
    };
    const openMany = async (path: string, count: number): Promise<RawClient[]> => {
      const opened: RawClient[] = [];
      while (opened.length < count) {
        const batch = Math.min(AT_ONCE, count - opened.length);
        opened.push(...await Promise.all(Array.from({ length: batch }, () => open(path))));
      }
      return opened;
    };
    /** Has the server do something. Returns what it says behind that. */
    const ask = async (command: string): Promise<Seen> => {
      const answered = framesOf(control.received()).length;
      control.send(frame({ opcode: 1, payload: command }));
      const received = await control.receiveUntil((all) => framesOf(all).length > answered, DEADLINE_MS);
      return JSON.parse(new TextDecoder().decode(framesOf(received)[answered].payload));
    };
    const assertBounded = (before: Seen, after: Seen): void => {
      const grownKiB = after.peakKiB - before.residentKiB;
      assert.ok(grownKiB < MAX_KEPT_KIB + MAX_BESIDE_KIB, `${grownKiB} KiB`);
    };

    beforeEach(async () => {
      program = new ServingProgram(serveCommand(runtime, unixPath), user);
      await listening(unixPath);
      control = await open("/control");
    });

    afterEach(async () => {
      for (const client of clients) client.destroy();
      clients = [];
      assert.equal(await program.stop(), 0, program.output);
    });

    it("are cut off when too much of what is published waits, and all others get everything", async () => {
      const reading = await openMany("/reading", READING);
      for (const client of await openMany("/stalled", STALLED)) client.pause();
      const before = await ask("nothing");
      assert.equal(before.open, STALLED);
      const headBytes = reading.map((client) => client.receivedBytes);
      let seen = before;
      for (let round = 1; round <= ROUNDS; round++) {
        seen = await ask(`publish ${MESSAGE_BYTES}`);
        await Promise.all(
          reading.map((client, i) => client.receiveUntil(headBytes[i] + round * FRAME_BYTES, DEADLINE_MS)),
        );
      }
      assert.ok(seen.open < STALLED, "some are cut off");
      assertBounded(before, seen);
    });

    it("are cut off when too much of what each is sent waits, and all others go on", async () => {
      const [reading] = await openMany("/echo", 1);
      for (const client of await openMany("/stalled", STALLED)) client.pause();
      const before = await ask("nothing");
      let seen = before;
      for (let round = 1; round <= ROUNDS; round++) {
        seen = await ask(`each ${MESSAGE_BYTES}`);
        reading.send(frame({ opcode: 1, payload: String(round) }));
        await reading.receiveUntil((all) => framesOf(all).length === round, DEADLINE_MS);
      }
      assert.ok(seen.open < STALLED, "some are cut off");
      assertBounded(before, seen);
    });

    it("are cut off when too much of what is echoed to them waits", async () => {
      // Each alone is within its bound: one message may be as long as it likes.
      const long = frame({ opcode: 2, payload: new Uint8Array(LONG_KIB * 1024) });
      const echoing = await openMany("/echo/stalled", 60);
      for (const client of echoing) {
        client.pause();
        client.send(long);
      }
      const [reading] = await openMany("/echo", 1);
      for (let round = 1; round <= ROUNDS; round++) {
        reading.send(frame({ opcode: 1, payload: String(round) }));
        await reading.receiveUntil((all) => framesOf(all).length === round, DEADLINE_MS);
      }
      // Of each the system and the transport have taken less than 1 MiB, which does not wait any more.
      const mostOpen = Math.floor(MAX_KEPT_KIB / (LONG_KIB - 1024));
      let seen = await ask("nothing");
      // What they send takes a moment to come.
      for (let waits = 0; seen.open > mostOpen && waits < 300; waits++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        seen = await ask("nothing");
      }
      assert.ok(seen.open <= mostOpen, `${seen.open} are open`);
    });
  });
}

function serveCommand(runtime: InstalledRuntime, unixPath: string): string[] {
  const args = ["serve", "stalled.mjs", "--unix", unixPath];
  if (runtime.isNode) return runtime.command(`${user}/node_modules/.bin/trivet`, ...args);
  const command = runtime.command(`${ROOT}/src/entry/cli.ts`, ...args);
  return runtime.name === "deno" ? command.toSpliced(2, 0, "--config=deno.json") : command;
}

/** Waits until something listens. */
async function listening(unixPath: string): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS;;) {
    const client = await connectRaw({ unixPath }).catch(() => null);
    client?.destroy();
    if (client !== null) return;
    if (Date.now() > deadline) throw new Error("Nothing listens.");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
