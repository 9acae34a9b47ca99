/**
 * The section "Routes": forms that ask a route and show its response.
 *
 * @module
 */

/**
 * A browser sends all of a request before it reads the response, and an echo with back-pressure reads no faster than it
 * is read. So a large file goes in parts that fit into the buffers between the two.
 */
const ECHO_PART_BYTES = 1024 * 1024;
/** The time between two quick requests beside the slow one. */
const QUICK_PAUSE_MS = 80;
const SHOWN_CHARS = 4_000;

const element = (id) => document.getElementById(id);

/** Calls an action when a form is sent, once at a time, and shows what went wrong. */
function onSubmit(form, showFailure, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await action(new FormData(form));
    } catch (error) {
      showFailure(`It did not work: ${error.message}.`);
    }
    button.disabled = false;
  });
}

/** Shows a response as the message it was. */
function showResponse(target, response, content) {
  const span = (className, text) => {
    const made = document.createElement("span");
    made.className = className;
    made.textContent = text;
    return made;
  };
  const parts = [span("status-line", `HTTP/1.1 ${response.status} ${response.statusText}`), "\n"];
  for (const [name, value] of response.headers) parts.push(span("field-name", `${name}:`), ` ${value}\n`);
  const shown = content.length > SHOWN_CHARS ? `${content.slice(0, SHOWN_CHARS)}…` : content;
  target.replaceChildren(...parts, `\n${shown}`);
}

function prepareJson() {
  const form = element("json");
  const raw = form.querySelector(".raw");
  onSubmit(form, (text) => raw.textContent = text, async (fields) => {
    const query = new URLSearchParams({ name: fields.get("name") });
    // A field value is bytes; what is beyond Latin-1 cannot be said in it.
    const note = fields.get("note").replace(/[^\x20-\x7e\xa0-\xff]/g, "?");
    const response = await fetch(`/api/time?${query}`, { headers: { "x-note": note }, cache: "no-store" });
    const content = await response.text();
    showResponse(raw, response, prettyJson(content));
  });
}

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function prepareEcho() {
  const form = element("echo");
  const raw = form.querySelector(".raw");
  const result = form.querySelector(".result");
  onSubmit(form, (text) => result.textContent = text, async (fields) => {
    const file = fields.get("file");
    const content = file.size > 0 ? file : new Blob([fields.get("text")]);
    const startedAt = performance.now();
    let isSame = true;
    let parts = 0;
    let response, returned;
    for (let at = 0; at < Math.max(1, content.size); at += ECHO_PART_BYTES) {
      const part = content.slice(at, at + ECHO_PART_BYTES);
      response = await fetch("/api/echo", { method: "POST", body: part });
      returned = new Uint8Array(await response.arrayBuffer());
      isSame &&= response.ok && isEqual(returned, new Uint8Array(await part.arrayBuffer()));
      parts++;
      result.textContent = `${formatBytes(Math.min(content.size, at + ECHO_PART_BYTES))} of ${
        formatBytes(content.size)
      }`;
    }
    const ms = performance.now() - startedAt;
    const inParts = parts === 1 ? "" : ` in ${parts} exchanges`;
    result.textContent = `${formatBytes(content.size)} out and back${inParts} in ${formatMs(ms)}, ` +
      `${isSame ? "the same bytes" : "NOT the same bytes"}, ${formatBytes(content.size * 1000 / ms)}/s each way.`;
    showResponse(raw, response, describeContent(returned));
  });
}

function isEqual(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

function describeContent(bytes) {
  const text = new TextDecoder().decode(bytes.subarray(0, SHOWN_CHARS));
  // deno-lint-ignore no-control-regex -- Control characters are what tells text from other content.
  return /[\0-\x08\x0e-\x1f\ufffd]/.test(text) ? `(${formatBytes(bytes.length)} that are no text)` : text;
}

function prepareSlow() {
  const form = element("slow");
  const slider = form.elements.delay;
  const result = element("slow-result");
  slider.addEventListener("input", () => {
    element("delay-text").textContent = `${(slider.valueAsNumber / 1000).toFixed(1)} s`;
  });
  onSubmit(form, (text) => result.textContent = text, async () => {
    const delayMs = slider.valueAsNumber;
    const startedAt = performance.now();
    const elapsedMs = () => performance.now() - startedAt;
    const toPercent = (ms) => Math.min(100, ms / (delayMs * 1.04) * 100);
    const bar = element("bar");
    element("dots").replaceChildren();
    result.textContent = "";
    let isWaiting = true;
    const slow = fetch(`/api/slow?ms=${delayMs}`, { cache: "no-store" }).then((response) => response.text())
      .finally(() => isWaiting = false);
    const draw = () => {
      bar.style.width = `${toPercent(elapsedMs())}%`;
      if (isWaiting) requestAnimationFrame(draw);
    };
    draw();
    const took = await sendQuickOnes(() => isWaiting, elapsedMs, (fromMs, toMs) => {
      const mark = document.createElement("i");
      mark.style.left = `${toPercent(fromMs)}%`;
      mark.style.width = `${toPercent(toMs - fromMs)}%`;
      element("dots").append(mark);
    });
    await slow;
    took.sort((a, b) => a - b);
    result.textContent = `The slow one took ${formatMs(elapsedMs())}. Meanwhile ${took.length} others were answered, ` +
      `half of them within ${formatMs(took[took.length >> 1])}, the slowest in ${formatMs(took.at(-1))}.`;
  });
}

async function sendQuickOnes(isWanted, elapsedMs, mark) {
  const took = [];
  do {
    const fromMs = elapsedMs();
    await (await fetch("/api/ping", { cache: "no-store" })).text();
    const toMs = elapsedMs();
    took.push(toMs - fromMs);
    mark(fromMs, toMs);
    await new Promise((resolve) => setTimeout(resolve, QUICK_PAUSE_MS));
  } while (isWanted());
  return took;
}

function formatMs(ms) {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(1)} ms`;
}

function formatBytes(bytes) {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

prepareJson();
prepareEcho();
prepareSlow();
