/**
 * The files of `docs/deploy.md` for systemd, Docker and Kubernetes, run or parsed as they stand there. Those for nginx and
 * HAProxy are run by `main.ts`, and its code by the tests of the pages.
 *
 * It needs systemd's programs and `unshare` (Debian: systemd, util-linux), and npm's registry for a parser of YAML.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { documented, documentedBlocks, substitute } from "./documented.ts";
import { findProgram } from "./proxies.ts";
import { freePort } from "../support/free_port.ts";
import { findContenders } from "./runners.ts";

const APP = fileURLToPath(new URL("./app.ts", import.meta.url));
const DEADLINE_MS = 15_000;
const DOCUMENTED_COMMAND = "node_modules/.bin/trivet";

const contenders = await findContenders();
const activate = await findProgram("systemd-socket-activate");
const analyze = await findProgram("systemd-analyze");
const unshare = await findProgram("unshare");

/** A program that is installed, or a failure that says what to install. */
function need(path: string | null, name: string, debian: string): string {
  assert.ok(path !== null, `${name} is not installed: apt-get install ${debian}.`);
  return path;
}

/** What a documented command says behind the module that it serves. */
function flagsBehindModule(words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => /(?:^|\/)app\.js$/.test(word));
  assert.ok(at > 0 && words[at - 1].endsWith(DOCUMENTED_COMMAND), words.join(" "));
  return words.slice(at + 1);
}

/** A process that prints what its program prints. */
class Running {
  readonly child: Deno.ChildProcess;
  output = "";
  readonly #read: Promise<unknown>;

