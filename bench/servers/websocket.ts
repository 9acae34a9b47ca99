/**
 * Servers of WebSockets, and what Bun and `ws` take in their place. A message to `/echo` comes back, one to `/all`
 * goes to every connection of `/all`, and `/idle` takes none.
 */

import type { Server } from "node:http";
import type { HandlerInfo } from "../../mod.ts";
import { importPackage } from "../load/handlers.ts";

type Send = (message: Uint8Array, options?: object) => void;
interface BunSocket {
  readonly data: { readonly path: string; readonly server: { publish(topic: string, message: Uint8Array): void } };
  readonly send: Send;
  subscribe(topic: string): void;
}
interface WsSocket {
  on(event: string, listener: (data: Uint8Array, isBinary: boolean) => void): void;
  readonly send: Send;
}

const TOPIC = "all";
const pathOf = (request: Request) => new URL(request.url).pathname;

/** Lets a socket echo where it is asked to; says whether it is one of `/all`, who publish in ways of their own. */
function isOfAll(request: Request, socket: Pick<WebSocket, "binaryType" | "onmessage" | "send">): boolean {
  const path = pathOf(request);
  socket.binaryType = "arraybuffer";
  if (path === "/echo") socket.onmessage = (event) => socket.send(event.data);
  return path === "/all";
}

export function upgradeWithTrivet(request: Request, info: HandlerInfo): Response {
  const { response, socket } = info.upgradeWebSocket();
  if (isOfAll(request, socket)) {
    socket.subscribe(TOPIC);
    socket.onmessage = (event) => info.publish(TOPIC, event.data);
  }
  return response;
}

const members = new Set<WebSocket>();

export function upgradeWithDeno(request: Request): Response {
  const { response, socket } = Deno.upgradeWebSocket(request);
  if (isOfAll(request, socket)) {
    socket.onopen = () => void members.add(socket);
    socket.onclose = () => void members.delete(socket);
    socket.onmessage = ({ data }) => members.forEach((member) => member.send(data));
  }
  return response;
}

export function upgradeWithBun(request: Request, server: { upgrade(request: Request, options: object): boolean }) {
  const isUpgraded = server.upgrade(request, { data: { path: pathOf(request), server } });
  return isUpgraded ? undefined : new Response(null, { status: 400 });
}

export const BUN_WEB_SOCKETS = {
  idleTimeout: 0,
  open(socket: BunSocket): void {
    if (socket.data.path === "/all") socket.subscribe(TOPIC);
  },
  message(socket: BunSocket, message: Uint8Array): void {
    if (socket.data.path === "/all") socket.data.server.publish(TOPIC, message);
    else socket.send(message);
  },
};

export async function upgradeWithWs(server: Server, packages: string): Promise<void> {
  const { WebSocketServer } = (await importPackage(packages, "ws")).default;
  const members = new Set<WsSocket>();
  const sockets = new WebSocketServer({ noServer: true });
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
}
