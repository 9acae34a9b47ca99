/**
 * The section "Four models": traffic through four servers at once, and what becomes of the quick requests.
 *
 * @module
 */

const WIDTH = 600;
const HEIGHT = 110;
/** The largest time that has a height of its own; the scale is logarithmic. */
const MAX_MS = 10_000;

const element = (id) => document.getElementById(id);
const lanes = new Map();
let runMs = 5_000;

async function start() {
  const described = await (await fetch("/api/lanes")).json();
  runMs = described.runMs;
  const made = described.lanes.map(makeLane);
  element("models").replaceChildren(...made);
  for (const button of document.querySelectorAll("[data-traffic]")) {
    button.addEventListener("click", () => run(button.dataset.traffic));
  }
}

function make(name, className, text = "") {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.textContent = text;
  return made;
}

function makeLane({ model, code, text }) {
  const card = make("article", "card model");
  const title = make("h3", "", model);
  const plot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `How long quick requests took on ${model}`);
  const figures = make("dl", "figures");
  const values = {};
  for (const [key, label] of [["p50", "half within"], ["p99", "99 of 100 within"], ["lost", "unanswered"]]) {
    const part = make("div", "");
    values[key] = make("dd", key, "–");
    part.append(make("dt", "", label), values[key]);
    figures.append(part);
  }
  card.append(title, make("code", "line-of-code", code), plot, figures, make("p", "hint", text));
  lanes.set(model, { plot, values, tookMs: [], lost: 0 });
  return card;
}

async function run(traffic) {
  const buttons = [...document.querySelectorAll("[data-traffic]")];
  const result = element("lanes-result");
  for (const button of buttons) button.disabled = true;
  for (const lane of lanes.values()) {
    lane.tookMs = [];
    lane.lost = 0;
    drawGrid(lane.plot);
    showFigures(lane);
  }
  result.textContent = "Starting the servers";
  try {
    const response = await fetch(`/api/lanes?traffic=${traffic}`, { method: "POST" });
    if (!response.ok) throw new Error((await response.text()).trim());
    for await (const event of readEvents(response.body)) {
      if (event.ports === undefined) take(event);
      else {result.textContent = `Under way for ${runMs / 1000} seconds, on ports ${
          Object.values(event.ports).join(", ")
        }`;}
    }
    result.textContent = describeRun(traffic);
  } catch (error) {
    result.textContent = `It did not work: ${error.message}`;
  }
  for (const button of buttons) button.disabled = false;
}

/** The lines of JSON, as they come. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const lines = (rest + read.value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function take({ model, atMs, tookMs }) {
  const lane = lanes.get(model);
  if (tookMs === null) lane.lost++;
  else lane.tookMs.push(tookMs);
  drawRequest(lane.plot, atMs, tookMs);
  showFigures(lane);
}

function drawGrid(plot) {
  plot.replaceChildren();
  for (const ms of [1, 10, 100, 1_000]) {
    const y = heightOf(ms);
    const line = document.createElementNS(plot.namespaceURI, "path");
    line.setAttribute("class", "scale");
    line.setAttribute("d", `M0 ${y}H${WIDTH}`);
    const label = document.createElementNS(plot.namespaceURI, "text");
    label.setAttribute("class", "scale-text");
    label.setAttribute("x", "2");
    label.setAttribute("y", String(y - 3));
    label.textContent = ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`;
    plot.append(line, label);
  }
}

function drawRequest(plot, atMs, tookMs) {
  const x = 30 + Math.min(1, atMs / runMs) * (WIDTH - 40);
  const mark = document.createElementNS(plot.namespaceURI, tookMs === null ? "path" : "circle");
  if (tookMs === null) {
    mark.setAttribute("d", `M${x - 4} 4l8 8m0 -8l-8 8`);
    mark.setAttribute("class", "lost-mark");
  } else {
    mark.setAttribute("cx", x.toFixed(1));
    mark.setAttribute("cy", heightOf(tookMs).toFixed(1));
    mark.setAttribute("r", "4");
    mark.setAttribute("class", tookMs < 100 ? "dot-good" : "dot-late");
  }
  plot.append(mark);
}

function heightOf(ms) {
  const share = Math.log10(Math.max(1, Math.min(ms, MAX_MS))) / Math.log10(MAX_MS);
  return HEIGHT - 8 - share * (HEIGHT - 20);
}

function showFigures({ values, tookMs, lost }) {
  const sorted = tookMs.toSorted((a, b) => a - b);
  values.p50.textContent = formatMs(sorted[Math.floor(sorted.length * 0.5)]);
  values.p99.textContent = formatMs(sorted[Math.floor(sorted.length * 0.99)]);
  values.lost.textContent = tookMs.length + lost === 0 ? "–" : String(lost);
  values.lost.classList.toggle("bad", lost > 0);
}

function formatMs(ms) {
  if (ms === undefined) return "–";
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function describeRun(traffic) {
  const unanswered = [...lanes].filter(([, { lost }]) => lost > 0).map(([model]) => model);
  const whom = unanswered.length === 0
    ? "Every quick request was answered in every lane."
    : `Some quick requests were not answered in time: ${unanswered.join(", ")}.`;
  return traffic === "threads" ? `${whom} Each thread that ended was replaced.` : whom;
}

start().catch((error) => element("lanes-result").textContent = `The lanes could not be loaded: ${error.message}`);
