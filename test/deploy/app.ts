/** What is deployed in the tests. */
export default {
  fetch: async (request: Request): Promise<Response> => new Response(`got ${await request.text()}`),
};
