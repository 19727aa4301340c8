// What happens in the host, as it happens. An element with data-live (prefixes of event types), data-src (its fragment)
// and perhaps data-about (the id of one thing) is fetched again when it is concerned, at most once a second.
import { fetchFragment, place } from "./fragments.js";

const TYPES = [
  "plugin.loaded", "plugin.failed", "provider.saved", "provider.removed", "agent.saved", "agent.removed",
  "search.finished", "search.found", "install.requested", "install.started", "install.progressed", "install.waiting",
  "install.installed", "install.failed", "install.updated", "install.changed", "model.removed", "schedule.fired", "chat.started",
  "chat.ended", "catalog.violated", "settings.saved",
];
const PACE = 1000;
const SPEAK = 5000;
const due = new Map();
let source;
let spokenAt = 0;
let unspoken;

function open() {
  source = new EventSource("/api/events");
  for (const type of TYPES) source.addEventListener(type, heard);
  // What happened between the making of the page and this moment was heard by nobody.
  source.addEventListener("open", refreshAll);
}

function refreshAll() {
  for (const element of document.querySelectorAll("[data-live][data-src]")) {
    // What stands in a live part comes with it.
    if (!element.parentElement.closest("[data-live][data-src]")) refreshSoon(element.dataset.src);
  }
}

function heard(message) {
  const event = { type: message.type, ...JSON.parse(message.data) };
  document.dispatchEvent(new CustomEvent("moorage", { detail: event }));
  for (const element of document.querySelectorAll("[data-live][data-src]")) {
    const { live, about } = element.dataset;
    if (live.split(" ").some((prefix) => event.type.startsWith(prefix)) && (!about || about === event.about)) {
      refreshSoon(element.dataset.src);
    }
  }
}

function refreshSoon(src) {
  const last = due.get(src) ?? { at: 0 };
  if (last.timer) {
    last.again = last.asking; // what is on its way may be from before this event
    return;
  }
  last.timer = setTimeout(() => refresh(src, last), Math.max(0, last.at + PACE - Date.now()));
  due.set(src, last);
}

async function refresh(src, entry) {
  entry.asking = true;
  const before = new Map([...document.querySelectorAll("[data-say]")].map((item) => [item.id, item.dataset.say]));
  try {
    for (const element of place(await fetchFragment(src))) {
      const { say } = element.dataset;
      if (say && before.get(element.id) !== say) speak(say);
    }
  } catch {
    // The next event asks again; what is on the page is still what was true last.
  } finally {
    const { again } = entry;
    Object.assign(entry, { at: Date.now(), timer: undefined, asking: false, again: false });
    if (again) refreshSoon(src);
  }
}

/** Say it in the live region: only the newest, at most every five seconds. */
export function speak(text) {
  const waiting = unspoken !== undefined;
  unspoken = text;
  if (waiting) return;
  setTimeout(() => {
    document.getElementById("announce").textContent = unspoken;
    unspoken = undefined;
    spokenAt = Date.now();
  }, Math.max(0, spokenAt + SPEAK - Date.now()));
}

// A browser allows six connections to one host: a page that nobody looks at holds none.
document.addEventListener("visibilitychange", () => {
  source?.close();
  if (!document.hidden) open();
});
if (!document.hidden) open();
