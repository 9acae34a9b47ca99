/** An echo, as `trivet serve` takes it. */

const OPTIONS = {
  "/": { maxMessageSize: 70_000 },
  "/deflate": { maxMessageSize: 50_000, compress: { threshold: 1_000_000 } },
  "/compressed": { maxMessageSize: 200_000, compress: { threshold: 0 } },
  "/takeover": { maxMessageSize: 200_000, compress: { threshold: 0, contextTakeover: true } },
};

export default {
  fetch(request, info) {
    const { response, socket } = info.upgradeWebSocket(OPTIONS[new URL(request.url).pathname]);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => data === "close me" ? socket.close(4321, "as you wish") : socket.send(data);
    return response;
  },
};
