/** An echo, and the page that connects to it, as `trivet serve` takes it. */

export default {
  fetch(request, info) {
    if (new URL(request.url).pathname !== "/echo") {
      return new Response("<!doctype html><title>echo</title>", { headers: { "content-type": "text/html" } });
    }
    const { response, socket } = info.upgradeWebSocket({
      origin: "same",
      protocol: "echo",
      compress: { threshold: 0 },
    });
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  },
};
