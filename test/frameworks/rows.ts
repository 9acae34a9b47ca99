/**
 * What each framework's application is asked, and what it must answer, on every runtime alike.
 *
 * @module
 */

/** One request and its response. */
export interface FrameworkRow {
  readonly name: string;
  /** The path, behind the slash of the server's URL. */
  readonly path: string;
  readonly init?: RequestInit | (() => RequestInit);
  /** 200 unless said otherwise. */
  readonly status?: number;
  /** Fields of the response; a value of `null` must not be there. */
  readonly headers?: Readonly<Record<string, string | RegExp | null>>;
  /** The content, in which `<url>` stands for the server's URL. */
  readonly text?: string | RegExp;
  /** The content as JSON; `<ip>` stands for an address of the loopback. */
  readonly json?: unknown;
  /** The response is left after its first bytes, and this path says "aborted" then. */
  readonly leftAt?: string;
}

/** An application and its rows. */
export interface FrameworkTable {
  readonly framework: string;
  /** The module, in `apps/`. */
  readonly module: string;
  /** Whether it names a port of its own. */
  readonly hasPort?: boolean;
  /** The one runtime it is written for; all, if it is left out. */
  readonly onlyOn?: string;
  /** Whether it is served once more with `--fast-response`. */
  readonly isServedFast?: boolean;
  readonly rows: readonly FrameworkRow[];
}

const json = (method: string, value: unknown): RequestInit => ({
  method,
  body: JSON.stringify(value),
  headers: { "content-type": "application/json" },
});

function form(): RequestInit {
  const body = new FormData();
  body.set("name", "Ada");
  body.set("file", new Blob(["content of a file"]), "file.txt");
  return { method: "POST", body };
}

/** Content whose length is not told. */
function chunked(content: string): RequestInit {
  return { method: "POST", body: new Blob([content]).stream(), duplex: "half" } as RequestInit;
}

/** What every framework does, each in its own way. */
const COMMON_ROWS: readonly FrameworkRow[] = [
  { name: "answers with text", path: "", text: "hello", headers: { "content-length": "5" } },
  {
    // They give a Response without content, from which nobody can tell the length that GET's would have, and a wrong one
    // must not be sent (RFC 9110 section 8.6).
    name: "answers HEAD without content, and without a length that is not GET's",
    path: "",
    init: { method: "HEAD" },
    text: "",
    headers: { "content-length": null },
  },
  {
    name: "reads parameters, the query and fields",
    path: "users/7?sort=up&page=2",
    init: { headers: { "x-agent": "tester" } },
    json: { id: "7", query: { sort: "up", page: "2" }, agent: "tester" },
  },
  {
    name: "reads JSON",
    path: "json",
    init: json("POST", { a: [1, "ü"] }),
    status: 201,
    json: { got: { a: [1, "ü"] } },
  },
  { name: "reads a form with a file", path: "form", init: form(), json: { name: "Ada", file: "content of a file" } },
  {
    name: "sends back the content of the request as a stream",
    path: "through",
    init: { method: "PUT", body: "x".repeat(300_000) },
    text: "x".repeat(300_000),
  },
  { name: "sends a stream", path: "stream", text: "piped" },
  { name: "does not know a path", path: "nothing/here", status: 404 },
];

const COOKIE_ROW: FrameworkRow = {
  name: "reads a cookie and sets several",
  path: "cookies",
  init: { headers: { cookie: "sent=yes; other=1" } },
  text: "yes",
  headers: { "set-cookie": /set=1.*HttpOnly.*second=2/s },
};

const STREAMED_TEXT_ROW: FrameworkRow = {
  name: "streams text in pieces",
  path: "text",
  text: "one two three",
  headers: { "transfer-encoding": "chunked", "content-length": null },
};

/** Of an application that has paths of these names. */
const FORM_ROW: FrameworkRow = {
  name: "reads a form with a file",
  path: "form",
  init: form(),
  json: { name: "Ada", file: "content of a file" },
};
const ABORT_ROW: FrameworkRow = { name: "hears of a client that leaves", path: "hangs", leftAt: "aborted" };

