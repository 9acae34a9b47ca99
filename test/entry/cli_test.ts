/** The command-line program, as a process of its own on the runtime that runs the test. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { detectRuntime } from "../../runtime/detect.ts";
import { OPTION_NAMES } from "../../src/api/option_rules.ts";
import { parseArguments } from "../../src/entry/cli_arguments.ts";
import { FLAGS } from "../../src/entry/cli_flags.ts";
import { VERSION } from "../../src/api/version.ts";
import { type DifferentialRow, get, okText, post } from "../fixtures/differential.ts";
import { CONNECTION_ROWS } from "../fixtures/differential_connections.ts";
import { REFUSAL_ROWS } from "../fixtures/differential_refusals.ts";
import { REQUEST_ROWS } from "../fixtures/differential_requests.ts";
import { RESPONSE_ROWS } from "../fixtures/differential_responses.ts";
import { connectRaw } from "../support/raw_client.ts";
import { type Exit, Program } from "./program.ts";

const CLI = new URL("../../src/entry/cli.ts", import.meta.url);
const HANDLERS = fileURLToPath(new URL("../fixtures/handlers_module.ts", import.meta.url));
const { name: runtime, version } = detectRuntime();
const IMF_FIXDATE = /^Date: .*GMT\r$/gm;
const ANYWHERE = ["--port", "0", "--hostname", "127.0.0.1"];

function run(...args: readonly string[]): Program {
  return new Program(CLI, args);
}

/** Serves a module, and waits until it is served. */
async function serving(modulePath: string, ...args: readonly string[]) {
  const program = run(modulePath, ...ANYWHERE, ...args);
  const [line, port] = await program.line(/^Listening on http:\/\/127\.0\.0\.1:(\d+)\/ .*$/);
  return { program, line, port: Number(port) };
}

