/**
 * `ws` from npm as an oracle: the same bytes, whole and one by one, to an echo made with it and to one on every runtime, and its client with
 * both.
 *
 * Deno and Bun run Trivet from its source, Node from the npm package. It needs npm's registry and runs by
 * `deno task test:websocket`. What can't be installed fails it as a whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { COMPRESSED } from "../../fixtures/websocket_compressed.ts";
import { FRAMES } from "../../fixtures/websocket_frames.ts";
import {
  findRuntimes,
  type InstalledRuntime,
  installInto,
  makeFolder,
  packPackage,
  ROOT,
  succeed,
} from "../../package/installation.ts";
import { ServingProgram } from "../../package/serving_program.ts";
import { connectRaw } from "../../support/raw_client.ts";
import { closePayload, frame } from "../../support/websocket_frames.ts";
import { randomRows } from "./random_rows.ts";
import { bytewise, framesOf, show, webSocketRequest } from "../../support/websocket_wire.ts";

/** Pinned, so that what fails was changed here. */
const WS = "ws@8.23.0";
/** Rows that are played at the same time. */
const AT_ONCE = 8;
const RANDOM_ROWS = 200;
const RANDOM_SEED = 6455;
const GOODBYE = frame({ opcode: 8, payload: closePayload(4321) });

/** Where ws takes what RFC 6455 does not allow, or says so otherwise, and why. */
const DIFFERENCES: readonly (readonly [rows: RegExp, why: string])[] = [
  [/bytes said with [28]$/, "ws takes lengths that are not in their shortest form (RFC 6455 section 5.2: MUST)"],
  [
    /^a length of (?:9223372036854775808|9223372036854775813|18446744073709551615)$/,
    "for ws 64 bits are merely too long",
  ],
  [/which DEFLATE makes longer$/, "for ws a message is too long if its compressed form is, even if it is not itself"],
];

const folder = await makeFolder();
const [runtimes, { tarball }] = await Promise.all([findRuntimes(), packPackage(folder)]);
const user = `${folder}/user`;
await installInto(user, tarball, WS);
await Deno.writeTextFile(`${user}/deno.json`, JSON.stringify({ nodeModulesDir: "manual" }));
for (const file of ["echo.mjs", "oracle.mjs.txt", "client.mjs.txt"]) {
  await Deno.copyFile(new URL(file, import.meta.url), `${user}/${file.replace(/\.txt$/, "")}`);
}
const node = runtimes.find(({ name }) => name === "node@24")!;
const oracle = new ServingProgram(node.command(`${user}/oracle.mjs`), user);
const oracleUrl = await oracle.listening();
/** Each row, whole and byte by byte. */
const rows = [
  ...Object.values(FRAMES).flat().map((row) => ({ ...row, path: "/" })),
  ...COMPRESSED.map((row) => ({ ...row, path: "/deflate" })),
  ...randomRows(RANDOM_ROWS, RANDOM_SEED).map((row) => ({ ...row, path: "/" })),
].flatMap((row) => [{ ...row, isBytewise: false }, { ...row, isBytewise: true }]);
const answersOfOracle = await playAll(oracleUrl);
const resultsOfOracle = await playWithClient(oracleUrl);

for (const runtime of runtimes) {
  describe(`Trivet on ${runtime.name} (${runtime.version}) and ${WS}`, () => {
    let program: ServingProgram;
    let url = "";

    before(async () => {
      program = new ServingProgram(serveCommand(runtime), user);
      url = await program.listening();
    });

    after(async () => {
      assert.equal(await program.stop(), 0, program.output);
    });

    it("answer the same bytes with the same messages and the same close codes", async () => {
      const answers = await playAll(url);
      const different = rows.flatMap(({ name, isBytewise }, i) => {
        const [ws, trivet] = [answersOfOracle[i], answers[i]];
        return ws === trivet ? [] : [{ name, isBytewise, ws: ws.slice(0, 200), trivet: trivet.slice(0, 200) }];
      });
      const isExplained = ({ name }: { name: string }) => DIFFERENCES.some(([explained]) => explained.test(name));
      assert.deepEqual(different.filter((each) => !isExplained(each)), []);
      const unneeded = DIFFERENCES.filter(([explained]) => !different.some(({ name }) => explained.test(name)));
      assert.deepEqual(unneeded, [], "what is said to differ does");
    });

    it("give the client of ws the same", async () => {
      assert.deepEqual(await playWithClient(url), resultsOfOracle);
    });
  });
}

after(() => oracle.stop());

function serveCommand(runtime: InstalledRuntime): string[] {
  const args = ["serve", "echo.mjs", "--hostname", "127.0.0.1", "--port", "0"];
  if (runtime.isNode) return runtime.command(`${user}/node_modules/.bin/trivet`, ...args);
  const command = runtime.command(`${ROOT}/src/entry/cli.ts`, ...args);
  return runtime.name === "deno" ? command.toSpliced(2, 0, "--config=deno.json") : command;
}

/** What a server sends for each row. */
async function playAll(url: string): Promise<string[]> {
  const answers: string[] = [];
  const port = Number(new URL(url).port);
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let i = next++; i < rows.length; i = next++) answers[i] = await play(port, rows[i]);
  }));
  return answers;
}

/** A row ends the connection, or is followed by a Close. */
async function play(port: number, { input, path, isBytewise }: (typeof rows)[number]): Promise<string> {
  const client = await connectRaw({ port });
  const offer = path === "/" ? [] : ["Sec-WebSocket-Extensions: permessage-deflate"];
  client.send(webSocketRequest(path, ...offer));
  for (const piece of isBytewise ? bytewise(input) : [input]) {
    client.send(piece);
    if (isBytewise) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  client.send(GOODBYE);
  // ws resets what it can't read any more, and what it has said before may be lost then.
  const received = await client.receiveAll().catch(() => client.received());
  client.destroy();
  return JSON.stringify(show(framesOf(received)));
}

async function playWithClient(url: string): Promise<Record<string, string[]>> {
  const output = await succeed(node.command(`${user}/client.mjs`, url.replace("http", "ws")), user, 120_000);
  return JSON.parse(output.slice(output.indexOf("{")));
}