const HONO_ROWS: readonly FrameworkRow[] = [
  ...COMMON_ROWS,
  COOKIE_ROW,
  STREAMED_TEXT_ROW,
  { name: "reads the content twice", path: "twice", init: { method: "POST", body: "again" }, json: ["again", "again"] },
  { name: "bounds content whose length is not told", path: "bounded", init: () => chunked("ok"), text: "POST ok" },
  {
    name: "refuses such content beyond the bound",
    path: "bounded",
    init: () => chunked("x".repeat(100)),
    status: 413,
  },
  {
    name: "takes the method from a field",
    path: "overridden",
    init: { method: "POST", headers: { "x-http-method-override": "PUT" }, body: "ok" },
    text: "PUT ok",
  },
  { name: "reads bytes", path: "bytes", init: { method: "POST", body: "bytes" }, text: "bytes" },
  {
    name: "sends events",
    path: "events",
    text:
      "event: tick\ndata: tick 0\nid: 0\n\nevent: tick\ndata: tick 1\nid: 1\n\nevent: tick\ndata: tick 2\nid: 2\n\n",
    headers: { "content-type": /^text\/event-stream/ },
  },
  {
    name: "compresses a page",
    path: "compressed/page",
    init: { headers: { "accept-encoding": "gzip" } },
    text: "compress me ".repeat(500),
    headers: { "content-encoding": "gzip", vary: /accept-encoding/i },
  },
  {
    name: "compresses a stream",
    path: "compressed/stream",
    init: { headers: { "accept-encoding": "gzip" } },
    text: "compress me ".repeat(100),
    headers: { "content-encoding": "gzip" },
  },
  {
    name: "leaves a page as it is for those who ask for that",
    path: "compressed/page",
    init: { headers: { "accept-encoding": "identity" } },
    text: "compress me ".repeat(500),
    headers: { "content-encoding": null },
  },
  { name: "mounts an application", path: "mounted/hello?a=1", text: "GET <url>hello?a=1 " },
  {
    name: "mounts an application that reads content",
    path: "mounted/hello",
    init: { method: "POST", body: "content" },
    text: "POST <url>hello content",
  },
  { name: "routes to another application", path: "based/hello", text: "based /based/hello" },
  { name: "runs a middleware", path: "logged", text: "logged" },
  {
    name: "allows other origins",
    path: "shared/data",
    init: { method: "OPTIONS", headers: { "origin": "http://example.com", "access-control-request-method": "GET" } },
    status: 204,
    headers: { "access-control-allow-origin": "http://example.com" },
  },
  { name: "tags an entity", path: "tagged", text: "tagged", headers: { etag: /^"[0-9a-f]+"$/ } },
  { name: "has a signal", path: "aborts", json: { isAborted: false } },
  ABORT_ROW,
  { name: "answers what its handlers throw", path: "throws", status: 500, text: "on purpose" },
  { name: "redirects", path: "redirect", init: { redirect: "manual" }, status: 302, headers: { location: "/" } },
];

const H3_ROWS: readonly FrameworkRow[] = [
  ...COMMON_ROWS,
  COOKIE_ROW,
  STREAMED_TEXT_ROW,
  { name: "answers what its handlers throw", path: "throws", status: 418 },
  { name: "passes a Response on", path: "web", json: { web: true }, headers: { "x-web": "yes" } },
  { name: "mounts an application", path: "mounted/hello", text: "inner /mounted/hello" },
  { name: "tells the peer", path: "peer", json: { ip: "<ip>" } },
  ABORT_ROW,
];

const ITTY_ROWS: readonly FrameworkRow[] = [
  // It routes no HEAD by itself.
  ...COMMON_ROWS.filter(({ name }) => !name.includes("HEAD")),
  { name: "answers what its handlers throw", path: "throws", status: 418, json: { status: 418, error: "on purpose" } },
  { name: "mounts an application", path: "mounted/hello", text: "inner <url>mounted/hello" },
  { name: "hands on what Trivet tells its handler", path: "peer", json: { ip: "<ip>" } },
  ABORT_ROW,
  {
    name: "adds fields to a response",
    path: "shared/data",
    init: { headers: { origin: "http://example.com" } },
    json: { shared: true },
    headers: { "access-control-allow-origin": "http://example.com" },
  },
  {
    name: "allows other origins",
    path: "users/7",
    init: { method: "OPTIONS", headers: { origin: "http://example.com" } },
    status: 204,
    headers: { "access-control-allow-origin": "http://example.com" },
  },
];

const graphql = (query: string): RequestInit => ({
  ...json("POST", { query }),
  headers: { "content-type": "application/json", accept: "application/json" },
});

