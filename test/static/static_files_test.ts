/** Files of a folder over the wire: what is served, what is refused, conditions, ranges, and descriptors given back. */

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { serve, type Server, type TrivetError } from "../../mod.ts";
import { createFiles } from "../../runtime/files.ts";
import { staticFiles } from "../../src/entry/static.ts";
import { parseHttpDate } from "../../src/http/dates.ts";
import type { OpenFile } from "../../src/runtime.ts";
import { serveFolder } from "../../src/static/static_files.ts";
import { connectRaw } from "../support/raw_client.ts";

const CHANGED = new Date("2024-02-03T04:05:06.700Z");
const FUTURE = new Date("2036-02-03T04:05:06Z");
const LAST_MODIFIED = "Sat, 03 Feb 2024 04:05:06 GMT";

const folder = await makeFolder();
const server: Server = await serve(
  { port: 0, hostname: "127.0.0.1", onListen: () => {} },
  staticFiles(pathToFileURL(join(folder, "public"))),
).ready();
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function makeFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "trivet-"));
  const root = join(made, "public");
  for (const name of ["sub", "empty", ".well-known", ".git"]) await mkdir(join(root, name), { recursive: true });
  await mkdir(join(made, "public-secret"));
  const files: Record<string, string> = {
    "public/hello.txt": "hello world",
    "public/index.html": "<h1>index</h1>",
    "public/sub/index.html": "<h1>sub</h1>",
    "public/a b#c?.txt": "odd",
    "public/ünï.txt": "umlaut",
    "public/100%.txt": "percent",
    "public/none": "",
    "public/future.txt": "to come",
    "public/.env": "SECRET",
    "public/.git/config": "SECRET",
    "public/.well-known/security.txt": "well known",
    "public/large.bin": "x".repeat(3_000_000),
    "public/PHOTO.JPG": "photo",
    "public/html": "no name before its end",
    "public/a.constructor": "no type",
    "public/sub/start.txt": "start",
    "public-secret/file.txt": "SECRET",
    "secret.txt": "SECRET",
  };
  for (const [path, content] of Object.entries(files)) await writeFile(join(made, path), content);
  await utimes(join(root, "hello.txt"), CHANGED, CHANGED);
  await utimes(join(root, "future.txt"), FUTURE, FUTURE);
  await symlink(join(made, "secret.txt"), join(root, "out.txt"));
  await symlink(join(made, "public-secret"), join(root, "sibling"));
  await symlink(join(root, "hello.txt"), join(root, "in.txt"));
  await symlink("loop", join(root, "loop"));
  execFileSync("mkfifo", [join(root, "pipe")]);
  return made;
}

/** A request as it is written, and the whole response. */
async function ask(target: string, method = "GET", lines: readonly string[] = [], of = server): Promise<string> {
  const client = await connectRaw({ port: of.port });
  client.send([`${method} ${target} HTTP/1.1`, "Host: localhost", "Connection: close", ...lines, "", ""].join("\r\n"));
  const received = await client.receiveAll();
  client.end();
  return received;
}

const statusOf = (received: string): number => Number(received.slice(9, 12));
const contentOf = (received: string): string => received.slice(received.indexOf("\r\n\r\n") + 4);
const fieldOf = (received: string, name: string): string | undefined =>
  new RegExp(`^${name}: (.*)\r$`, "im").exec(received.split("\r\n\r\n")[0] + "\r\n")?.[1];

