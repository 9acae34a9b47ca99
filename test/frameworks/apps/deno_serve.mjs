// As written for `deno serve`.
export default {
  async fetch(request, info) {
    if (new URL(request.url).pathname === "/peer") return Response.json(info.remoteAddr);
    void info.completed.then(() => {});
    return new Response(`hello ${await request.text()}`);
  },
  onListen({ hostname, port }) {
    console.log(`Its own words: ${hostname} ${typeof port}`);
  },
};
