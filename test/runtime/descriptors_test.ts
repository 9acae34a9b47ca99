/** A process that has no descriptors left: it lives, and serves again when there are some. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { detectRuntime } from "../../runtime/detect.ts";
import { connectRaw, type RawClient } from "../support/raw_client.ts";

const runtime = detectRuntime();
const PROGRAM = fileURLToPath(import.meta.resolve("../fixtures/runtime/host_program.ts")).replace(
  /\.ts$/,
  import.meta.url.endsWith(".js") ? ".js" : ".ts",
);
const DEADLINE_MS = 20_000;
/** Enough for a runtime itself. */
const DESCRIPTORS = 128;
/** Of which it can't take all. */
const CONNECTIONS = 160;

/** What a server may say of it: a warning before, and where the runtime tells, what failed. */
const EXPECTED_ERRORS = /^(?:|Trivet: .*|TrivetError: A connection could not be accepted.*|Caused by: .*|\s+at .*)$/;

/** The program, with few descriptors. */
class Program {
  readonly ended: Promise<void>;
  /** What it has printed of errors. */
  errors = "";
  readonly #child;
  #output = "";
  #onOutput = (): void => {};

  /** @param deed What the program does. */
  constructor(deed: string) {
    const { execPath } = process;
    const flags = { deno: ["run", "--allow-all", "--no-check", "--quiet"], bun: ["run"], node: [], memory: [] };
    const argv = [execPath, ...flags[runtime.name], PROGRAM, deed];
    this.#child = spawn("sh", ["-c", `ulimit -n ${DESCRIPTORS}; exec "$@"`, "sh", ...argv], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
      this.#onOutput();
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => void (this.errors += text));
    this.ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  get lines(): string[] {
    return this.#output.split("\n");
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until it has printed a line. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No ${pattern} in ${this.#output}`)), DEADLINE_MS);
      this.#onOutput = () => {
        const found = this.lines.map((line) => pattern.exec(line)).find((match) => match !== null);
        if (found === undefined || found === null) return;
        clearTimeout(timer);
        resolve(found);
      };
      this.#onOutput();
    });
  }

  kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    return this.ended;
  }
}

async function roundTrip(client: RawClient): Promise<void> {
  const before = client.receivedBytes;
  client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await client.receiveUntil(before + 1, 2_000);
}

/** A new client that is served, within the deadline. */
async function serveSoon(port: number): Promise<RawClient> {
  for (const deadlineMs = performance.now() + DEADLINE_MS;;) {
    const client = await connectRaw({ port });
    try {
      await roundTrip(client);
      return client;
    } catch (error) {
      client.destroy();
      if (performance.now() > deadlineMs) throw error;
    }
  }
}

describe(`a process without descriptors on ${runtime.name}`, () => {
  const deeds = [["the adapter alone", "listen"], ["a server with its defaults", "serve"]] as const;
  for (const [name, deed] of deeds) {
    test(`lives, serves its connections, and takes others again when some have closed: ${name}`, () => starve(deed));
  }
});

async function starve(deed: string): Promise<void> {
  const program = new Program(deed);
  const clients: RawClient[] = [];
  try {
    const port = Number((await program.line(/^listening (\d+)$/))[1]);
    for (let i = 0; i < CONNECTIONS; i++) clients.push(await connectRaw({ port }));
    if (runtime.name === "deno" && deed === "listen") await program.line(/^failed EMFILE string$/);
    const beyond = await connectRaw({ port });
    if (deed === "listen") {
      await assert.rejects(roundTrip(beyond), "there is no descriptor for it");
    } else {
      await roundTrip(beyond);
      assert.match(beyond.received(), /^HTTP\/1\.1 503 /, "its defaults leave descriptors for telling so");
    }
    await roundTrip(clients[0]);
    for (const client of clients.splice(CONNECTIONS / 4)) client.destroy();
    clients.push(await serveSoon(port));
    await roundTrip(clients[0]);
    assert.ok(program.isRunning);
    const strayErrors = program.errors.split("\n").filter((line) => !EXPECTED_ERRORS.test(line));
    assert.deepEqual(strayErrors, []);
    const failures = program.lines.filter((line) => line.startsWith("failed ")).length;
    assert.ok(failures < 100, `it rests when accepting fails, and told ${failures} failures`);
  } finally {
    for (const client of clients) client.destroy();
    await program.kill();
  }
}
