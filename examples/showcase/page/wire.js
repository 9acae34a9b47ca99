/**
 * The section "On the wire": conversations in bytes, and whether they went as they must.
 *
 * @module
 */

const SHOWN_CHARS = 1_500;
/** Conversations at once when all are run; most of them are over in a moment, and one waits for a deadline. */
const LANES = 3;

const element = (id) => document.getElementById(id);

async function start() {
  const cases = await (await fetch("/api/wire")).json();
  const entries = cases.map((wireCase) => {
    const button = document.createElement("button");
    const badge = document.createElement("code");
    button.type = "button";
    badge.textContent = wireCase.statuses.join(" ");
    button.append(wireCase.title, badge);
    const item = document.createElement("li");
    item.append(button);
    element(wireCase.kind).append(item);
    const entry = { wireCase, button, badge };
    button.addEventListener("click", async () => {
      await choose(entry, entries);
      // On a narrow screen the conversation lies below the list, out of sight.
      const talk = element("talk");
      if (talk.getBoundingClientRect().top > innerHeight * 0.8) talk.scrollIntoView();
    });
    return entry;
  });
  choose(entries[0], entries);
  element("run-all").addEventListener("click", () => runAll(entries));
}

async function choose(entry, entries) {
  for (const { button } of entries) button.toggleAttribute("aria-current", false);
  entry.button.setAttribute("aria-current", "true");
  element("talk-title").textContent = entry.wireCase.title;
  element("talk-reason").textContent = `${entry.wireCase.reason} ${entry.wireCase.section}.`;
  element("talk-events").replaceChildren();
  element("talk-verdict").textContent = "";
  entry.button.disabled = true;
  try {
    const events = await run(entry);
    if (entry.button.getAttribute("aria-current") === "true") showTalk(entry, events);
  } catch (error) {
    element("talk-reason").textContent = `It did not work: ${error.message}.`;
  }
  entry.button.disabled = false;
}

function showTalk({ wireCase, badge }, events) {
  const must = wireCase.statuses.join(" ");
  element("talk-events").replaceChildren(...events.map(showEvent));
  element("talk-verdict").textContent = badge.className === "met"
    ? `Answered with ${must}, as it must be.`
    : `It must be answered with ${must}, and was not.`;
}

async function runAll(entries) {
  const button = element("run-all");
  const result = element("run-all-result");
  button.disabled = true;
  result.textContent = "Under way; one of them waits five seconds for a deadline.";
  let next = 0;
  let met = 0;
  const runLane = async () => {
    while (next < entries.length) {
      const entry = entries[next++];
      await run(entry);
      if (entry.badge.className === "met") met++;
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, runLane));
    result.textContent = `${met} of ${entries.length} were answered as they must be.`;
  } catch (error) {
    result.textContent = `It did not work: ${error.message}.`;
  }
  button.disabled = false;
}

/** Lets the server talk to itself, and notes whether the statuses are the right ones. */
async function run({ wireCase, badge }) {
  const response = await fetch(`/api/wire?id=${wireCase.id}`, { method: "POST" });
  if (!response.ok) throw new Error((await response.text()).trim());
  const events = await response.json();
  const received = events.filter(({ direction }) => direction === "received").map(({ text }) => text).join("");
  const statuses = [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status).join(" ");
  const isMet = statuses === wireCase.statuses.join(" ");
  badge.className = isMet ? "met" : "missed";
  badge.textContent = isMet ? `✓ ${statuses}` : `✗ ${statuses || "nothing"}`;
  return events;
}

function showEvent({ direction, text, atMs }) {
  const item = document.createElement("li");
  const caption = document.createElement("p");
  const time = document.createElement("span");
  const bytes = document.createElement("pre");
  item.className = direction;
  time.textContent = `${atMs.toFixed(1)} ms`;
  caption.append(direction === "sent" ? "→ sent" : "← received", time);
  bytes.append(...showBytes(text));
  item.append(caption, bytes);
  return item;
}

/** The text with its line ends made visible, for they are what many of the conversations are about. */
function showBytes(text) {
  const shown = text.length > SHOWN_CHARS ? text.slice(0, SHOWN_CHARS) : text;
  const parts = shown.split(/(\r\n|\n|\r)/).map((part) => {
    if (!/^[\r\n]/.test(part)) return part;
    const mark = document.createElement("span");
    mark.className = "crlf";
    mark.textContent = part.replace("\r", "\\r").replace("\n", "\\n") + "\n";
    return mark;
  });
  return shown === text ? parts : [...parts, `… and ${(text.length - shown.length).toLocaleString("en")} more`];
}

start().catch((error) => element("talk-reason").textContent = `The list could not be loaded: ${error.message}.`);
