/**
 * The counts of a server as text that Prometheus reads: its own format, version 0.0.4, and OpenMetrics 1.0.
 *
 * It decides the names of metrics and their labels. No label comes from a client: neither paths nor hosts, and of
 * methods only those that have names. It must not know where the counts come from.
 *
 * @module
 */

import type { Histogram, Measurements, ServerStats, StatusClass } from "../api/stats.ts";
import { STATUS_CLASSES } from "./measurements.ts";

/** How metrics are written. */
export type MetricsFormat = "prometheus" | "openmetrics";

/** What a server is, beside what it counts. */
export interface ServerIdentity {
  readonly version: string;
  readonly runtime: string;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** Errors that are timeouts, by the code, and the phase that took too long. */
const TIMEOUTS: Readonly<Record<string, string>> = {
  "head-timeout": "head",
  "content-timeout": "content",
  "data-rate-too-low": "content-rate",
  "queue-timeout": "queue",
  "handler-timeout": "handler",
  "write-timeout": "write",
  "websocket-timeout": "websocket",
  "shutdown-timeout": "shutdown",
};

/** Errors for which the server takes no connection or request, by the code, which is the reason. */
const REFUSALS = ["connection-limit", "queue-full", "queue-timeout", "draining"];

/** Writes the metrics of a server that measures. */
export function writeMetrics(
  stats: ServerStats,
  measured: Measurements,
  { version, runtime }: ServerIdentity,
  format: MetricsFormat,
): string {
  const out = new Exposition(format);
  const { model, queue, workers, threads, errors } = stats;
  out.gauge("trivet_info", "What serves; the value is always 1.", [[{ version, runtime, model }, 1]]);
  out.gauge("trivet_uptime_seconds", "Time since the server was made.", [[{}, stats.uptimeMs / 1_000]]);
  out.gauge("trivet_draining", "Whether a graceful stop is under way.", [[{}, stats.draining ? 1 : 0]]);
  out.gauge("trivet_connections", "Open connections by what they do.", entries("state", measured.connections));
  out.counter("trivet_connections_accepted", "Connections that were accepted.", [[{}, stats.connections.accepted]]);
  out.counter("trivet_connections_refused", "Of these, answered with 503 or closed because of a limit.", [
    [{}, stats.connections.refused],
  ]);
  out.gauge("trivet_websockets", "Open WebSockets.", [[{}, stats.webSockets.open]]);
  out.gauge("trivet_requests_active", "Requests in flight.", [[{}, stats.activeExchanges]]);
  out.counter("trivet_requests", "Requests that have ended, by method and class of status.", responsesOf(measured));
  out.counter("trivet_requests_aborted", "Of these, whose response could not be sent whole.", [[{}, measured.aborted]]);
  out.histogram(
    "trivet_request_duration_seconds",
    "From the end of a request's head to the last byte of its response.",
    shownClasses((status) => measured.durations[status].counts.some((count) => count > 0))
      .map((status) => [{ status }, measured.durations[status]]),
  );
  out.counter("trivet_received_bytes", "Bytes read from clients.", [[{}, stats.bytesReceived]]);
  out.counter("trivet_sent_bytes", "Bytes handed over for sending.", [[{}, stats.bytesSent]]);
  out.gauge("trivet_queue_waiting", "What waits for its turn.", [[{}, queue.waiting]]);
  out.histogram("trivet_queue_wait_seconds", "Time until it was its turn.", [[{}, measured.queueWaits]]);
  const idle = workers.total - workers.busy;
  out.gauge(
    "trivet_workers",
    "Workers that serve connections or threads that run handlers.",
    entries("state", { ...workers, idle }, ["busy", "idle"]),
  );
  out.gauge("trivet_threads", "Threads that are ready to run handlers.", [[{}, threads.ready]]);
  out.counter("trivet_threads_started", "Threads that were started.", [[{}, threads.started]]);
  out.counter("trivet_threads_lost", "Threads that have crashed or were given up.", [[{}, threads.lost]]);
  out.counter("trivet_threads_renewed", "Threads that were replaced in order.", [[{}, threads.renewed]]);
  out.gauge("trivet_event_loops", "Event loops that serve connections.", [[{}, stats.loops]]);
  out.histogram("trivet_event_loop_delay_seconds", "How late event loops were, looked at ten times a second.", [
    [{ thread: "connections" }, measured.loopDelay],
    [{ thread: "handlers" }, measured.threadDelay],
  ]);
  out.counter(
    "trivet_timeouts",
    "What took too long, by phase.",
    Object.entries(TIMEOUTS).map(([code, phase]) => [{ phase }, errors[code] ?? 0]),
  );
  out.counter(
    "trivet_refusals",
    "Connections and requests that were not taken, by reason.",
    REFUSALS.map((reason) => [{ reason }, errors[reason] ?? 0]),
  );
  out.counter("trivet_errors", "Errors, by code.", entries("code", errors));
  out.counter("trivet_dropped_lines", "Lines that outputs did not take.", [[{}, stats.droppedLines]]);
  return out.end();
}

function responsesOf({ responses }: Measurements): Sample[] {
  return Object.entries(responses).flatMap(([method, counts]) =>
    shownClasses((status) => counts[status] > 0).map((status): Sample => [{ method, status }, counts[status]])
  );
}

/** The classes that every server has some time are there from the start: the first error would be no change else. */
function shownClasses(isUsed: (status: StatusClass) => boolean): StatusClass[] {
  return STATUS_CLASSES.filter((status) => /^[2-5]/.test(status) || isUsed(status));
}

function entries(
  label: string,
  values: Readonly<Record<string, number>>,
  names: readonly string[] = Object.keys(values),
): Sample[] {
  return names.map((name) => [{ [label]: name }, values[name]]);
}

/** Text in one of the formats, family by family. */
class Exposition {
  readonly #isOpenMetrics: boolean;
  #text = "";

  constructor(format: MetricsFormat) {
    this.#isOpenMetrics = format === "openmetrics";
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#head(name, "gauge", help);
    for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  /** The name of a counter's family has the suffix of its samples in the one format, and not in the other. */
  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#head(this.#isOpenMetrics ? name : `${name}_total`, "counter", help);
    for (const [labels, value] of samples) this.#sample(`${name}_total`, labels, value);
  }

  /** Buckets are in seconds, and each counts what is in those before it too. */
  histogram(name: string, help: string, histograms: readonly (readonly [Labels, Histogram])[]): void {
    this.#head(name, "histogram", help);
    for (const [labels, { bounds, counts, sum }] of histograms) {
      let total = 0;
      for (const [bucket, count] of counts.entries()) {
        total += count;
        const le = bucket < bounds.length ? this.#bound(bounds[bucket] / 1_000) : "+Inf";
        this.#sample(`${name}_bucket`, { ...labels, le }, total);
      }
      this.#sample(`${name}_sum`, labels, sum / 1_000);
      this.#sample(`${name}_count`, labels, total);
    }
  }

  end(): string {
    return this.#isOpenMetrics ? `${this.#text}# EOF\n` : this.#text;
  }

  /** A whole number is a float too, and OpenMetrics wants that seen. */
  #bound(seconds: number): string {
    return this.#isOpenMetrics && Number.isInteger(seconds) ? `${seconds}.0` : String(seconds);
  }

  #head(name: string, type: string, help: string): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  /** Labels come from closed sets without a character to be escaped. */
  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    this.#text += `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
  }
}