/** A module of JavaScript in a folder of its own, for as long as a function runs. */
async function withModule(source: string, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "trivet-"));
  const path = join(folder, "app.mjs");
  await writeFile(path, source);
  try {
    await use(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The text of the response to a request for the top, on a connection of its own. */
async function ask(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  return await response.text();
}

/** A handler that never answers would be waited for to the end. */
function isAnswered({ talk }: DifferentialRow): boolean {
  return talk.every((turn) => turn === "FIN" || !("send" in turn) || !turn.send.includes("/never"));
}

async function stopAndExpectSuccess(program: Program): Promise<Exit> {
  program.signal("SIGTERM");
  const exit = await program.ended;
  assert.deepEqual([exit.code, exit.signal, exit.errors], [0, null, []]);
  return exit;
}

describe("trivet serve", () => {
  test("takes infinity for the one timeout that can be", async () => {
    const { program } = await serving(HANDLERS, "--half-close-timeout", "infinity");
    await stopAndExpectSuccess(program);
  });

  test("serves an application, whose members are no options", async () => {
    const source = `class Application {
      greeting = "hello";
      model() { return this; }
      onError() { console.log("The application's own was called."); }
      fetch() {
        if (this.greeting === "") throw new Error("boom");
        const { greeting } = this;
        this.greeting = "";
        return new Response(greeting);
      }
    }
    export default new Application();`;
    await withModule(source, async (path) => {
      const { program, port } = await serving(path);
      assert.equal(await ask(port), "hello");
      assert.equal(await ask(port), "Internal Server Error\n");
      program.signal("SIGTERM");
      const { code, output, errors } = await program.ended;
      assert.equal(code, 0);
      assert.match(errors.join("\n"), /boom/);
      assert.doesNotMatch(output.join("\n"), /own was called/);
    });
  });

  test("says where it listens and on what, and serves the module", async () => {
    const { program, line, port } = await serving(HANDLERS);
    assert.equal(line, `Listening on http://127.0.0.1:${port}/ (${runtime} ${version}, event-driven)`);
    const client = await connectRaw({ port });
    client.send(get("/text", "Connection: close"));
    const received = (await client.receiveAll()).replace(IMF_FIXDATE, "Date: <date>\r");
    assert.equal(received, okText("hello", "Connection: close"));
    client.end();
    await stopAndExpectSuccess(program);
  });

  test("finishes at SIGTERM the exchange in flight, and ends with 0 and a report", async () => {
    const { program, port } = await serving(HANDLERS);
    const client = await connectRaw({ port });
    client.send(post("/echo", "Content-Length: 5", "Expect: 100-continue"));
    await client.receiveUntil((received) => received.includes("100 Continue"));
    program.signal("SIGTERM");
    await program.line(/^SIGTERM: finishing 1 exchanges in flight; again to stop at once$/);
    client.send("hello");
    assert.match(await client.receiveAll(), /Connection: close\r\n\r\nhello$/);
    client.end();
    const { code, output, errors } = await program.ended;
    assert.deepEqual([code, errors], [0, []]);
    assert.match(output[2], /^Stopped: 1 connections drained, 0 aborted, \d+ ms$/);
    assert.equal(output.length, 3);
  });

  test("stops at SIGINT too", async () => {
    const { program } = await serving(HANDLERS);
    program.signal("SIGINT");
    const { code, output } = await program.ended;
    assert.equal(code, 0);
    assert.match(output[1], /^SIGINT: finishing 0 exchanges in flight/);
    assert.match(output[2], /^Stopped: 0 connections drained, 0 aborted, \d+ ms$/);
  });

  test("stops at the next signal at once, whatever is in flight", async () => {
    const { program, port } = await serving(HANDLERS);
    const client = await connectRaw({ port });
    client.send(post("/echo", "Content-Length: 5", "Expect: 100-continue"));
    await client.receiveUntil((received) => received.includes("100 Continue"));
    program.signal("SIGTERM");
    await program.line(/^SIGTERM: /);
    // What comes within half a second is taken for the first signal once more, so it is sent until it counts.
    const repeated = setInterval(() => program.signal("SIGINT"), 100);
    await program.line(/^Stopped: /).finally(() => clearInterval(repeated));
    const { code, output } = await program.ended;
    assert.equal(code, 3, "something was cut off");
    assert.match(output[2], /^Stopped: 0 connections drained, 1 aborted, \d+ ms$/);
    client.destroy();
  });

  test("takes a signal right behind the first for the same one, since Ctrl+C may come from two sides", async () => {
    const { program, port } = await serving(HANDLERS);
    const client = await connectRaw({ port });
    client.send(post("/echo", "Content-Length: 5", "Expect: 100-continue"));
    await client.receiveUntil((received) => received.includes("100 Continue"));
    program.signal("SIGINT");
    program.signal("SIGINT");
    await program.line(/^SIGINT: /);
    program.signal("SIGINT");
    client.send("hello");
    assert.match(await client.receiveAll(), /hello$/);
    client.end();
    const { output } = await program.ended;
    assert.match(output[2], /^Stopped: 1 connections drained, 0 aborted, \d+ ms$/);
  });

  test("takes options, which win over those of the module", async () => {
    const source = 'export default { fetch: () => new Response("hello"), maxRequestTargetSize: 100, port: 1 }';
    await withModule(source, async (path) => {
      const { program, port } = await serving(path, "--max-request-target-size=16", "--native-request");
      const client = await connectRaw({ port });
      client.send(get(`/${"a".repeat(16)}`));
      assert.match(await client.receiveAll(), /^HTTP\/1\.1 414 .* more than 16 bytes/s);
      client.end();
      await stopAndExpectSuccess(program);
    });
  });

  test("takes another model than the module is written for, without the options of that one", async () => {
    await withModule(
      'export default { fetch: () => new Response("hello"), model: "hybrid", threads: 2 }',
      async (path) => {
        const { program, line, port } = await serving(path, "--model", "worker-pool", "--workers=3");
        assert.match(line, /worker-pool, 3 workers/);
        assert.equal(await ask(port), "hello");
        await stopAndExpectSuccess(program);
      },
    );
  });

  test("survives everything the other tests send, cut off in the middle, and prints nothing of it", async () => {
    const { program, port } = await serving(HANDLERS);
    const rows = [...REQUEST_ROWS, ...RESPONSE_ROWS, ...REFUSAL_ROWS, ...CONNECTION_ROWS].filter(isAnswered);
    for (const [index, { talk }] of rows.entries()) {
      const client = await connectRaw({ port });
      for (const turn of talk) {
        if (turn === "FIN") client.end();
        else if ("send" in turn) client.send(turn.send.slice(0, 50_000));
      }
      // The reset comes while the request is read, handled or answered.
      setTimeout(() => client.reset(), index % 4);
    }
    const client = await connectRaw({ port });
    client.send(get("/text", "Connection: close"));
    assert.match(await client.receiveAll(), /\r\n\r\nhello$/);
    client.end();
    const { output } = await stopAndExpectSuccess(program);
    assert.equal(output.length, 3);
  });
});

describe("the flags", () => {
  /** Why an option can't be set on the command line. */
  const WITHOUT_FLAG: Readonly<Record<string, string>> = {
    fetch: "a function; the module has it",
    module: "the argument itself",
    onError: "a function",
    onListen: "a function; the program prints the address",
    onWarning: "a function",
    signal: "an object; the program listens to signals",
    minDataRate: "an object",
    accessLog: "the program has --log and --log-file",
    metrics: "what shows them is mounted by a program",
    handleSignals: "the program does, unless the module says no",
  };

  test("set every option of serve() that a command line can name", () => {
    const flags = new Set(FLAGS.map(({ option }) => option).filter((option) => option !== undefined));
    assert.deepEqual([...flags, ...Object.keys(WITHOUT_FLAG)].sort(), [...OPTION_NAMES]);
  });

  test("have names of their own", () => {
    const names = FLAGS.flatMap((flag) => flag.names);
    assert.deepEqual(names, [...new Set(names)]);
  });

  for (
    const [args, expected] of [
      [["app.ts"], {}],
      [["serve", "app.ts"], {}],
      [["-p", "80", "app.ts"], { port: 80 }],
      [["app.ts", "-p=80", "--host=::1"], { port: 80, hostname: "::1" }],
      [["app.ts", "--hostname", "::1"], { hostname: "::1" }],
      [["app.ts", "--tls-cert=c.pem", "--tls-key", "k.pem"], { tls: { cert: "c.pem", key: "k.pem" } }],
      [["app.ts", "--trust-proxy", "loopback"], { trustProxy: { from: "loopback" } }],
      [["app.ts", "--trust-proxy=10.0.0.0/8,::1"], { trustProxy: { from: ["10.0.0.0/8", "::1"] } }],
      [["app.ts", "--trust-proxy", "2"], { trustProxy: { from: 2 } }],
      [["app.ts", "--proxy-protocol", "10.0.0.1"], { proxyProtocol: { from: ["10.0.0.1"] } }],
    ] as const
  ) {
    test(`are read in any order, before and behind the module: ${args.join(" ")}`, () => {
      assert.deepEqual(parseArguments(args), { name: "serve", target: "app.ts", options: expected, settings: {} });
    });
  }
});

describe("--watch", () => {
  const source = (text: string) => `export default { fetch: () => new Response(${JSON.stringify(text)}) };`;

  /** Writes the module, once more where Deno has overlooked that while it was starting the program, and waits for it. */
  async function change(path: string, port: number, expected: string): Promise<void> {
    let text = "";
    for (let waits = 0; text !== expected && waits < 200; waits++) {
      if (waits % 60 === 0) await writeFile(path, source(expected));
      await new Promise((resolve) => setTimeout(resolve, 50));
      text = await ask(port).catch(() => "");
    }
    assert.equal(text, expected);
  }

  test("starts the program anew when its module changes, also behind one that was broken, and stops with it", async () => {
    await withModule(source("before"), async (path) => {
      const free = createServer();
      await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
      const { port } = free.address() as AddressInfo;
      await new Promise((resolve) => free.close(resolve));
      const program = run(path, "--watch", "--host", "127.0.0.1", "--port", String(port));
      await program.line(/^Listening on /);
      assert.equal(await ask(port), "before");
      await change(path, port, "after");
      await writeFile(path, 'console.log("not yet"); throw new Error();');
      await program.line(/^not yet$/);
      await change(path, port, "mended");
      program.signal("SIGTERM");
      await program.ended;
      await assert.rejects(ask(port));
    });
  });
});

describe("a folder", () => {
  async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "trivet-"));
    await writeFile(join(folder, "index.html"), "from the folder");
    await writeFile(join(folder, "app.mjs"), "export default { fetch: (request) => new Response(request.method) };");
    await use(folder).finally(() => rm(folder, { recursive: true }));
  }
  const methodsOf = async (port: number, path: string): Promise<string[]> => {
    const ask = async (method: string) => {
      const init = { method, headers: { connection: "close" } };
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
      return `${response.status} ${await response.text()}`;
    };
    return [await ask("GET"), await ask("POST")];
  };

  test("is served", async () => {
    await withFolder(async (folder) => {
      const { program, port } = await serving(folder);
      assert.deepEqual(await methodsOf(port, "/"), ["200 from the folder", "405 Method Not Allowed\n"]);
      await stopAndExpectSuccess(program);
    });
  });

  test("is served beside a module, which answers what is no file", async () => {
    await withFolder(async (folder) => {
      const { program, port } = await serving(join(folder, "app.mjs"), "--static", folder);
      assert.deepEqual(await methodsOf(port, "/"), ["200 from the folder", "200 POST"]);
      assert.deepEqual(await methodsOf(port, "/other"), ["200 GET", "200 POST"]);
      await stopAndExpectSuccess(program);
    });
  });
});

