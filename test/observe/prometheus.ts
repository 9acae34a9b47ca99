/**
 * Prometheus and its tool, as Debian has them (`apt-get install prometheus`, or paths in `PROMETHEUS` and `PROMTOOL`), for
 * a suite to check metrics with.
 *
 * @module
 */

const PROMETHEUS = Deno.env.get("PROMETHEUS") ?? "/usr/bin/prometheus";
const PROMTOOL = Deno.env.get("PROMTOOL") ?? "/usr/bin/promtool";
const DEADLINE_MS = 30_000;

/** Whether they are installed. */
export const IS_PROMETHEUS_INSTALLED: boolean = await isThere(PROMETHEUS) && await isThere(PROMTOOL);

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** What promtool has to say of a text of metrics: nothing, if it is as it should be. */
export async function lintMetrics(text: string): Promise<string> {
  const child = new Deno.Command(PROMTOOL, {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return success ? said : said || "promtool has failed.";
}

/** A Prometheus of the suite's own. */
export class Prometheus {
  readonly #child: Deno.ChildProcess;
  readonly #url: string;

  /**
   * Starts it.
   *
   * @param folder Where it keeps what it has scraped.
   * @param target Host and port of what is scraped.
   * @param paths The paths there, each a job of its own.
   */
  constructor(folder: string, target: string, paths: readonly string[]) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = `127.0.0.1:${listener.addr.port}`;
    listener.close();
    Deno.mkdirSync(folder, { recursive: true });
    // JSON is YAML.
    const jobs = paths.map((path) => ({
      job_name: path,
      metrics_path: path,
      static_configs: [{ targets: [target] }],
    }));
    const config = { global: { scrape_interval: "500ms", scrape_timeout: "500ms" }, scrape_configs: jobs };
    Deno.writeTextFileSync(`${folder}/prometheus.yml`, JSON.stringify(config));
    const args = [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`,
      "--log.level=error",
    ];
    this.#url = `http://${address}`;
    this.#child = new Deno.Command(PROMETHEUS, { args, stdin: "null", stdout: "null", stderr: "inherit" }).spawn();
  }

  /** Asks until the values of a query, by their job, are what they should be, or time is up; gives them then. */
  async query(query: string, isRight: (values: Record<string, number>) => boolean): Promise<Record<string, number>> {
    const untilMs = Date.now() + DEADLINE_MS;
    while (true) {
      const values = await this.#ask(query).catch(() => ({}));
      if (isRight(values) || Date.now() > untilMs) return values;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }

  async #ask(query: string): Promise<Record<string, number>> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = await response.json() as {
      data: { result: { metric: { job: string }; value: [number, string] }[] };
    };
    return Object.fromEntries(data.result.map(({ metric, value }) => [metric.job, Number(value[1])]));
  }
}