describe("a file is served", () => {
  const SERVED: readonly [target: string, content: string, type: string][] = [
    ["/hello.txt", "hello world", "text/plain; charset=utf-8"],
    ["/hello.txt?query=../x", "hello world", "text/plain; charset=utf-8"],
    ["/%68ello.txt", "hello world", "text/plain; charset=utf-8"],
    ["/", "<h1>index</h1>", "text/html; charset=utf-8"],
    ["/sub/", "<h1>sub</h1>", "text/html; charset=utf-8"],
    ["/a%20b%23c%3F.txt", "odd", "text/plain; charset=utf-8"],
    ["/%C3%BCn%C3%AF.txt", "umlaut", "text/plain; charset=utf-8"],
    ["/100%25.txt", "percent", "text/plain; charset=utf-8"],
    ["/none", "", "application/octet-stream"],
    ["/.well-known/security.txt", "well known", "text/plain; charset=utf-8"],
    ["/in.txt", "hello world", "text/plain; charset=utf-8"],
    ["/PHOTO.JPG", "photo", "image/jpeg"],
    ["/html", "no name before its end", "application/octet-stream"],
    ["/a.constructor", "no type", "application/octet-stream"],
  ];
  for (const [target, content, type] of SERVED) {
    test(`at ${target}`, async () => {
      const received = await ask(target);
      assert.deepEqual([statusOf(received), contentOf(received), fieldOf(received, "content-type")], [
        200,
        content,
        type,
      ]);
      assert.equal(fieldOf(received, "content-length"), String(content.length));
      assert.equal(fieldOf(received, "x-content-type-options"), "nosniff");
    });
  }

  test("whole when it is large, byte for byte", async () => {
    const response = await fetch(`${server.url}large.bin`);
    assert.equal(await response.text(), "x".repeat(3_000_000));
  });

  test("with HEAD as with GET, without its content", async () => {
    const [get, head] = [await ask("/hello.txt"), await ask("/hello.txt", "HEAD")];
    assert.equal(contentOf(head), "");
    const fields = (received: string) => received.split("\r\n\r\n")[0].replace(/^Date: .*$/m, "");
    assert.equal(fields(head), fields(get));
  });

  test("and a folder without the slash at its end is sent there", async () => {
    const received = await ask("/sub?a=b");
    assert.deepEqual([statusOf(received), fieldOf(received, "location")], [301, "/sub/?a=b"]);
  });
});

describe("not found", () => {
  const REFUSED: readonly (readonly [name: string, target: string])[] = [
    ["what is not there", "/nothing.txt"],
    ["dot segments, encoded", "/%2e%2e/secret.txt"],
    ["dot segments, half encoded", "/.%2e/secret.txt"],
    ["dot segments deeper", "/sub/%2e%2e/%2e%2e/secret.txt"],
    ["an encoded slash", "/..%2fsecret.txt"],
    ["an encoded slash within", "/sub%2findex.html"],
    ["a backslash", "/..%5csecret.txt"],
    ["a NUL", "/hello.txt%00.html"],
    ["what is no UTF-8", "/%ff%fe"],
    ["an overlong slash", "/..%c0%afsecret.txt"],
    ["a half-encoded char", "/%4"],
    ["a name that begins with a dot", "/.env"],
    ["a folder that begins with a dot", "/.git/config"],
    ["a link out of the folder", "/out.txt"],
    ["a link to a folder whose name begins alike", "/sibling/file.txt"],
    ["a link to itself", "/loop"],
    ["a pipe, which is not waited for", "/pipe"],
    ["a folder without an index, which is not listed", "/empty/"],
    ["a file with a slash behind it", "/hello.txt/"],
    ["a file as a folder", "/hello.txt/x"],
    ["two slashes at the beginning", "//hello.txt"],
    ["two slashes at the beginning, which of a folder's Location would make a host", "//sub"],
    ["two slashes within", "/sub//index.html"],
    ["a drive of Windows", "/C:/secret.txt"],
    ["a long name", `/${"a".repeat(5_000)}`],
  ];
  for (const [name, target] of REFUSED) {
    test(name, async () => {
      const received = await ask(target);
      assert.ok([404, 400].includes(statusOf(received)), received.slice(0, 200));
      assert.ok(!received.includes("SECRET"));
    });
  }

  test("dot segments in the path of a request are resolved within the folder", async () => {
    assert.ok(!(await ask("/../secret.txt")).includes("SECRET"));
    assert.ok(!(await ask("/sub/../../secret.txt")).includes("SECRET"));
  });
});