describe("a module that was written for another server", () => {
  const MODULES: readonly [name: string, source: string][] = [
    [
      "bun run",
      'export default { port: 3000, hostname: "0.0.0.0", idleTimeout: 10, development: false, maxRequestBodySize: 1024,\n' +
      '  fetch(request, server) { return new Response("hello"); }, error() { return new Response("error"); } };',
    ],
    ["deno serve", 'export default { fetch(_request, _info) { return new Response("hello"); }, onListen() {} };'],
    [
      "a framework, whose application is an object with state",
      'class App { #text = "hello"; get routes() { return []; } fetch() { return new Response(this.#text); } }\n' +
      "export default new App();",
    ],
    [
      "a framework whose fetch is an arrow function, behind a top-level await",
      'const text = await Promise.resolve("hello");\nexport default { fetch: async () => new Response(text), env: {} };',
    ],
  ];
  for (const [name, source] of MODULES) {
    test(`runs unchanged: ${name}`, async () => {
      await withModule(source, async (path) => {
        const { program, port } = await serving(path);
        assert.equal(await ask(port), "hello");
        await stopAndExpectSuccess(program);
      });
    });
  }
});

describe("a command line that can't be understood", () => {
  const WRONG: readonly { name: string; args: readonly string[]; error: string }[] = [
    { name: "no module", args: ["serve"], error: "No module to serve; usage: trivet <module or folder> [options]." },
    { name: "two modules", args: ["serve", HANDLERS, "b.ts"], error: 'One module is served, got a second: "b.ts".' },
    {
      name: "an unknown option",
      args: ["serve", HANDLERS, "--prot=1"],
      error: 'Unknown option "--prot"; did you mean --port?',
    },
    {
      name: "an option that is near to none",
      args: ["serve", HANDLERS, "--colour", "green"],
      error: 'Unknown option "--colour"; see trivet --help.',
    },
    {
      name: "an option of another server",
      args: ["serve", HANDLERS, "--parallel"],
      error: 'Unknown option "--parallel"; write --loops, or --model hybrid --threads.',
    },
    {
      name: "a value that is neither a number nor infinity",
      args: ["serve", HANDLERS, "--half-close-timeout", "never"],
      error: 'The option --half-close-timeout is "never", allowed is a whole number, or infinity.',
    },
    {
      name: "infinity where it is not allowed",
      args: ["serve", HANDLERS, "--write-timeout", "infinity"],
      error: 'The option --write-timeout is "infinity", allowed is a whole number.',
    },
    {
      name: "an option without its value",
      args: ["serve", HANDLERS, "--port"],
      error: "The option --port needs a value.",
    },
    {
      name: "an empty module, which would be the working directory",
      args: ["", "--port", "0"],
      error: "No module to serve; usage: trivet <module or folder> [options].",
    },
    {
      name: "an empty folder, which would be the working directory",
      args: [HANDLERS, "--static", ""],
      error: "The option --static needs a value.",
    },
    {
      name: "an option whose value is no number",
      args: ["serve", HANDLERS, "--port", "http"],
      error: 'The option --port is "http", allowed is a whole number.',
    },
    {
      name: "a flag with a value",
      args: ["serve", HANDLERS, "--reuse-port=yes"],
      error: "The option --reuse-port takes no value.",
    },
  ];
  for (const { name, args, error } of WRONG) {
    test(`${name}: one line`, () => {
      assert.throws(() => parseArguments(args), { name: "UsageError", message: error });
    });
  }
});

