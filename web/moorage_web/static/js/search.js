// Search as you type, panels in place, More at the end. Without this file the same form and links load pages.
import { asking, debounce, fetchFragment, place } from "./fragments.js";

const DELAY = 250;
const form = document.querySelector("form[data-search]");
const region = () => document.getElementById("results");
let running;
let asked; // the address of the search that is shown or on its way: the same question is not asked twice

function address() {
  const url = new URL(form.getAttribute("action") || location.pathname, location.href);
  for (const [key, value] of new FormData(form)) if (value) url.searchParams.append(key, value);
  return url;
}

async function search() {
  if (address().href === asked) return;
  asked = address().href;
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const url = address();
  region().setAttribute("aria-busy", "true");
  try {
    const body = await fetchFragment(asking(url, "results"), { signal });
    if (signal.aborted) return;
    place(body);
    history.replaceState(null, "", url);
    countFilters();
  } catch (error) {
    if (error.name === "AbortError") return;
    asked = undefined;
    form.querySelector("[data-failed]").hidden = false;
  } finally {
    if (!signal.aborted) region().removeAttribute("aria-busy");
  }
}

function start() {
  form.querySelector("[data-failed]").hidden = true;
  return search();
}

function countFilters() {
  const used = [...form.querySelectorAll(".filters :is(input:not([type=checkbox]), select)")].filter((item) => item.value);
  const count = form.querySelector("[data-filter-count]");
  count.hidden = !used.length;
  count.textContent = used.length;
}

async function showPanel(link) {
  const row = link.closest("[data-result]");
  const slot = row.querySelector("[data-panel-slot]");
  const url = new URL(location.href);
  if (link.getAttribute("aria-expanded") === "true") {
    close(row);
    url.searchParams.delete("open");
    history.replaceState(null, "", url);
    return;
  }
  for (const other of region().querySelectorAll('[aria-current="true"]')) close(other);
  link.setAttribute("aria-expanded", "true");
  row.setAttribute("aria-current", "true");
  url.searchParams.set("open", row.dataset.result);
  slot.replaceChildren(document.getElementById("panel-wait").content.cloneNode(true));
  try {
    const body = await fetchFragment(asking(url, "panel"));
    if (link.getAttribute("aria-expanded") !== "true") return;
    slot.replaceChildren(...body.childNodes);
    history.replaceState(null, "", url);
  } catch {
    location.assign(link.href);
  }
}

function close(row) {
  row.removeAttribute("aria-current");
  row.querySelector("[data-panel]").setAttribute("aria-expanded", "false");
  row.querySelector("[data-panel-slot]").replaceChildren();
}

async function append(link) {
  link.setAttribute("aria-busy", "true");
  try {
    const body = await fetchFragment(asking(link.href, "results"));
    const fresh = [...body.querySelectorAll("#results-list > li")];
    const more = body.querySelector("#results-more");
    document.getElementById("results-list").append(...fresh);
    if (more) document.getElementById("results-more").replaceWith(more);
    else document.getElementById("results-more").remove();
    fresh[0]?.querySelector("a").focus({ preventScroll: true });
  } catch {
    location.assign(link.href);
  }
}

/** Up and down go through the results; up from the first goes back to the field. */
function walk(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const field = form.elements.q;
  const stops = [field, ...region().querySelectorAll("[data-panel]")];
  const at = stops.indexOf(document.activeElement);
  const next = stops[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

if (form && region()) {
  const typed = debounce(start, DELAY);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  form.addEventListener("input", typed);
  document.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#results a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (!link.matches("[data-panel], [data-more]")) return;
    event.preventDefault();
    if (link.matches("[data-panel]")) showPanel(link);
    else append(link);
  });
}
