/** Sends to all subscribers together or to each on its own, as it is told, and says what memory that took. */

import { readFileSync } from "node:fs";

const stalled = new Set();
const kibibytes = (name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))[1]);
const COMMANDS = {
  publish: (info, bytes) => info.publish("all", "x".repeat(bytes)),
  each: (_info, bytes) => {
    // One for all, whose copies are then the server's alone.
    const message = new Uint8Array(bytes);
    for (const socket of stalled) socket.send(message);
  },
};

export default {
  fetch(request, info) {
    const { response, socket } = info.upgradeWebSocket();
    const { pathname } = new URL(request.url);
    socket.binaryType = "arraybuffer";
    if (pathname.endsWith("/stalled")) stalled.add(socket);
    socket.onclose = () => stalled.delete(socket);
    if (pathname.startsWith("/echo")) {
      socket.onmessage = ({ data }) => socket.send(data);
    } else if (pathname === "/control") {
      socket.onmessage = ({ data }) => {
        const [name, bytes] = data.split(" ");
        COMMANDS[name]?.(info, Number(bytes));
        const open = [...stalled].filter((each) => each.readyState === 1).length;
        socket.send(JSON.stringify({ open, residentKiB: kibibytes("VmRSS"), peakKiB: kibibytes("VmHWM") }));
      };
    } else {
      socket.subscribe("all");
    }
    return response;
  },
};