test("another method than GET and HEAD is 405, and Allow says so", async () => {
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const received = await ask("/hello.txt", method);
    assert.deepEqual([statusOf(received), fieldOf(received, "allow")], [405, "GET, HEAD"]);
  }
});

const tag = fieldOf(await ask("/hello.txt"), "etag")!;

describe("a condition", () => {
  const EARLIER = "Sat, 03 Feb 2024 04:05:05 GMT";
  const CONDITIONS: readonly [name: string, lines: readonly string[], status: number][] = [
    ["If-None-Match with the tag", [`If-None-Match: ${tag}`], 304],
    ["If-None-Match with the tag, weakly", [`If-None-Match: "x", W/${tag}`], 304],
    ["If-None-Match with any", ["If-None-Match: *"], 304],
    ["If-None-Match with another", ['If-None-Match: "x"'], 200],
    ["If-Modified-Since the change", [`If-Modified-Since: ${LAST_MODIFIED}`], 304],
    ["If-Modified-Since, as asctime has it", ["If-Modified-Since: Sat Feb  3 04:05:06 2024"], 304],
    ["If-Modified-Since, as RFC 850 has it", ["If-Modified-Since: Saturday, 03-Feb-24 04:05:06 GMT"], 304],
    ["If-Modified-Since before", [`If-Modified-Since: ${EARLIER}`], 200],
    ["If-Modified-Since with no date", ["If-Modified-Since: yesterday"], 200],
    ["If-None-Match before If-Modified-Since", ['If-None-Match: "x"', `If-Modified-Since: ${LAST_MODIFIED}`], 200],
    ["If-Match with the tag", [`If-Match: "x", ${tag}`], 200],
    ["If-Match with the tag, weakly", [`If-Match: W/${tag}`], 412],
    ["If-Match with another", ['If-Match: "x"'], 412],
    ["If-Unmodified-Since the change", [`If-Unmodified-Since: ${LAST_MODIFIED}`], 200],
    ["If-Unmodified-Since before", [`If-Unmodified-Since: ${EARLIER}`], 412],
  ];
  for (const [name, lines, status] of CONDITIONS) {
    test(`${name}: ${status} (9110 13)`, async () => {
      const received = await ask("/hello.txt", "GET", lines);
      assert.equal(statusOf(received), status);
      if (status !== 200) assert.equal(contentOf(received), "");
      // Of the file only 304 tells anything, and not its type, since it has no content.
      assert.equal(fieldOf(received, "etag"), status === 412 ? undefined : tag);
      assert.equal(fieldOf(received, "content-type") !== undefined, status === 200);
    });
  }

  const RANGES: readonly [name: string, lines: readonly string[], status: number, content: string, range?: string][] = [
    ["the first bytes", ["Range: bytes=0-4"], 206, "hello", "bytes 0-4/11"],
    ["from the middle on", ["Range: bytes=6-"], 206, "world", "bytes 6-10/11"],
    ["in the middle", ["Range: bytes=2-3"], 206, "ll", "bytes 2-3/11"],
    ["a single byte", ["Range: bytes=4-4"], 206, "o", "bytes 4-4/11"],
    ["the last bytes", ["Range: bytes=-5"], 206, "world", "bytes 6-10/11"],
    ["more than there is", ["Range: bytes=6-100"], 206, "world", "bytes 6-10/11"],
    ["the last bytes, more than there are", ["Range: bytes=-100"], 206, "hello world", "bytes 0-10/11"],
    ["behind the end", ["Range: bytes=11-"], 416, "", "bytes */11"],
    ["the last none", ["Range: bytes=-0"], 416, "", "bytes */11"],
    ["several: the whole", ["Range: bytes=0-1,3-4"], 200, "hello world"],
    ["another unit: the whole", ["Range: lines=0-1"], 200, "hello world"],
    ["turned round: the whole", ["Range: bytes=4-0"], 200, "hello world"],
    ["nothing: the whole", ["Range: bytes=-"], 200, "hello world"],
    ["If-Range with the tag", ["Range: bytes=0-4", `If-Range: ${tag}`], 206, "hello", "bytes 0-4/11"],
    ["If-Range with another: the whole", ["Range: bytes=0-4", 'If-Range: "x"'], 200, "hello world"],
    ["If-Range with the date", ["Range: bytes=0-4", `If-Range: ${LAST_MODIFIED}`], 206, "hello", "bytes 0-4/11"],
    ["If-Range with another date: the whole", ["Range: bytes=0-4", `If-Range: ${EARLIER}`], 200, "hello world"],
  ];
  for (const [name, lines, status, content, range] of RANGES) {
    test(`range, ${name} (9110 14)`, async () => {
      const received = await ask("/hello.txt", "GET", lines);
      assert.deepEqual([statusOf(received), contentOf(received)], [status, content]);
      assert.equal(fieldOf(received, "content-range"), range);
    });
  }

  test("range with HEAD is ignored (9110 14.2)", async () => {
    assert.equal(statusOf(await ask("/hello.txt", "HEAD", ["Range: bytes=0-4"])), 200);
  });
});

