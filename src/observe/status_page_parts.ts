/**
 * The page, the style and the script of the status page, as the browser gets them.
 *
 * The script asks for the figures each second, works out what has changed since the second before, and writes text and
 * lines into the page, never markup.
 *
 * @module
 */

/** What stands on a tile: the figure's name, the title, and whether it has a line. */
const TILES: readonly (readonly [id: string, title: string, hasLine: boolean])[] = [
  ["rate", "Requests a second", true],
  ["latency", "Latency, 99 of 100 within", true],
  ["connections", "Open connections", true],
  ["active", "Requests in flight", true],
  ["queue", "Waiting in the queue", true],
  ["delay", "Event loop late by at most", true],
  ["workers", "Workers busy", false],
  ["threads", "Threads", false],
  ["traffic", "Received and sent a second", false],
];

/** The page. */
export const PAGE: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Server status</title>
<link rel="icon" href="?icon" type="image/svg+xml">
<link rel="stylesheet" href="?style">
<script type="module" src="?script"></script>
</head>
<body>
<header><h1>Server status</h1><p id="summary" role="status">Asking …</p></header>
<noscript><p>The figures are asked for by a script, which this browser does not run.</p></noscript>
<main>
${TILES.map(makeTile).join("\n")}
</main>
<section aria-labelledby="errors-title">
<h2 id="errors-title">Errors since the start</h2>
<table><tbody id="errors"></tbody></table>
<p id="no-errors">None.</p>
</section>
</body>
</html>
`;

function makeTile([id, title, hasLine]: (typeof TILES)[number]): string {
  const line = hasLine
    ? `<svg viewBox="0 0 120 32" preserveAspectRatio="none" aria-hidden="true"><polyline id="${id}-line"/></svg>`
    : "";
  return `<section><h2>${title}</h2><p class="figure" id="${id}">–</p><p class="detail" id="${id}-detail"></p>${line}</section>`;
}

/** What a tab shows: a line that goes up and down. */
export const ICON: string =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 9h3l2-6 3 11 3-8 1 3h2" fill="none" stroke="#2563a8" stroke-width="1.6"/></svg>`;

/** The style. */
export const STYLE = `
:root { --ink: #1c2430; --soft: #5b6676; --paper: #f5f6f8; --card: #fff; --edge: #dfe3e8; --line: #2563a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf1; --soft: #9aa6b5; --paper: #12161c; --card: #1b2129; --edge: #2c343f; --line: #6fb1ff; }
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; padding: 1.5rem; max-width: 68rem; margin: auto; }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; margin-bottom: 1rem; }
h1 { font-size: 1.4rem; }
h2 { font-size: .85rem; font-weight: 500; color: var(--soft); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .75rem; margin-bottom: .75rem; }
section { background: var(--card); border: 1px solid var(--edge); border-radius: .5rem; padding: .9rem 1rem; min-width: 0; }
.figure { font-size: 1.9rem; font-variant-numeric: tabular-nums; }
.detail, #summary { color: var(--soft); min-height: 1.4em; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 2.5rem; margin-top: .4rem; }
polyline { fill: none; stroke: var(--line); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
table { border-collapse: collapse; }
td { padding: .15rem 1.5rem .15rem 0; font-variant-numeric: tabular-nums; }
.lost .figure { opacity: .4; }
`;

