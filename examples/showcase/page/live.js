/**
 * The section "Now": the counts of the server as they change, and what becomes of the connection to it.
 *
 * @module
 */

/** A minute of ticks. */
const SHOWN_TICKS = 120;
const PLOT_WIDTH = 600;
const PLOT_HEIGHT = 150;
const RETRY_MS = 2_000;
const TRAFFIC_REQUESTS = 500;
/** As many connections as browsers make to one origin. */
const TRAFFIC_LANES = 6;

const rates = Array.from({ length: SHOWN_TICKS }, () => 0);
let before = null;

const element = (id) => document.getElementById(id);

async function start() {
  let about;
  try {
    about = await (await fetch("/api/about")).json();
  } catch {
    showState("lost", "The server cannot be reached; trying again");
    setTimeout(start, RETRY_MS);
    return;
  }
  element("runtime").textContent = about.runtime;
  for (const leg of document.querySelectorAll(".leg")) {
    leg.classList.toggle("stands", about.runtime.startsWith(leg.dataset.leg));
  }
  element("no-stats").hidden = about.hasStats;
  element("live").hidden = !about.hasStats;
  if (about.hasStats) follow();
  else showState("live", "Served by the command line");
}

function follow() {
  const source = new EventSource("/api/events");
  // An EventSource gives up for good when it is answered with an error, such as the 503 of a server that is stopping.
  // So the page tries again by itself, from the start: another runtime may have come in its place.
  const retry = (text) => {
    source.close();
    showState("lost", text);
    before = null;
    setTimeout(start, RETRY_MS);
  };
  source.addEventListener("stats", (event) => {
    showState("live", "Live");
    show(JSON.parse(event.data));
  });
  source.addEventListener("stop", () => retry("The server is stopping; trying again"));
  source.addEventListener("error", () => retry("The server cannot be reached; trying again"));
}

function showState(state, text) {
  if (element("state").dataset.state === state && element("state-text").textContent === text) return;
  element("state").dataset.state = state;
  element("state-text").textContent = text;
  if (state !== "live") element("uptime").textContent = "";
}

function show(stats) {
  const elapsedMs = before === null ? 0 : stats.uptimeMs - before.uptimeMs;
  rates.push(elapsedMs > 0 ? (stats.requests - before.requests) * 1000 / elapsedMs : 0);
  rates.shift();
  drawRates();
  element("uptime").textContent = `up ${formatDuration(stats.uptimeMs)}`;
  element("open").textContent = formatCount(stats.connections.open);
  element("active").textContent = formatCount(stats.activeExchanges);
  element("requests").textContent = formatCount(stats.requests);
  showBytes(element("memory"), stats.memoryBytes);
  showBytes(element("received"), stats.bytesReceived);
  showBytes(element("sent"), stats.bytesSent);
  showErrors(stats.errors);
  before = stats;
}

function drawRates() {
  const current = rates.at(-1);
  const peak = Math.max(...rates);
  const top = niceTop(peak);
  const points = rates.map((rate, i) => {
    const x = i * PLOT_WIDTH / (SHOWN_TICKS - 1);
    const y = PLOT_HEIGHT - 1 - rate / top * (PLOT_HEIGHT - 2);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  element("line").setAttribute("d", `M${points.join("L")}`);
  element("area").setAttribute("d", `M0 ${PLOT_HEIGHT}L${points.join("L")}L${PLOT_WIDTH} ${PLOT_HEIGHT}Z`);
  element("rate").textContent = formatCount(Math.round(current));
  element("peak").textContent = `at most ${formatCount(Math.round(peak))}`;
  element("top").textContent = formatCount(top);
  element("middle").textContent = formatCount(top / 2);
}

/** The next of 10, 20, 50, 100 and so on that has room for a value. */
function niceTop(value) {
  for (let power = 10;; power *= 10) {
    for (const factor of [1, 2, 5]) {
      if (value <= factor * power) return factor * power;
    }
  }
}

function showErrors(errors) {
  const list = element("errors");
  const codes = Object.entries(errors).sort(([, a], [, b]) => b - a);
  element("no-errors").hidden = codes.length > 0;
  list.replaceChildren(...codes.map(([code, count]) => {
    const item = document.createElement("li");
    const number = document.createElement("b");
    number.textContent = formatCount(count);
    item.append(code, number);
    if (before !== null && (before.errors[code] ?? 0) !== count) item.className = "fresh";
    return item;
  }));
}

function showBytes(target, bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const small = document.createElement("small");
  small.textContent = units[unit];
  target.replaceChildren(`${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} `, small);
}

function formatCount(count) {
  return count.toLocaleString("en");
}

function formatDuration(ms) {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Calls what sends requests and says how it went, once at a time. */
function onClick(button, send) {
  button.addEventListener("click", async () => {
    const result = element("traffic-result");
    button.disabled = true;
    try {
      result.textContent = await send();
    } catch (error) {
      result.textContent = `It did not work: ${error.message}.`;
    }
    button.disabled = false;
  });
}

onClick(element("traffic"), async () => {
  const startedAt = performance.now();
  let sent = 0;
  const runLane = async () => {
    while (sent < TRAFFIC_REQUESTS) {
      sent++;
      await (await fetch("/api/ping", { cache: "no-store" })).text();
    }
  };
  await Promise.all(Array.from({ length: TRAFFIC_LANES }, runLane));
  const seconds = (performance.now() - startedAt) / 1000;
  return `${TRAFFIC_REQUESTS} requests in ${seconds.toFixed(2)} s; most of that time is the browser's.`;
});

onClick(element("load"), async () => {
  const response = await fetch("/api/load", { method: "POST" });
  if (!response.ok) throw new Error((await response.text()).trim());
  const { requests, responses, durationMs } = await response.json();
  return `${formatCount(responses)} of ${formatCount(requests)} requests answered in ${
    (durationMs / 1000).toFixed(2)
  } s, ` +
    "sent by the server to itself over ten connections: client and server on one thread.";
});

start();
