// The shape of SvelteKit's server, as its adapters call it: respond() of an object with state, which makes a Request of
// its own for handlers and hooks, and lets redirects and errors be thrown.
let aborted = "not yet";
const encoder = new TextEncoder();

class Server {
  #platform = null;

  init({ env }) {
    this.#platform = { env };
    return Promise.resolve();
  }

  async respond(request, { getClientAddress }) {
    const url = new URL(request.url);
    const event = { request, url, getClientAddress, platform: this.#platform, cookies: request.headers.get("cookie") };
    try {
      return await ENDPOINTS[`${request.method} ${url.pathname}`](event);
    } catch (thrown) {
      if (thrown instanceof Response) throw thrown;
      return new Response("Internal Error", { status: 500 });
    }
  }
}

const ENDPOINTS = {
  "GET /": ({ platform }) => new Response(platform.env.GREETING),
  "GET /peer": ({ getClientAddress }) => Response.json({ ip: getClientAddress() }),
  "POST /form": async ({ request }) => {
    const form = await request.formData();
    return Response.json({ name: form.get("name"), file: await form.get("file").text() });
  },
  "PUT /through": ({ request, url }) => {
    // As event.fetch does for what the application answers itself.
    const inner = new Request(url, request);
    return new Response(inner.body);
  },
  "GET /hangs": ({ request }) => {
    request.signal.addEventListener("abort", () => aborted = "aborted");
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          controller.enqueue(encoder.encode("on and on "));
        },
      }),
    );
  },
  "GET /aborted": () => new Response(aborted),
  "GET /redirect": () => {
    throw new Response(null, { status: 302, headers: { location: "/" } });
  },
  "GET /throws": () => {
    throw new Error("on purpose");
  },
};

const server = new Server();
await server.init({ env: { GREETING: "hello" } });

export default {
  fetch: (request, info) => server.respond(request, { getClientAddress: () => info.remoteAddr.hostname }),
};
