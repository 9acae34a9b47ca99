/**
 * Writes an upload to a file of the temporary folder, as fast as the disk takes it and no faster.
 *
 * A disk that is behind holds up the reading of the socket, and so the client: memory stays flat however large the
 * upload is. Try `curl -T some-large-file http://localhost:8000/`.
 *
 * @module
 */

import { open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "../mod.ts";

const MAX_UPLOAD_BYTES = 4 * 1024 * 1024 * 1024;

// The name is the server's own: one that a client chose could lead out of the folder.
serve({ port: 8000, maxRequestBodySize: MAX_UPLOAD_BYTES, requestTimeout: 0 }, async (request) => {
  if (request.method !== "PUT" || request.body === null) {
    return new Response("PUT a file here.\n", { status: 405, headers: { allow: "PUT" } });
  }
  const path = join(tmpdir(), `upload-${crypto.randomUUID()}`);
  const file = await open(path, "wx");
  let length = 0;
  try {
    for await (const bytes of request.body) {
      await file.write(bytes);
      length += bytes.byteLength;
    }
  } catch (error) {
    // The client went away, or the disk is full: half a file is of no use to anybody.
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return Response.json({ path, length }, { status: 201 });
});