/** As the GraphQL multipart request specification has it. */
function graphqlUpload(): RequestInit {
  const body = new FormData();
  const query = "mutation ($file: File!) { upload(file: $file) }";
  body.set("operations", JSON.stringify({ query, variables: { file: null } }));
  body.set("map", JSON.stringify({ 0: ["variables.file"] }));
  body.set("0", new Blob(["content of a file"]), "file.txt");
  return { method: "POST", body, headers: { accept: "application/json" } };
}

const YOGA_ROWS: readonly FrameworkRow[] = [
  {
    name: "answers a query",
    path: "graphql",
    init: graphql('{ hello(name: "you") }'),
    json: { data: { hello: "hello you" } },
  },
  {
    name: "answers a query in the URL",
    path: `graphql?query=${encodeURIComponent('{ hello(name: "you") }')}`,
    init: { headers: { accept: "application/json" } },
    json: { data: { hello: "hello you" } },
  },
  {
    name: "runs a mutation",
    path: "graphql",
    init: graphql("mutation { add(a: 1, b: 2) }"),
    json: { data: { add: 3 } },
  },
  {
    name: "streams a subscription",
    path: "graphql",
    init: {
      ...json("POST", { query: "subscription { count(to: 3) }" }),
      headers: { "content-type": "application/json", accept: "text/event-stream" },
    },
    headers: { "content-type": /^text\/event-stream/ },
    text: /count":1[\s\S]*count":2[\s\S]*count":3/,
  },
  { name: "says what is wrong", path: "graphql", init: graphql("{ nothing }"), text: /Cannot query field/ },
  { name: "takes an upload", path: "graphql", init: graphqlUpload(), json: { data: { upload: "content of a file" } } },
  {
    ...ABORT_ROW,
    path: "graphql",
    init: {
      ...json("POST", { query: "subscription { hang }" }),
      headers: { "content-type": "application/json", accept: "text/event-stream" },
    },
  },
  {
    name: "shows its page",
    path: "graphql",
    init: { headers: { accept: "text/html" } },
    headers: { "content-type": /^text\/html/ },
    text: /<title>/,
  },
  { name: "does not know a path", path: "nothing", status: 404 },
];

const CREDENTIALS = { email: "ada@a.test", password: "a long password", name: "Ada" };

const AUTH_ROWS: readonly FrameworkRow[] = [
  { name: "knows no session at first", path: "api/auth/get-session", text: "null" },
  {
    name: "signs up",
    path: "api/auth/sign-up/email",
    init: json("POST", CREDENTIALS),
    headers: { "set-cookie": /session_token=.*HttpOnly/ },
    text: /"name":"Ada"/,
  },
  { name: "signs in", path: "api/auth/sign-in/email", init: json("POST", CREDENTIALS), text: /"email":"ada@a.test"/ },
  {
    name: "refuses a wrong password",
    path: "api/auth/sign-in/email",
    init: json("POST", { ...CREDENTIALS, password: "wrong" }),
    status: 401,
    text: /INVALID_EMAIL_OR_PASSWORD/,
  },
  { name: "refuses what is no JSON", path: "api/auth/sign-in/email", init: json("POST", 1), status: 400 },
  { name: "does not know a path", path: "nothing", status: 404 },
];

const TRPC_ROWS: readonly FrameworkRow[] = [
  { name: "answers a query", path: "trpc/hello?input=%22you%22", json: { result: { data: "hello you" } } },
  { name: "runs a mutation", path: "trpc/add", init: json("POST", { a: 1, b: 2 }), json: { result: { data: 3 } } },
  { ...FORM_ROW, path: "trpc/upload", json: { result: { data: { name: "Ada", file: "content of a file" } } } },
  {
    name: "sends the events of a subscription",
    path: "trpc/count",
    headers: { "content-type": "text/event-stream" },
    text: /"count":1[\s\S]*"count":2[\s\S]*"count":3/,
  },
  {
    name: "streams what comes later",
    path: "trpc/later?batch=1&input=%7B%7D",
    init: { headers: { "trpc-accept": "application/jsonl" } },
    headers: { "transfer-encoding": "chunked" },
    text: /1\]+\n[\s\S]*2\]+\n[\s\S]*3\]+\n/,
  },
  { ...ABORT_ROW, path: "trpc/hangs" },
  { name: "answers an error", path: "trpc/throws", status: 403, text: /"message":"on purpose"/ },
  { name: "does not know a procedure", path: "trpc/nothing", status: 404, text: /No procedure found/ },
];