/** The script. */
export const SCRIPT = `
const INTERVAL_MS = 1000;
const HISTORY = 120;
const lines = {};
let before = null;

const byId = (id) => document.getElementById(id);
const show = (id, figure, detail = "") => {
  byId(id).textContent = figure;
  byId(id + "-detail").textContent = detail;
};

function draw(id, value) {
  const values = lines[id] ??= [];
  values.push(value);
  if (values.length > HISTORY) values.shift();
  const most = Math.max(...values, 1e-9);
  const first = HISTORY - values.length;
  byId(id + "-line").setAttribute("points", values.map((it, i) => (first + i) + "," + (31 - 30 * it / most)).join(" "));
}

const count = (value) => Math.round(value).toLocaleString("en");
const time = (ms) => ms >= 1000 ? (ms / 1000).toPrecision(3) + " s" : ms >= 10 ? Math.round(ms) + " ms" : ms.toFixed(1) + " ms";

function size(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < 3) {
    bytes /= 1000;
    unit++;
  }
  return (unit === 0 ? Math.round(bytes) : bytes.toPrecision(3)) + " " + ["B", "kB", "MB", "GB"][unit];
}

function span(ms) {
  const minutes = Math.floor(ms / 60000);
  if (minutes < 1) return Math.floor(ms / 1000) + " s";
  if (minutes < 120) return minutes + " min";
  return minutes < 2880 ? Math.floor(minutes / 60) + " h" : Math.floor(minutes / 1440) + " days";
}

const added = (histograms) => histograms.reduce((sum, { counts }) => counts.map((it, i) => it + (sum[i] ?? 0)), []);

// How long it took at most for a share of what was counted, found within its bucket as if all were spread there evenly.
function quantile(bounds, counts, share) {
  const total = counts.reduce((sum, it) => sum + it, 0);
  if (total === 0) return null;
  let rank = share * total;
  for (const [i, it] of counts.entries()) {
    if (i === bounds.length) return bounds[i - 1];
    const low = i === 0 ? 0 : bounds[i - 1];
    if (rank <= it) return low + (bounds[i] - low) * rank / it;
    rank -= it;
  }
}

function showMeasured(now, last) {
  if (now === null) {
    for (const id of ["latency", "delay"]) show(id, "–", "needs the option metrics: true");
    return;
  }
  const since = (of) => {
    const counts = added(of(now));
    const earlier = last === null ? [] : added(of(last));
    return counts.map((it, i) => it - (earlier[i] ?? 0));
  };
  const bounds = now.loopDelay.bounds;
  const took = since(({ durations }) => Object.values(durations));
  const [half, most] = [quantile(bounds, took, .5), quantile(bounds, took, .99)];
  if (most === null) show("latency", "–", "no request");
  else show("latency", time(most), "half within " + time(half));
  draw("latency", most ?? 0);
  const late = since(({ loopDelay }) => [loopDelay]);
  const lateThreads = since(({ threadDelay }) => [threadDelay]);
  const delay = quantile(bounds, late, 1);
  const ofThreads = quantile(bounds, lateThreads, 1);
  show("delay", delay === null ? "–" : time(delay), ofThreads === null ? "" : "threads: " + time(ofThreads));
  draw("delay", delay ?? 0);
}

function showErrors(errors) {
  const rows = Object.entries(errors).sort(([, a], [, b]) => b - a).map(([code, it]) => {
    const row = document.createElement("tr");
    for (const text of [code, count(it)]) row.appendChild(document.createElement("td")).textContent = text;
    return row;
  });
  byId("errors").replaceChildren(...rows);
  byId("no-errors").hidden = rows.length > 0;
}

function update(now) {
  const last = before ?? { ...now, responses: 0, bytesReceived: 0, bytesSent: 0, measured: null, uptimeMs: 0 };
  before = now;
  const seconds = Math.max((now.uptimeMs - last.uptimeMs) / 1000, .001);
  const a = (name) => (now[name] - last[name]) / seconds;
  const { connections, queue, workers, threads, loops, measured } = now;
  byId("summary").textContent = [now.state, now.model, loops === 1 ? "1 event loop" : loops + " event loops",
    "up for " + span(now.uptimeMs), count(now.responses) + " responses"].join(" · ");
  show("rate", a("responses") < 10 ? a("responses").toFixed(1) : count(a("responses")));
  draw("rate", a("responses"));
  const states = measured === null ? [] : Object.entries(measured.connections).filter(([, it]) => it > 0);
  show("connections", count(connections.open), states.map(([state, it]) => count(it) + " " + state).join(", "));
  draw("connections", connections.open);
  const sockets = now.webSockets.open;
  show("active", count(now.activeExchanges), sockets > 0 ? count(sockets) + " WebSockets" : "");
  draw("active", now.activeExchanges);
  show("queue", count(queue.waiting), "longest " + time(queue.longestWaitMs) + ", " + count(queue.refused) + " refused");
  draw("queue", queue.waiting);
  show("workers", workers.total === 0 ? "–" : workers.busy + " of " + workers.total);
  show("threads", count(threads.ready), count(threads.lost) + " lost, " + count(threads.renewed) + " renewed");
  show("traffic", size(a("bytesReceived")) + " · " + size(a("bytesSent")));
  showMeasured(measured, last.measured);
  showErrors(now.errors);
}

async function ask() {
  try {
    const response = await fetch("?figures", { cache: "no-store" });
    if (!response.ok) throw new Error("The server answers with " + response.status + ".");
    update(await response.json());
    document.body.classList.remove("lost");
  } catch {
    byId("summary").textContent = "It does not answer.";
    document.body.classList.add("lost");
  }
  setTimeout(ask, INTERVAL_MS);
}

ask();
`;