describe("a command line that can't be done", () => {
  /** Exits with 2 for what is wrong in the command line, with 1 for what is wrong in the world. */
  const WRONG: readonly { name: string; args: readonly string[]; code: 1 | 2; error: string }[] = [
    {
      name: "an unknown option",
      args: ["serve", HANDLERS, "--prot=1"],
      code: 2,
      error: 'Unknown option "--prot"; did you mean --port?',
    },
    {
      name: "a number out of its range",
      args: ["serve", HANDLERS, "--port", "65536"],
      code: 2,
      error: "The option port is 65536, allowed is a whole number from 0 to 65535.",
    },
    {
      name: "an unknown model",
      args: ["serve", HANDLERS, "--model", "fast"],
      code: 2,
      error: 'The option model is "fast", allowed is one of "blocking", "worker-pool", "event-driven", "hybrid".',
    },
    {
      name: "a folder on threads",
      args: [dirname(HANDLERS), "--model", "hybrid"],
      code: 2,
      error: "The files of a folder are served by one event loop: leave out the model hybrid, and loops.",
    },
    {
      name: "a missing module",
      args: ["serve", "./no_such.ts"],
      code: 1,
      error: `The module ${JSON.stringify(join(process.cwd(), "no_such.ts"))} does not exist. [module-invalid]`,
    },
  ];
  for (const { name, args, code, error } of WRONG) {
    test(`${name}: one line, and ${code}`, async () => {
      const exit = await run(...args).ended;
      assert.deepEqual([exit.code, exit.errors, exit.output], [code, [`trivet: ${error}`], []]);
    });
  }

  test("a module that Deno may not read: what it was not permitted", {
    skip: !("Deno" in globalThis) && "only Deno has permissions",
  }, () =>
    withModule("export default { fetch: () => new Response() };", async (path) => {
      const place = { flags: [`--deny-read=${dirname(path)}`, "--no-prompt"] };
      const { code, errors } = await new Program(CLI, [path, ...ANYWHERE], place).ended;
      assert.equal(code, 1);
      assert.match(errors[0], /^trivet: Requires read access to ".*app\.mjs", run again with the --allow-read flag$/);
    }));

  const BAD_MODULES: readonly { name: string; source: string; code: 1 | 2; error: RegExp }[] = [
    {
      name: "without a default export",
      source: "export const fetch = () => {};",
      code: 1,
      error: /has no default export, expected .* \[module-invalid\]$/,
    },
    {
      name: "whose default export has no fetch",
      source: "export default { port: 1 };",
      code: 1,
      error: /has a default export without a fetch function, .* \[module-invalid\]$/,
    },
    {
      name: "whose default export is still to come",
      source: "export default Promise.resolve({ fetch() {} });",
      code: 1,
      error: /has a promise as its default export, which has to be awaited, expected .* \[module-invalid\]$/,
    },
    {
      name: "whose fetch is no function",
      source: 'export default { fetch: "it" };',
      code: 1,
      error: /has a default export without a fetch function, .* \[module-invalid\]$/,
    },
    {
      name: "that throws when it is loaded",
      source: 'throw new Error("Broken\\nfor good");',
      code: 1,
      error: /could not be loaded: Broken/,
    },
    { name: "that throws what is no error", source: 'throw "broken";', code: 1, error: /could not be loaded: broken/ },
    { name: "that is no JavaScript", source: "export default {", code: 1, error: /could not be loaded: .+$/ },
    {
      name: "with a wrong option",
      source: 'export default { fetch() {}, maxHeaderSize: "big" };',
      code: 2,
      error: /The option maxHeaderSize is "big", allowed is a whole number of bytes from 256 to 1048576\.$/,
    },
  ];
  for (const { name, source, code, error } of BAD_MODULES) {
    test(`a module ${name}: a line, perhaps with where it is, and ${code}`, async () => {
      await withModule(source, async (path) => {
        const exit = await run("serve", path, ...ANYWHERE).ended;
        assert.equal(exit.code, code);
        assert.ok(exit.errors.length < 10, exit.errors.join("\n"));
        assert.match(exit.errors[0], /^trivet: /);
        assert.match(exit.errors[0], error);
        assert.deepEqual(exit.output, []);
      });
    });
  }

  test("a module with a syntax error: the file, the line and the code there", async () => {
    await withModule("const a = 1;\nexport default {\n  fetch() { return new Response(a; },\n};\n", async (path) => {
      const { code, errors } = await run(path, ...ANYWHERE).ended;
      assert.equal(code, 1);
      assert.ok(errors.length > 2 && errors.length < 10, errors.join("\n"));
      const shown = errors.slice(1).join("\n");
      assert.match(shown, new RegExp(`app\\.mjs:3`));
      assert.match(shown, /fetch\(\) \{ return new Response\(a; \},\n.*[\^~]/);
      assert.ok(!shown.includes("\x1b"));
    });
  });

  test("a module that throws while it is loaded: where, in its own code", async () => {
    await withModule('\nthrow new Error("no database");\n', async (path) => {
      const { errors } = await run(path, ...ANYWHERE).ended;
      assert.match(errors[0], /could not be loaded: no database \[module-invalid\]$/);
      assert.match(errors[1], /^ {4}at .*app\.mjs:2/);
      assert.equal(errors.length, 2, errors.join("\n"));
    });
  });

  test("a busy port: one line, and 1", async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    const { port } = busy.address() as AddressInfo;
    const exit = await run("serve", HANDLERS, "--hostname", "127.0.0.1", "--port", String(port)).ended;
    await new Promise((resolve) => busy.close(resolve));
    assert.equal(exit.code, 1);
    assert.equal(exit.errors.length, 1, exit.errors.join("\n"));
    assert.ok(exit.errors[0].startsWith(`trivet: Can't listen at 127.0.0.1:${port}: `), exit.errors[0]);
    assert.deepEqual(exit.output, []);
  });
});

describe("trivet that is asked about itself", () => {
  for (const args of [["--help"], ["-h"], ["help"], [], ["serve", "--help"]]) {
    test(`is asked how it is used: ${args.join(" ") || "no arguments"}`, () => {
      assert.deepEqual(parseArguments(args), { name: "help" });
    });
  }

  test("prints how it is used", async () => {
    const { code, output, errors } = await run("--help").ended;
    assert.deepEqual([code, errors], [0, []]);
    assert.equal(output[0], "Usage: trivet <module or folder> [options]");
    assert.ok(
      output.includes("  -p, --port <number>                 TCP port; 0 lets the system choose (default 8000)"),
    );
    for (const { names: [name] } of FLAGS) assert.ok(output.some((line) => line.includes(` ${name} `)), name);
  });

  for (const arg of ["--version", "-v"]) {
    test(`is asked for its version: ${arg}`, () => assert.deepEqual(parseArguments([arg]), { name: "version" }));
  }

  test("prints its version and that of the runtime", async () => {
    const { code, output } = await run("-v").ended;
    assert.deepEqual([code, output], [0, [`trivet ${VERSION} on ${runtime} ${version}`]]);
  });
});