/** A message of the Model Context Protocol, over streamable HTTP. */
function mcp(method: string, params: unknown): RequestInit {
  const message = json("POST", { jsonrpc: "2.0", id: 1, method, params });
  return { ...message, headers: { ...message.headers, accept: "application/json, text/event-stream" } };
}

function mcpTool(name: string, args: unknown): RequestInit {
  return mcp("tools/call", { name, arguments: args });
}

const MCP_ROWS: readonly FrameworkRow[] = [
  {
    name: "begins",
    path: "mcp",
    init: mcp("initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    }),
    headers: { "content-type": "text/event-stream" },
    text: /"serverInfo":\{"name":"test"/,
  },
  { name: "calls a tool", path: "mcp", init: mcpTool("add", { a: 1, b: 2 }), text: /"text":"3"/ },
  {
    name: "takes much content",
    path: "mcp",
    init: mcpTool("size", { content: "x".repeat(300_000) }),
    text: /300000 chars/,
  },
  {
    name: "streams what a tool tells",
    path: "mcp",
    init: mcpTool("steps", {}),
    headers: { "transfer-encoding": "chunked" },
    text: /step 1[\s\S]*step 2[\s\S]*step 3[\s\S]*"text":"done"/,
  },
  { ...ABORT_ROW, path: "mcp", init: mcpTool("hangs", {}) },
  { name: "answers an error of a tool", path: "mcp", init: mcpTool("throws", {}), text: /on purpose.*"isError":true/ },
  { name: "refuses a client that takes no events", path: "mcp", init: json("POST", {}), status: 406 },
  {
    name: "refuses what is no JSON",
    path: "mcp",
    init: { ...mcpTool("add", {}), body: "{" },
    status: 400,
    text: /Parse error/,
  },
];

const ELYSIA_ROWS: readonly FrameworkRow[] = [
  ...COMMON_ROWS.filter(({ path }) => ["", "users/7?sort=up&page=2", "json", "form", "nothing/here"].includes(path))
    .filter(({ name }) => !name.includes("HEAD")),
  STREAMED_TEXT_ROW,
  {
    name: "sends events",
    path: "events",
    text: /^event: tick\ndata: tick 0\n\nevent: tick\ndata: tick 1\n\nevent: tick\ndata: tick 2\n\n$/,
  },
  ABORT_ROW,
  { name: "answers what its handlers throw", path: "throws", status: 418, text: "on purpose" },
];

const REACT_ROUTER_ROWS: readonly FrameworkRow[] = [
  { name: "answers with text", path: "hello", text: "hello", headers: { "content-length": "5" } },
  { name: "reads parameters and the query", path: "users/7?a=1", json: { id: "7", query: { a: "1" } } },
  FORM_ROW,
  STREAMED_TEXT_ROW,
  ABORT_ROW,
  { name: "sends data with a status", path: "data", status: 201, json: { a: 1 } },
  { name: "sends what is thrown", path: "thrown", status: 403, text: "thrown" },
  { name: "answers an error", path: "throws", status: 500 },
  { name: "redirects", path: "redirect", init: { redirect: "manual" }, status: 302, headers: { location: "/hello" } },
  { name: "does not know a path", path: "nothing/here", status: 404, text: "page" },
];

const SVELTE_KIT_ROWS: readonly FrameworkRow[] = [
  { name: "answers with text", path: "", text: "hello" },
  { name: "tells the peer", path: "peer", json: { ip: "<ip>" } },
  FORM_ROW,
  {
    name: "makes the request anew, with its content",
    path: "through",
    init: { method: "PUT", body: "x".repeat(300_000) },
    text: "x".repeat(300_000),
  },
  ABORT_ROW,
  { name: "redirects by a Response that is thrown", path: "redirect", init: { redirect: "manual" }, status: 302 },
  { name: "answers an error", path: "throws", status: 500, text: "Internal Error" },
];

/** Responses of other libraries. */
const FETCHES_ROWS: readonly FrameworkRow[] = [
  {
    name: "hands on what node-fetch has fetched, with each of its cookies",
    path: "node-fetch",
    text: "from behind",
    headers: { "content-type": "text/x-upstream", "set-cookie": /a=1, b=2; Expires=Thu, 01 Jan 2037/ },
  },
  {
    name: "sends a Response of node-fetch",
    path: "node-fetch-response",
    status: 201,
    text: "made",
    headers: { "x-a": "1" },
  },
  { name: "sends a stream of Node", path: "object", status: 202, text: "one two", headers: { "x-a": "1" } },
  { name: "sends what is thrown", path: "thrown", status: 403, text: "thrown" },
  { name: "refuses a string", path: "string", status: 500 },
];

/** Every framework. */
export const FRAMEWORK_TABLES: readonly FrameworkTable[] = [
  { framework: "Hono", module: "hono.mjs", isServedFast: true, rows: HONO_ROWS },
  {
    framework: "hono/deno",
    module: "hono_deno.mjs",
    hasPort: true,
    onlyOn: "deno",
    rows: [{ name: "tells the peer", path: "", json: { address: "<ip>", port: "<port>", transport: "tcp" } }],
  },
  {
    framework: "hono/bun",
    module: "hono_bun.mjs",
    hasPort: true,
    onlyOn: "bun",
    rows: [{ name: "tells the peer", path: "", json: { address: "<ip>", addressType: "IPv4", port: "<port>" } }],
  },
  { framework: "h3", module: "h3.mjs", isServedFast: true, rows: H3_ROWS },
  { framework: "itty-router", module: "itty.mjs", isServedFast: true, rows: ITTY_ROWS },
  { framework: "graphql-yoga", module: "yoga.mjs", isServedFast: true, rows: YOGA_ROWS },
  { framework: "better-auth", module: "auth.mjs", rows: AUTH_ROWS },
  { framework: "tRPC", module: "trpc.mjs", rows: TRPC_ROWS },
  { framework: "the MCP SDK", module: "mcp.mjs", rows: MCP_ROWS },
  { framework: "Elysia", module: "elysia.mjs", onlyOn: "bun", isServedFast: true, rows: ELYSIA_ROWS },
  { framework: "React Router", module: "react_router.mjs", rows: REACT_ROUTER_ROWS },
  { framework: "a server of SvelteKit's shape", module: "svelte_kit.mjs", rows: SVELTE_KIT_ROWS },
  { framework: "node-fetch", module: "fetches.mjs", rows: FETCHES_ROWS },
  {
    framework: "itty-router, spread into an object",
    module: "itty_spread.mjs",
    hasPort: true,
    rows: [{ name: "is served", path: "", text: "hello" }],
  },
];

const GREETS = (name: string): FrameworkRow => ({ name: "is served", path: "", text: `Hello from ${name}` });

/** The modules that docs/frameworks.md shows, by their names there. */
export const DOCUMENTED_MODULES: readonly FrameworkTable[] = [
  { framework: "h3", module: "h3.js", rows: [GREETS("h3")] },
  { framework: "itty-router", module: "itty.js", rows: [GREETS("itty-router")] },
  {
    framework: "Elysia",
    module: "elysia.js",
    onlyOn: "bun",
    rows: [GREETS("Elysia"), { name: "streams", path: "count", text: "1 2 3 " }],
  },
  {
    framework: "GraphQL Yoga",
    module: "yoga.js",
    rows: [{ ...YOGA_ROWS[0], init: graphql("{ hello }"), json: { data: { hello: "Hello from Yoga" } } }],
  },
  {
    framework: "tRPC",
    module: "trpc.js",
    rows: [{ name: "answers a query", path: "trpc/hello", json: { result: { data: "Hello from tRPC" } } }],
  },
  { framework: "Better Auth", module: "auth.js", rows: [AUTH_ROWS[0], AUTH_ROWS[1]] },
  { framework: "the Model Context Protocol", module: "mcp.js", rows: [MCP_ROWS[1]] },
];

/** Modules written for `bun run` and `deno serve`, which run as they are. */
export const UNCHANGED_MODULES: readonly FrameworkTable[] = [
  {
    framework: "a module for bun run",
    module: "bun_run.mjs",
    hasPort: true,
    rows: [
      { name: "is served, with its object as `this`", path: "", text: "hello GET" },
      { name: "finds the peer's address", path: "peer", json: { address: "<ip>", family: "IPv4", port: "<port>" } },
    ],
  },
  {
    framework: "a module for bun run whose port is text",
    module: "bun_port_text.mjs",
    hasPort: true,
    rows: [{ name: "is served", path: "", text: "hello" }],
  },
  {
    framework: "a module for deno serve",
    module: "deno_serve.mjs",
    rows: [
      { name: "is served", path: "", init: { method: "POST", body: "you" }, text: "hello you" },
      { name: "finds the peer's address", path: "peer", json: { hostname: "<ip>", port: "<port>", transport: "tcp" } },
    ],
  },
];
