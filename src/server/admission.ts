/**
 * Which connections are taken.
 *
 * It decides by the limits of the server, in total and by address, and makes sure that telling refused clients so does
 * not become the overload. It must not know which protocol a connection speaks, nor when the model serves it.
 *
 * @module
 */

import { TrivetError } from "../api/errors.ts";
import { descriptorMargin, type ResolvedOptions } from "../api/resolve_options.ts";
import type { Connection } from "../exchange/connection.ts";
import type { Scheduler } from "../models/scheduler.ts";
import type { Address } from "../transport.ts";
import type { HeldConnection, OpenConnections } from "./open_connections.ts";

/** The limits on connections. */
export interface AdmissionLimits extends Pick<ResolvedOptions, "maxConnections" | "maxConnectionsPerIp"> {
  /** Descriptors that this process may have open; `null` where that is not known. */
  readonly descriptorLimit: number | null;
}

/**
 * Refused connections whose answer was sent and whose client has not closed yet. Beyond it the one that was answered
 * first is closed, since it had the most time to read its answer. They have a quarter of the descriptors at most that
 * connections leave; as many have those that are not answered yet, because their client has sent nothing.
 */
const MAX_LINGERING_REFUSALS = 512;
const MIN_LENGTH_TO_PURGE = 64;

/** Refused connections in their order, of which only so many may be: the oldest leaves when there are more. */
class BoundedLine {
  readonly #max: number;
  readonly #removeOldest: (connection: Connection) => void;
  /** Those that have left since are among them for a while: they are removed when there are many. */
  #connections: Connection[] = [];
  #lengthToPurge = MIN_LENGTH_TO_PURGE;
  #oldest = 0;
  #count = 0;

  /** @param removeOldest Makes a connection leave, if it has not. */
  constructor(max: number, removeOldest: (connection: Connection) => void) {
    this.#max = max;
    this.#removeOldest = removeOldest;
  }

  add(connection: Connection): void {
    if (this.#connections.length >= this.#lengthToPurge) {
      this.#connections = this.#connections.slice(this.#oldest).filter(isOpen);
      this.#lengthToPurge = 2 * this.#connections.length + MIN_LENGTH_TO_PURGE;
      this.#oldest = 0;
    }
    const connections = this.#connections;
    connections.push(connection);
    this.#count++;
    while (this.#count > this.#max && this.#oldest < connections.length) {
      const oldest = connections[this.#oldest++];
      if (isOpen(oldest)) this.#removeOldest(oldest);
    }
  }

  /** One of them has left. */
  remove(): void {
    this.#count--;
  }
}

/** Takes or refuses connections. */
export class Admission {
  /** Connections accepted since the start. */
  acceptedCount = 0;
  /** Of these, refused. */
  refusedCount = 0;
  readonly #limits: AdmissionLimits;
  readonly #open: OpenConnections;
  readonly #scheduler: Scheduler;
  readonly #countByIp = new Map<string, number>();
  /** Refused connections that are not answered yet. */
  readonly #unanswered: BoundedLine;
  /** Refused connections that were answered. */
  readonly #lingering: BoundedLine;
  /** How many may begin beyond those that are served, to be told that they are refused. */
  readonly surplus: number;

  /**
   * @param limits The limits on connections; 0 is none.
   * @param open The connections that are open.
   * @param scheduler The concurrency model, which serves those that are taken.
   */
  constructor(limits: AdmissionLimits, open: OpenConnections, scheduler: Scheduler) {
    this.#limits = limits;
    this.#open = open;
    this.#scheduler = scheduler;
    const { descriptorLimit } = limits;
    const share = descriptorLimit === null ? Infinity : Math.floor(descriptorMargin(descriptorLimit) / 4);
    this.#unanswered = new BoundedLine(share, (oldest) => oldest.answerRefusal());
    this.surplus = Math.min(MAX_LINGERING_REFUSALS, share);
    this.#lingering = new BoundedLine(this.surplus, (oldest) => {
      oldest.abort(new TrivetError("connection-limit", "Too many refused connections linger."));
    });
  }

  /** Addresses that have connections which were not refused, where they are counted. */
  get addressCount(): number {
    return this.#countByIp.size;
  }

  /** Connections that were accepted and not refused. */
  get takenCount(): number {
    return this.acceptedCount - this.refusedCount;
  }

  /** Takes a connection that is among the open ones already, or refuses it. */
  admit(connection: HeldConnection): void {
    const limit = this.#reachedLimit(connection.remoteAddress);
    this.#count(connection, 1);
    if (limit === null) this.#scheduler.admit(connection);
    else connection.refuse(limit);
  }

  /** A connection is refused: now by a limit or the model, or later because it has waited in vain. */
  refused(connection: Connection): void {
    this.refusedCount++;
    this.#open.refusedNow++;
    this.#count(connection, -1);
    this.#unanswered.add(connection);
  }

  /** A connection was answered for the last time: it waits for its client to close, or is gone. */
  served(connection: Connection): void {
    if (connection.wasRefused) {
      this.#unanswered.remove();
      this.#lingering.add(connection);
    } else {
      this.#scheduler.release(connection);
    }
  }

  /** A connection is gone. */
  closed(connection: Connection): void {
    if (connection.wasRefused) {
      this.#open.refusedNow--;
      this.#lingering.remove();
    } else {
      this.#count(connection, -1);
    }
  }

  #reachedLimit(peer: Address): TrivetError | null {
    const { maxConnections, maxConnectionsPerIp } = this.#limits;
    // The connection in question is among the open ones.
    if (maxConnections > 0 && this.#open.servedCount > maxConnections) {
      return new TrivetError("connection-limit", "The server has as many connections as it takes.");
    }
    if (maxConnectionsPerIp > 0 && (this.#countByIp.get(ipOf(peer)) ?? 0) >= maxConnectionsPerIp) {
      return new TrivetError("connection-limit", "The server has as many connections from this address as it takes.");
    }
    return null;
  }

  #count({ remoteAddress }: Connection, change: 1 | -1): void {
    if (this.#limits.maxConnectionsPerIp === 0) return;
    const ip = ipOf(remoteAddress);
    const count = (this.#countByIp.get(ip) ?? 0) + change;
    if (count === 0) this.#countByIp.delete(ip);
    else this.#countByIp.set(ip, count);
  }
}

function isOpen({ placeAmongOpen }: Connection): boolean {
  return placeAmongOpen >= 0;
}

/** The peers of a Unix domain socket count as one. */
function ipOf(address: Address): string {
  return address.transport === "tcp" ? address.hostname : "";
}
