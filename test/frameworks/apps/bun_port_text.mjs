// As written for `bun run`, with a port from the environment, which is text.
const environment = { PORT: "0" };

export default {
  port: environment.PORT ?? 3000,
  fetch: () => new Response("hello"),
};
