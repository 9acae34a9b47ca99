/** The Request a handler gets over a real connection: lazy and native, copied, cloned, passed on, and with a form. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Handler, HttpResponse, serve, type ServeOptions } from "../../mod.ts";
import { detectRuntime } from "../../runtime/detect.ts";

const { name: runtime, version } = detectRuntime();
/** Node keeps the state of a Request in private fields from 24 on, which only its own constructor can make. */
const takesLazyRequests = runtime !== "node" || Number(version.split(".")[0]) < 24;

interface Asked {
  readonly path?: string;
  readonly init?: RequestInit;
  readonly options?: ServeOptions;
}

/** Serves with a handler, asks it once, and gives the text of its response. */
async function ask(handler: Handler, { path = "asked?a=b", init, options }: Asked = {}): Promise<string> {
  const errors: unknown[] = [];
  const where = {
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    onError: (error: unknown) => void errors.push(error),
  };
  const server = await serve({ ...where, ...options }, handler).ready();
  try {
    const headers = new Headers(init?.headers);
    headers.set("connection", "close");
    const response = await fetch(server.url + path, { ...init, headers });
    const text = await response.text();
    assert.deepEqual(errors, []);
    return text;
  } finally {
    await server.shutdown({ timeout: 1_000 });
  }
}

const POST: RequestInit = {
  method: "POST",
  body: "three legs",
  headers: { "x-asked": "yes", "content-type": "text/x-trivet" },
};

/** What is to be seen of a request, whatever it was made by. */
async function describeRequest(request: Request): Promise<string> {
  const { pathname, search } = new URL(request.url);
  return [request.method, pathname + search, request.headers.get("x-asked"), await request.text()].join(" ");
}

const DESCRIBED = "POST /asked?a=b yes three legs";

describe("the Request of a handler", () => {
  for (const nativeRequest of [false, true]) {
    const kind = nativeRequest ? "native" : "lazy";
    const options = { nativeRequest };

    test(`is a Request (${kind})`, async () => {
      const handler: Handler = (request) =>
        HttpResponse.json([
          request instanceof Request,
          request.headers instanceof Headers,
          request.signal instanceof AbortSignal,
        ]);
      assert.equal(await ask(handler, { options }), "[true,true,true]");
    });

    test(`has method, URL, fields and content (${kind})`, async () => {
      assert.equal(
        await ask(async (request) => new HttpResponse(await describeRequest(request)), { init: POST, options }),
        DESCRIBED,
      );
    });

    test(`has no body where there is no content (${kind})`, async () => {
      assert.equal(
        await ask((request) => HttpResponse.json([request.body, request.bodyUsed]), { options }),
        "[null,false]",
      );
    });

    test(`has a clone whose content is read beside its own (${kind})`, async () => {
      const handler: Handler = async (request) => {
        const clone = request.clone();
        const [own, copied] = await Promise.all([describeRequest(request), describeRequest(clone)]);
        return HttpResponse.json([own, copied, request.bodyUsed, clone.bodyUsed]);
      };
      assert.equal(await ask(handler, { init: POST, options }), JSON.stringify([DESCRIBED, DESCRIBED, true, true]));
    });

    test(`has a clone that can be made a Request of, with other fields (${kind})`, async () => {
      const handler: Handler = async (request) => {
        const copy = new Request(request.clone(), { headers: { "x-asked": "again" } });
        return new HttpResponse(await describeRequest(copy));
      };
      assert.equal(await ask(handler, { init: POST, options }), "POST /asked?a=b again three legs");
    });

    test(`is made a Request of by its URL (${kind})`, async () => {
      const handler: Handler = async (request) =>
        new HttpResponse(await describeRequest(new Request(request.url, request)));
      assert.equal(await ask(handler, { init: POST, options }), DESCRIBED);
    });

    test(`gives the fields of a multipart form, with a file (${kind})`, async () => {
      const form = new FormData();
      form.append("legs", "3");
      form.append("names", "Deno");
      form.append("names", "Füße");
      form.append("file", new File([new Uint8Array([0, 13, 10, 255])], "a.bin", { type: "application/x-trivet" }));
      const handler: Handler = async (request) => {
        const received = await request.formData();
        const file = received.get("file") as File;
        const bytes = [...new Uint8Array(await file.arrayBuffer())];
        // Not its type, which Bun derives from the name.
        return HttpResponse.json([received.get("legs"), received.getAll("names"), file.name, bytes]);
      };
      assert.equal(
        await ask(handler, { init: { method: "POST", body: form }, options }),
        '["3",["Deno","Füße"],"a.bin",[0,13,10,255]]',
      );
    });

    test(`gives the fields of a URL-encoded form (${kind})`, async () => {
      const handler: Handler = async (request) => HttpResponse.json([...await request.formData()]);
      const body = new URLSearchParams([["legs", "3"], ["a b", "ü&="]]);
      assert.equal(await ask(handler, { init: { method: "POST", body }, options }), '[["legs","3"],["a b","ü&="]]');
    });

    for (const framing of ["known", "unknown"]) {
      test(`gives content whose length is ${framing} in every way, and so does its clone (${kind})`, async () => {
        const handler: Handler = async (request) => {
          const read: string[] = [];
          for (const each of [request.clone(), request] as (Request & { textStream(): AsyncIterable<string> })[]) {
            read.push(new TextDecoder().decode(await each.clone().bytes()));
            for await (const text of each.textStream()) read.push(text);
            assert.throws(() => each.textStream(), TypeError);
          }
          return new HttpResponse(read.join(", "));
        };
        const body = framing === "known" ? "three" : new Blob(["three"]).stream();
        const init = { ...POST, body, duplex: "half" } as RequestInit;
        assert.equal(await ask(handler, { init, options }), "three, three, three, three");
      });
    }

    test(`reads a form in its clone by the same parser (${kind})`, async () => {
      // Bun's own makes text of it, and that of Node 20 refuses it.
      const body = "--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nv\r\n--x--";
      const headers = { "content-type": "multipart/form-data; boundary=x" };
      const handler: Handler = async (request) => {
        const form = await request.clone().clone().formData();
        return new HttpResponse((form.get("a") as File).name);
      };
      for (const given of [body, new Blob([body]).stream()]) {
        const init = { method: "POST", headers, body: given, duplex: "half" } as RequestInit;
        assert.equal(await ask(handler, { init, options }), "b");
      }
    });

    test(`is consumed once (${kind})`, async () => {
      const handler: Handler = async (request) => {
        await request.text();
        const error = await request.text().catch((error) => error);
        return HttpResponse.json([request.bodyUsed, error instanceof TypeError]);
      };
      assert.equal(await ask(handler, { init: POST, options }), "[true,true]");
    });
  }

  test("is one of the runtime's own where nativeRequest says so, or where it is a clone", async () => {
    // A Request made of another keeps its content, which only the runtime's own can have.
    const handler: Handler = async (request) => new HttpResponse(await describeRequest(new Request(request)));
    assert.equal(await ask(handler, { init: POST, options: { nativeRequest: true } }), DESCRIBED);
    const cloning: Handler = async (request) => new HttpResponse(await describeRequest(new Request(request.clone())));
    assert.equal(await ask(cloning, { init: POST }), DESCRIBED);
  });
});