test("an option names the index, what Cache-Control says of files, and who answers what is not there", async () => {
  const options = {
    index: "start.txt",
    cacheControl: "max-age=60",
    notFound: (request: Request) => new Response(`no ${new URL(request.url).pathname}`, { status: 410 }),
  };
  const own = await serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    staticFiles(pathToFileURL(join(folder, "public")), options),
  ).ready();
  const cachedFor = (received: string): string | undefined => fieldOf(received, "cache-control");
  const [found, unchanged] = [
    await ask("/sub/", "GET", [], own),
    await ask("/sub/", "GET", ["If-None-Match: *"], own),
  ];
  assert.deepEqual([statusOf(found), contentOf(found), cachedFor(found)], [200, "start", "max-age=60"]);
  assert.deepEqual([statusOf(unchanged), cachedFor(unchanged)], [304, "max-age=60"]);
  for (const target of ["/nothing", "/.env"]) {
    const missing = await ask(target, "GET", [], own);
    assert.deepEqual([statusOf(missing), contentOf(missing)], [410, `no ${target}`]);
    assert.equal(cachedFor(missing), undefined);
  }
  await own.stop();
  assert.equal(cachedFor(await ask("/hello.txt")), undefined);
});

test("Last-Modified and the entity tag tell when a file was changed", async () => {
  const received = await ask("/hello.txt");
  assert.equal(fieldOf(received, "last-modified"), LAST_MODIFIED);
  assert.match(fieldOf(received, "etag")!, /^"[a-z0-9]+-[a-z0-9]+"$/);
});

describe("descriptors are given back", () => {
  /** Counts what is open. */
  function counting(change: Partial<OpenFile> = {}) {
    const files = createFiles();
    const counts = { open: 0, opened: 0 };
    const handler = serveFolder({
      ...files,
      async open(url) {
        const file = await files.open(url);
        if (file === null) return null;
        counts.open++;
        counts.opened++;
        let isOpen = true;
        return {
          ...file,
          ...change,
          close: async () => {
            if (isOpen) counts.open--;
            isOpen = false;
            await file.close();
          },
        };
      },
    }, pathToFileURL(join(folder, "public")).href);
    return { handler, counts };
  }
  const REQUESTS: readonly [name: string, path: string, init: RequestInit][] = [
    ["a whole file", "large.bin", {}],
    ["HEAD", "large.bin", { method: "HEAD" }],
    ["304", "hello.txt", { headers: { "if-none-match": "*" } }],
    ["416", "hello.txt", { headers: { range: "bytes=99-" } }],
    ["nothing in it", "none", {}],
  ];
  for (const [name, path, init] of REQUESTS) {
    test(`after ${name}`, async () => {
      const { handler, counts } = counting();
      const own = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler).ready();
      await (await fetch(own.url + path, { ...init, headers: { connection: "close", ...init.headers } })).arrayBuffer();
      await own.shutdown();
      assert.deepEqual(counts, { open: 0, opened: 1 });
    });
  }

  const FAILURES: readonly (readonly [name: string, read: OpenFile["read"], message: string])[] = [
    [
      "has become shorter",
      () => Promise.resolve(0),
      "The file has become shorter while it was sent.",
    ],
    ["can't be read", () => Promise.reject(new Error("The disk is gone.")), "The disk is gone."],
  ];
  for (const [name, read, message] of FAILURES) {
    test(`when a file ${name} while it is sent, which is told`, async () => {
      const { handler, counts } = counting({ read });
      const causes: unknown[] = [];
      const options = {
        port: 0,
        hostname: "127.0.0.1",
        onListen: () => {},
        onError: ({ cause }: TrivetError) => void causes.push((cause as Error).message),
      };
      const own = await serve(options, handler).ready();
      await ask("/hello.txt", "GET", [], own).catch(() => {});
      await own.shutdown();
      assert.deepEqual([counts, causes], [{ open: 0, opened: 1 }, [message]]);
    });
  }

  test("when the client leaves in the middle", async () => {
    const { handler, counts } = counting();
    const own = await serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler).ready();
    const client = await connectRaw({ port: own.port });
    client.send("GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await client.receiveUntil((received) => received.length > 1_000);
    client.destroy();
    for (let waits = 0; counts.open > 0 && waits < 500; waits++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(counts, { open: 0, opened: 1 });
    await own.stop();
  });
});

