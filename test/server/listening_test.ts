/** Where a server listens: every address unless it is told, permissions of a socket, and what is told when it can't. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TrivetError } from "../../src/api/errors.ts";
import type { ServeOptions } from "../../src/api/options.ts";
import type { Listener, ListenOptions, TransportEvents } from "../../src/transport.ts";
import { createMemoryRuntime } from "../support/memory_runtime.ts";
import { createMemoryServer, text } from "../support/memory_server.ts";
import { connectRaw } from "../support/raw_client.ts";
import { serve } from "../../mod.ts";

/** A server whose runtime notes where it is to listen, and fails there with an error, or a code, that the test names. */
async function listen(options: ServeOptions, failures: Readonly<Record<string, string | Error>> = {}) {
  const memory = createMemoryRuntime();
  const tried: ListenOptions[] = [];
  const runtime = {
    ...memory,
    listen(where: ListenOptions, events: TransportEvents): Listener | Promise<Listener> {
      tried.push(where);
      const failure = failures[where.hostname];
      if (failure instanceof Error) throw failure;
      if (failure !== undefined) throw Object.assign(new Error(`It fails with ${failure}.`), { code: failure });
      return memory.listen(where, events);
    },
  };
  const { server } = createMemoryServer(runtime, options, () => text("hello"));
  const failure = await server.ready().then(() => null, (error: TrivetError) => error);
  if (failure === null) await server.stop();
  return { tried, failure };
}

const IN_USE = "Something listens there already: stop it, or choose another port, such as 0 for any that is free.";

describe("without a hostname a server", () => {
  test("listens at every address of both families", async () => {
    const { tried } = await listen({});
    assert.deepEqual(tried.map(({ hostname }) => hostname), ["::"]);
  });

  for (const code of ["EAFNOSUPPORT", "EADDRNOTAVAIL"]) {
    test(`listens at those of IPv4 where the system has no IPv6: ${code}`, async () => {
      const { tried, failure } = await listen({}, { "::": code });
      assert.deepEqual([tried.map(({ hostname }) => hostname), failure], [["::", "0.0.0.0"], null]);
    });
  }

  test("looks nowhere else when the port is taken", async () => {
    const { tried, failure } = await listen({ port: 80 }, { "::": "EADDRINUSE" });
    assert.equal(tried.length, 1);
    assert.equal(failure?.message, "Can't listen at port 80: It fails with EADDRINUSE. " + IN_USE);
  });

  test("is reached over IPv4, and the peer looks like IPv4", async () => {
    const peers: string[] = [];
    const server = await serve({ port: 0, onListen: () => {} }, (_request, info) => {
      peers.push("hostname" in info.remoteAddr ? info.remoteAddr.hostname : "");
      return new Response("hello");
    }).ready();
    const client = await connectRaw({ port: server.port });
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert.match(await client.receiveAll(), /hello$/);
    client.end();
    await server.stop();
    assert.deepEqual(peers, ["127.0.0.1"]);
  });
});

describe("the options of a listener", () => {
  for (
    const [unixMode, expected] of [[0o660, 0o660], ["660", 0o660], ["0600", 0o600], [undefined, undefined]] as const
  ) {
    test(`permissions of a Unix domain socket, given as ${JSON.stringify(unixMode)}`, async () => {
      const { tried } = await listen({ unix: "/run/app.sock", unixMode });
      assert.deepEqual(tried.map((where) => where.unixMode), [expected]);
    });
  }

  for (const unixMode of [-1, 0o1000, 6.5, "rw", "999", ""]) {
    test(`permissions that are none are refused: ${JSON.stringify(unixMode)}`, async () => {
      const message =
        /^The option unixMode is .*, allowed is file permissions from 0 to 0o777, such as 0o660 or "660"\.$/;
      await assert.rejects(listen({ unix: "/run/app.sock", unixMode }), { name: "TypeError", message });
    });
  }

  for (
    const [code, options, advice] of [
      ["EACCES", { port: 80, hostname: "::" }, /Ports below 1024 need a privilege\.$/],
      ["EADDRNOTAVAIL", { hostname: "192.0.2.1" }, /The hostname is an address of this machine; .*\.$/],
      ["ENOTFOUND", { hostname: "no.test" }, /The hostname is an address of this machine; .*\.$/],
      [
        "EADDRINUSE",
        { unix: "/run/app.sock" },
        /, or what is there is no socket: choose another path, or remove it\.$/,
      ],
      ["EACCES", { unix: "/run/app.sock" }, /The folder of the path must be there, and must be one that .*\.$/],
      ["ENOENT", { unix: "/run/app.sock" }, /The folder of the path must be there, and must be one that .*\.$/],
    ] as const
  ) {
    const [where] = Object.values(options).slice(-1);
    test(`${code} at ${where} says what to do`, async () => {
      const hostname = "hostname" in options ? options.hostname : "::";
      const { failure } = await listen(options, { [hostname]: code });
      assert.match(failure?.message ?? "", advice);
    });
  }

  test("a hostname that can't be resolved says so where the runtime gives no code, and nothing else does", async () => {
    const hostname = "no.test";
    const failures = [
      new Error("Failed to listen"),
      new TypeError("It is wrong"),
      Object.assign(new Error(), { code: 7 }),
    ];
    const advised = failures.map(async (failure) => {
      const { message } = (await listen({ hostname }, { [hostname]: failure })).failure!;
      return /\. The hostname is an address of this machine; /.test(message);
    });
    assert.deepEqual(await Promise.all(advised), [true, false, false]);
    const { failure } = await listen({}, { "::": failures[0] });
    assert.equal(failure?.message, "Can't listen at port 8000: Failed to listen");
  });

  test("a path that has no room in an address is refused, and not cut off", async () => {
    await listen({ unix: `/${"x".repeat(106)}` });
    await assert.rejects(listen({ unix: `/${"ü".repeat(54)}` }), {
      name: "RangeError",
      message: "The option unix is 109 bytes long, allowed are 107 for a path.",
    });
  });

  test("a socket that was handed over stands for an address", async () => {
    const { tried } = await listen({ fd: 3 });
    assert.deepEqual(tried.map(({ descriptor }) => descriptor), [3]);
    for (const other of [{ port: 80 }, { hostname: "::1" }, { unix: "/run/app.sock" }, { reusePort: true }]) {
      await assert.rejects(listen({ fd: 3, ...other }), /^TypeError: The option \w+ has no effect here/);
    }
    await assert.rejects(
      listen({ unixMode: 0o660 }),
      /^TypeError: The option unixMode has no effect here, only with unix/,
    );
  });
});