describe("a lazy Request where the runtime wants one of its own", () => {
  const handler: Handler = async (request) => new HttpResponse(await describeRequest(new Request(request)));
  test(takesLazyRequests ? "is taken by new Request()" : "is refused by new Request() with a TypeError", async () => {
    const careful: Handler = async (request, info) => {
      try {
        return await handler(request, info);
      } catch (error) {
        return new HttpResponse((error as Error).name);
      }
    };
    assert.equal(await ask(careful, { init: POST }), takesLazyRequests ? DESCRIBED : "TypeError");
  });
});

describe("a request that is passed on", () => {
  const KINDS: [name: string, options: ServeOptions, onward: (request: Request) => Request][] = [
    ["as it is, native", { nativeRequest: true }, (request) => request],
    ["as its clone", {}, (request) => request.clone()],
  ];
  if (takesLazyRequests) KINDS.push(["as it is, lazy", {}, (request) => request]);
  for (const [name, options, toOnward] of KINDS) {
    test(`${name}, reaches the origin whole, and the response comes back through`, async () => {
      let isOrigin = false;
      const handler: Handler = async (request) => {
        if (isOrigin) return new HttpResponse(await describeRequest(request), { headers: { "x-origin": "yes" } });
        isOrigin = true;
        // The target URI is this server's own, and its second request is answered as the origin.
        const response = await fetch(toOnward(request));
        assert.equal(response.headers.get("x-origin"), "yes");
        return response;
      };
      assert.equal(await ask(handler, { init: POST, options }), DESCRIBED);
    });
  }

  if (!takesLazyRequests) {
    test("as it is, lazy, is a TypeError on this runtime", async () => {
      const handler: Handler = (request) => fetch(request).catch((error) => new HttpResponse(error.name));
      assert.equal(await ask(handler, { init: POST }), "TypeError");
    });
  }
});