test("a file from the future was changed no later than its response was made (9110 8.8.2.1)", async () => {
  const { headers } = await fetch(`${server.url}future.txt`, { headers: { connection: "close" } });
  const [changed, made] = ["last-modified", "date"].map((name) => parseHttpDate(headers.get(name))!);
  // The Date field is made anew once a second.
  assert.ok(changed <= made + 1_000, `${headers.get("last-modified")} is behind ${headers.get("date")}`);
});

describe("what can't be served is said when the handler is made", () => {
  const WRONG: readonly [name: string, root: unknown, options: unknown, message: RegExp][] = [
    ["no folder", undefined, {}, /^The option root is undefined, allowed is a path or a file: URL\.$/],
    ["an empty path, which would be the program's own folder", "", {}, /^The option root is "", allowed is a path/],
    ["a URL of another kind", new URL("http://a.test/"), {}, /expected a path or a file: URL/],
    ["options that are none", "public", null, /^The option options is null, allowed is an object\.$/],
    ["an unknown option", "public", { indx: "a" }, /^Unknown option of staticFiles\(\) "indx", did you mean index\?$/],
    ["an index that is no text", "public", { index: 5 }, /^The option index is 5, allowed is a string\.$/],
    [
      "an index in a folder",
      "public",
      { index: "sub/a" },
      /^The option index is "sub\/a", allowed is the name of a file/,
    ],
    [
      "a field that can't be sent",
      "public",
      { cacheControl: "a\nb" },
      /^The option cacheControl is "a\\nb", allowed is/,
    ],
    [
      "no handler for what is not there",
      "public",
      { notFound: 404 },
      /^The option notFound is 404, allowed is a function/,
    ],
  ];
  for (const [name, root, options, message] of WRONG) {
    test(name, () => {
      assert.throws(() => staticFiles(root as string, options as object), { name: "TypeError", message });
    });
  }
});

describe("dates of HTTP (9110 5.6.7)", () => {
  const DATES: readonly [text: string | null, ms: number | null][] = [
    ["Sun, 06 Nov 1994 08:49:37 GMT", 784111777000],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 784111777000],
    ["Sun Nov  6 08:49:37 1994", 784111777000],
    ["Sun, 06 Nov 1994 08:49:37", null],
    ["Sun, 06 Nov 1994 25:49:37 GMT", null],
    ["Sun, 06 Xyz 1994 08:49:37 GMT", null],
    ["1994-11-06T08:49:37Z", null],
    ["", null],
    [null, null],
  ];
  for (const [text, ms] of DATES) test(`${text}`, () => assert.equal(parseHttpDate(text), ms));
});