  constructor(argv: readonly string[], env: Record<string, string> = {}) {
    const [program, ...args] = argv;
    this.child = new Deno.Command(program, { args, env, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.output += text;
    };
    this.#read = Promise.all([read(this.child.stdout), read(this.child.stderr)]);
  }

  async until(pattern: RegExp): Promise<void> {
    for (const untilMs = Date.now() + DEADLINE_MS; !pattern.test(this.output);) {
      if (Date.now() > untilMs) throw new Error(`${pattern} was not printed:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it with SIGKILL if it does not end in time. */
  async ended(): Promise<number> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), DEADLINE_MS);
    const { code } = await this.child.status;
    clearTimeout(timer);
    await this.#read;
    return code;
  }
}

async function ask(port: number): Promise<string> {
  for (const untilMs = Date.now() + DEADLINE_MS;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/`, {
        method: "POST",
        body: "this",
        headers: { connection: "close" },
      });
      return await response.text();
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("the page", () => {
  it("has no block that no test runs", () => {
    const files = documentedBlocks().map(({ language, file }) => file === "" ? language : file);
    const known = ["sh", "ts", "nginx.conf", "haproxy.cfg", "app.service", "app.socket", "Dockerfile", "app.yaml"];
    assert.deepEqual(files.filter((file) => !known.includes(file)), []);
    assert.deepEqual(known.filter((file) => !files.includes(file)), []);
  });
});

describe("systemd", () => {
  it("finds nothing wrong with the units", async () => {
    const folder = await Deno.makeTempDir({ prefix: "trivet-" });
    try {
      const service = substitute(documented("app.service"), ["/usr/bin/node", "/bin/true"]);
      await Deno.writeTextFile(`${folder}/app.service`, service);
      await Deno.writeTextFile(`${folder}/app.socket`, documented("app.socket"));
      const args = ["verify", `${folder}/app.service`, `${folder}/app.socket`];
      const command = new Deno.Command(need(analyze, "systemd-analyze", "systemd"), { args });
      const { stderr } = await command.output();
      const complaints = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("app."));
      assert.deepEqual(complaints, []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  it("waits longer for the end than a stop takes", () => {
    const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(documented("app.service"))?.[1]);
    assert.ok(seconds * 1_000 > 1_000 + 10_000, `${seconds} s`);
  });

  for (const { runtime, command } of contenders) {
    it(`hands over a socket, at which the command listens on ${runtime}`, async () => {
      const words = /^ExecStart=(.*)$/m.exec(documented("app.service"))![1].split(" ");
      assert.match(documented("app.socket"), /^ListenStream=8001$/m);
      const port = freePort();
      const flags = flagsBehindModule(words);
      // The environment of the unit says PORT, which a socket goes before.
      const own = [need(activate, "systemd-socket-activate", "systemd"), "-l", `127.0.0.1:${port}`, "-E", "PORT=8001"];
      const program = new Running([...own, "-E", "PATH", "-E", "HOME", ...command, APP, ...flags, "--log", "none"]);
      try {
        assert.equal(await ask(port), "got this");
        await program.until(new RegExp(`Listening on http://127.0.0.1:${port}/`));
        program.child.kill("SIGTERM");
        assert.equal(await program.ended(), 0, program.output);
        assert.match(program.output, /Stopped: \d+ connections drained, 0 aborted/);
      } finally {
        await program.ended();
      }
    });

    it(`whose socket is for another process is not listened at on ${runtime}`, async () => {
      const port = freePort();
      const env = { LISTEN_PID: "1", LISTEN_FDS: "1", HOST: "127.0.0.1", PORT: String(port) };
      const program = new Running([...command, APP, "--log", "none"], env);
      try {
        assert.equal(await ask(port), "got this");
      } finally {
        program.child.kill("SIGTERM");
        await program.ended();
      }
    });

    it(`that hands over two sockets is told in one line that one is served, on ${runtime}`, async () => {
      const listens = ["-l", `127.0.0.1:${freePort()}`, "-l", `127.0.0.1:${freePort()}`];
      const own = [need(activate, "systemd-socket-activate", "systemd"), ...listens, "-E", "PATH", "-E", "HOME"];
      const program = new Running([...own, ...command, APP]);
      const port = Number(listens[1].split(":")[1]);
      // The program is started when a client connects.
      await program.until(/Listening on/);
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      assert.equal(await program.ended(), 2, program.output);
      assert.match(program.output, /trivet: The environment variable LISTEN_FDS is "2", and one socket is served/);
    });
  }
});

describe("Docker", () => {
  const dockerfile = documented("Dockerfile");

  it("is given a file that is understood: an image, what is copied, no root, and a command without a shell", () => {
    const instructions = dockerfile.trim().split("\n").map((line) => line.split(" ")[0]);
    assert.deepEqual(instructions, ["FROM", "WORKDIR", "COPY", "RUN", "COPY", "USER", "ENV", "EXPOSE", "CMD"]);
    const [, port] = /^ENV PORT=(\d+)$/m.exec(dockerfile)!;
    assert.match(dockerfile, new RegExp(`^EXPOSE ${port}$`, "m"));
  });

  for (const { runtime, command } of contenders) {
    it(`has the first process of a container stop on SIGTERM, on ${runtime}`, async () => {
      const words = JSON.parse(/^CMD (.*)$/m.exec(dockerfile)![1]) as string[];
      const port = freePort();
      // A namespace of processes of its own, in which the command has the number 1. What is outside sends the signal.
      const own = [need(unshare, "unshare", "util-linux"), "--pid", "--fork", "--kill-child", "--mount-proc"];
      const env = { PORT: String(port), HOST: "127.0.0.1" };
      const program = new Running([...own, ...command, APP, ...flagsBehindModule(words), "--log", "none"], env);
      try {
        assert.equal(await ask(port), "got this");
        await killChildOf(program.child.pid);
        assert.equal(await program.ended(), 0, program.output);
        assert.match(program.output, /SIGTERM: [^]*Stopped: \d+ connections drained, 0 aborted/);
      } finally {
        await program.ended();
      }
    });
  }
});

/** Sends SIGTERM to the process that another one has started. */
async function killChildOf(pid: number): Promise<void> {
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  Deno.kill(Number(children.trim().split(" ")[0]), "SIGTERM");
}

describe("Kubernetes", () => {
  it("is given a manifest whose probes and grace period match the stop", async () => {
    const { parseAllDocuments } = await import("npm:yaml@2");
    const documents = parseAllDocuments(documented("app.yaml"));
    assert.deepEqual(documents.flatMap(({ errors }: { errors: unknown[] }) => errors), []);
    // deno-lint-ignore no-explicit-any -- A manifest has the types that it has.
    const [deployment, service] = documents.map((document: any) => document.toJS());
    assert.deepEqual([deployment.kind, service.kind], ["Deployment", "Service"]);
    const { template, selector } = deployment.spec;
    assert.deepEqual([selector.matchLabels, service.spec.selector], [
      template.metadata.labels,
      template.metadata.labels,
    ]);
    const [{ args, ports: [{ containerPort }], readinessProbe }] = template.spec.containers;
    const flags = Object.fromEntries(flagsBehindModule(args).map((flag) => flag.slice(2).split("=")));
    assert.equal(readinessProbe.httpGet.path, flags["health-path"]);
    assert.deepEqual([readinessProbe.httpGet.port, service.spec.ports[0].targetPort], [containerPort, containerPort]);
    const noticedMs = readinessProbe.periodSeconds * 1_000 * (readinessProbe.failureThreshold + 1);
    assert.ok(Number(flags["drain-delay"]) > noticedMs, "the probe fails while everything is still answered");
    const stopMs = Number(flags["drain-delay"]) + Number(flags["drain-timeout"]);
    assert.ok(template.spec.terminationGracePeriodSeconds * 1_000 > stopMs, "the stop ends before the kill");
  });
});
