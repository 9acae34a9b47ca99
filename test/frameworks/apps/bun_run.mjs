// As written for `bun run`.
export default {
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 30,
  development: false,
  greeting: "hello",
  fetch(request, server) {
    if (new URL(request.url).pathname === "/peer") return Response.json(server.requestIP(request));
    return new Response(`${this.greeting} ${request.method}`);
  },
  error(error) {
    return new Response(error.message, { status: 500 });
  },
};
