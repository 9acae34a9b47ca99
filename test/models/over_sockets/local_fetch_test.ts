/** `server.fetch()` under every concurrency model, with real threads: the handler runs where it always does. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fetch as handler } from "../../fixtures/models/app.ts";
import { serveUnder, TESTED_MODELS, TEXTBOOK_BLOCKING } from "../../fixtures/models/tested_models.ts";

const APP = { fetch: handler, module: new URL("../../fixtures/models/app.ts", import.meta.url) };
const UPLOADED_BYTES = 300_000;

describe("server.fetch()", () => {
  for (const model of [...TESTED_MODELS, TEXTBOOK_BLOCKING]) {
    test(`${model.name}: bodies in both directions, an error, and a stop without a rest`, async () => {
      const onError = (): void => {};
      const options = { port: 0, hostname: "127.0.0.1", onListen() {}, onWarning() {}, onError };
      const server = serveUnder(model, options, APP);
      const upload = await server.fetch("/upload", { method: "POST", body: new Uint8Array(UPLOADED_BYTES) });
      assert.equal(await upload.text(), `${UPLOADED_BYTES} bytes, sum 0`);
      const stream = await server.fetch("/stream?bytes=262144");
      assert.equal((await stream.arrayBuffer()).byteLength, 262_144);
      assert.equal((await server.fetch("/throw")).status, 500);
      assert.equal((await server.shutdown({ closeIdle: true })).aborted, 0);
      await assert.rejects(server.fetch("/"), { code: "draining" });
    });
  }
});
