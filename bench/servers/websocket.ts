/**
 * A server of WebSockets under test: Trivet, the own server of the runtime that runs this file, or `ws` on Node.
 *
 * A message to `/echo` comes back, one to `/all` goes to every connection of `/all`, and `/idle` takes none.
 *
 * @module
 */

import { createServer } from "node:http";
import { importPackage } from "../load/handlers.ts";
import { announce, BACKLOG, Bun, HOSTNAME, listenOnNode, readLaunch } from "./launch.ts";

const TOPIC = "all";
const LISTEN = { port: 0, hostname: HOSTNAME, tcpBacklog: BACKLOG, onListen: () => {} };

const { serves, trivet, packages } = readLaunch();
const pathOf = (request: Request) => new URL(request.url).pathname;

if (serves === "trivet") await serveTrivet();
else if ("Deno" in globalThis) serveDeno();
else if ("Bun" in globalThis) serveBun();
else await serveWs();

async function serveTrivet(): Promise<void> {
  const { serve }: typeof import("../../mod.ts") = await import(trivet);
  const server = serve(LISTEN, (request, info) => {
    const { response, socket } = info.upgradeWebSocket();
    const path = pathOf(request);
    socket.binaryType = "arraybuffer";
    if (path === "/echo") socket.onmessage = (event) => socket.send(event.data);
    if (path === "/all") {
      socket.subscribe(TOPIC);
      socket.onmessage = (event) => server.publish(TOPIC, event.data);
    }
    return response;
  });
  await server.ready();
  announce(server.port, () => ({ stats: server.stats() }));
}

function serveDeno(): void {
  const members = new Set<WebSocket>();
  const server = Deno.serve(LISTEN, (request) => {
    const { response, socket } = Deno.upgradeWebSocket(request);
    const path = pathOf(request);
    socket.binaryType = "arraybuffer";
    if (path === "/echo") socket.onmessage = (event) => socket.send(event.data);
    if (path === "/all") {
      socket.onopen = () => void members.add(socket);
      socket.onclose = () => void members.delete(socket);
      socket.onmessage = ({ data }) => members.forEach((member) => member.send(data));
    }
    return response;
  });
  announce(server.addr.port);
}

interface BunSocket {
  readonly data: { readonly path: string };
  send(message: string | Uint8Array): void;
  subscribe(topic: string): void;
}

function serveBun(): void {
  const server = Bun.serve({
    port: 0,
    hostname: HOSTNAME,
    fetch(request: Request) {
      const isUpgraded = server.upgrade(request, { data: { path: pathOf(request) } });
      return isUpgraded ? undefined : new Response(null, { status: 400 });
    },
    websocket: {
      idleTimeout: 0,
      open(socket: BunSocket) {
        if (socket.data.path === "/all") socket.subscribe(TOPIC);
      },
      message(socket: BunSocket, message: string | Uint8Array) {
        if (socket.data.path === "/all") server.publish(TOPIC, message);
        else socket.send(message);
      },
    },
  });
  announce(server.port);
}

interface WsSocket {
  on(event: string, listener: (data: Uint8Array, isBinary: boolean) => void): void;
  send(data: Uint8Array, options: { binary: boolean }): void;
}

async function serveWs(): Promise<void> {
  const { WebSocketServer } = (await importPackage(packages, "ws")).default;
  const members = new Set<WsSocket>();
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws: WsSocket) => {
      ws.on("error", () => {});
      if (request.url === "/echo") ws.on("message", (data, binary) => ws.send(data, { binary }));
      if (request.url !== "/all") return;
      members.add(ws);
      ws.on("close", () => members.delete(ws));
      ws.on("message", (data, binary) => members.forEach((member) => member.send(data, { binary })));
    });
  });
  listenOnNode(server, { backlog: BACKLOG });
}
