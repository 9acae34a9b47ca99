/**
 * The processes in which the lanes run: each has its own, so that a lane which stands still holds up neither the page nor
 * the other lanes.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Model } from "../../../mod.ts";
import { LANES } from "./lanes.ts";

/** The models of the lanes. */
export const MODELS = Object.keys(LANES) as Model[];

const START_DEADLINE_MS = 30_000;
const SERVER = fileURLToPath(new URL("./server.ts", import.meta.url));

/** Starts the lanes when they are first asked for. */
export class LaneProcesses {
  readonly #children = new Set<ChildProcess>();
  readonly #ports = new Map<Model, Promise<number>>();

  /** The port of a lane, which is started unless it runs. */
  port(model: Model): Promise<number> {
    const known = this.#ports.get(model);
    if (known !== undefined) return known;
    const port = this.#start(model);
    this.#ports.set(model, port);
    // One that could not be started is tried again.
    port.catch(() => this.#ports.delete(model));
    return port;
  }

  /** Ends all of them. */
  end(): void {
    for (const child of this.#children) child.kill();
  }

  #start(model: Model): Promise<number> {
    const options = process.versions.deno === undefined ? [] : ["run", "--allow-all", "--no-check"];
    const child = spawn(process.execPath, [...options, SERVER, model], { stdio: ["pipe", "pipe", "ignore"] });
    this.#children.add(child);
    return new Promise((resolve, reject) => {
      let output = "";
      const fail = (reason: string): void => reject(new Error(`The lane "${model}" ${reason}`));
      const timer = setTimeout(() => {
        child.kill();
        fail("did not start in time.");
      }, START_DEADLINE_MS);
      child.stdout.on("data", (bytes: Uint8Array) => {
        output += new TextDecoder().decode(bytes);
        if (output.includes("\n")) resolve(JSON.parse(output.slice(0, output.indexOf("\n"))).port);
      });
      child.on("error", ({ message }) => fail(`could not be started: ${message}`));
      child.on("exit", (code) => {
        clearTimeout(timer);
        this.#children.delete(child);
        this.#ports.delete(model);
        fail(`has ended with code ${code}.`);
      });
    });
  }
}
