// Finding a model, wherever the search stands: as one types, by chips, page after page, in place. On a page of its own the
// address bar keeps what is shown; in a form (data-pick) a result goes into its field. Without this file the same form,
// links and buttons do it.
import { speak } from "./events.js";
import { asking, debounce, fetchFragment, morph, place } from "./fragments.js";
import { Looks } from "./looks.js";

const DELAY = 250;
const PAGES = 10; // that come by themselves while one scrolls
const PREFIX = "search.";
const KEPT = ["target", "context"]; // what the panel was asked for

class Finder {
  constructor(root) {
    this.root = root;
    this.picks = "pick" in root.dataset;
    this.form = root.closest("form") ?? root.querySelector("form");
    this.area = this.picks ? root.closest(".field") : root;
    this.field = this.area.querySelector("[data-query]");
    this.looks = new Looks((lines, signal) => this.look(lines, signal));
    // In a form the results scroll in a box of their own.
    const within = this.picks ? { root: this.region } : { rootMargin: "500px 0px" };
    this.end = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.scrolled(), within);
    this.typed = debounce(() => this.field.value !== this.used && this.search(), DELAY);
    this.area.addEventListener("input", (event) => this.entered(event));
    this.area.addEventListener("change", (event) => this.chosen(event));
    this.area.addEventListener("keydown", (event) => this.pressed(event));
    this.area.addEventListener("click", (event) => this.clicked(event));
    this.area.addEventListener("submit", (event) => this.submitted(event));
    this.pages = 1;
    this.shown = this.address().href;
    this.settle();
    if (!this.picks) this.keepAddress();
  }

  get region() { return this.root.querySelector("#results"); }
  get list() { return this.root.querySelector("#results-list"); }
  get more() { return this.root.querySelector("[data-more]"); }
  get filters() { return [...this.root.querySelectorAll(".filters :is(input, select), [data-filter]")]; }

  // What is asked for

  address(changes = {}) {
    const url = new URL(this.root.dataset.find, location.href);
    url.searchParams.set("q", this.field.value);
    for (const item of this.form.querySelectorAll('input[type="hidden"]')) {
      if (!this.picks) url.searchParams.append(item.name, item.value);
    }
    const sources = this.filters.filter((item) => item.type === "checkbox");
    const all = sources.every((item) => item.checked);
    for (const item of this.filters) {
      const value = item.type === "checkbox" ? item.checked && !all && item.value : item.value.trim();
      if (value && value !== item.dataset.usual) url.searchParams.append(item.name.replace(PREFIX, ""), value);
    }
    if (this.picks) {
      url.searchParams.set("type", this.root.dataset.pick);
      const own = [...this.form.elements].some((item) => item.name.endsWith(".endpoint") && item.value.trim());
      if (own) url.searchParams.set("own", "1");
    }
    const before = new URL(location.href).searchParams;
    for (const name of this.picks ? [] : KEPT) if (before.has(name)) url.searchParams.set(name, before.get(name));
    if (!url.searchParams.get("q")) url.searchParams.delete("q");
    for (const [name, value] of Object.entries(changes)) url.searchParams.set(name, value);
    return url;
  }

  /** `again`: a person asks, so also the same question. `keep`: the address is right already. */
  async search({ open, keep = false, again = false } = {}) {
    const url = this.address();
    if (url.href === this.shown && !again) return;
    this.shown = url.href;
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.failed(false);
    this.region.setAttribute("aria-busy", "true");
    try {
      const body = await fetchFragment(asking(url, "results", open ? { open } : {}), { signal });
      if (signal.aborted) return;
      this.looks.clear();
      place(body);
      this.pages = 1;
      this.stuck = false;
      if (!this.picks && !keep) history.replaceState(null, "", url);
      this.count();
      this.settle();
      if (this.region.dataset.say) speak(this.region.dataset.say);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.shown = undefined;
      this.failed();
    } finally {
      if (!signal.aborted) this.region.removeAttribute("aria-busy");
    }
  }

  /** Moorage itself did not answer. */
  failed(yes = true) {
    this.root.querySelector("[data-failed]").hidden = !yes;
  }

  count() {
    const used = this.filters.filter((item) => item.type !== "checkbox" && item.value && !("filter" in item.dataset));
    const count = this.root.querySelector("[data-count]");
    count.hidden = !used.length;
    count.textContent = used.length;
  }

  set(name, value) {
    for (const item of this.filters) {
      if (item.name.replace(PREFIX, "") !== name) continue;
      if (item.type === "checkbox") item.checked = !value || item.value === value;
      else item.value = value;
    }
  }

  // What comes by itself

  /** The rows have changed: look after those that are new. */
  settle() {
    this.looks.watch(this.region);
    this.end.disconnect();
    if (this.more) this.end.observe(this.more);
  }

  async look(lines, signal) {
    const row = lines.closest("[data-result]");
    const body = await fetchFragment(asking(this.address(this.about(row)), "where"), { signal });
    const fresh = body.querySelector(".where");
    const failed = body.querySelector(".way-failed");
    const held = lines.contains(document.activeElement);
    if (fresh) morph(lines, fresh);
    else (lines.querySelector(".see, .way-failed") ?? lines.querySelector(".way-what").lastChild).replaceWith(failed);
    if (held && !lines.contains(document.activeElement)) row.querySelector("[data-panel]").focus({ preventScroll: true });
    return failed?.dataset.rest;
  }

  scrolled() {
    if (this.pages < PAGES && !this.stuck) this.append();
  }

  async append(byHand = false) {
    const { more } = this;
    if (!more || more.ariaBusy) return;
    more.ariaBusy = "true";
    const url = this.picks ? this.address({ cursor: more.value }) : more.href;
    const shown = this.shown;
    try {
      const body = await fetchFragment(asking(url, "results"));
      if (this.shown !== shown) return;
      if (!this.list) { // the first page had failed
        place(body);
        this.settle();
        return;
      }
      const here = new Set([...this.list.children].map((row) => row.dataset.result));
      const rows = [...body.querySelectorAll("#results-list > li")].filter((row) => !here.has(row.dataset.result));
      const next = body.querySelector("#results-more");
      const troubles = body.querySelectorAll("#results > .notice");
      this.list.append(...rows);
      for (const old of this.root.querySelectorAll("#results > .notice")) old.remove();
      this.list.after(...troubles);
      this.stuck = !rows.length;
      this.root.querySelector("#results-more").replaceWith(...(next ? [next] : []));
      if (rows.length) this.pages += 1;
      this.settle();
      this.keep();
      if (byHand) (rows[0]?.querySelector("[data-panel]") ?? this.more)?.focus({ preventScroll: true });
    } catch {
      this.stuck = true;
      more.ariaBusy = null;
      this.failed();
    }
  }

  // One model in place

  row(key) { return [...(this.list?.children ?? [])].find((row) => row.dataset.result === key); }

  get open() { return this.list?.querySelector('[aria-current="true"]'); }

  about({ dataset }) {
    return { open: dataset.result, ...(dataset.revision && { revision: dataset.revision }) };
  }

  /** What opens and closes panels. */
  panels() {
    this.made ??= import("./panels.js").then(({ Panels }) => new Panels(this));
    return this.made;
  }

  // The address bar

  keepAddress() {
    addEventListener("popstate", () => this.follow());
    addEventListener("pagehide", () => this.keep());
    const { pages, y } = history.state ?? {};
    if (pages > 1) this.restore(pages, y);
  }

  /** The state of this entry of the history: how many pages are shown, and how far one has scrolled. */
  keep() {
    if (!this.picks && this.pages > 1) history.replaceState({ pages: this.pages, y: scrollY }, "");
  }

  async restore(pages, y) {
    this.stuck = true; // until they are all there
    for (let at = 1; at < pages && this.more; at += 1) await this.append();
    this.stuck = false;
    scrollTo(0, y);
  }

  remember(open, how) {
    if (this.picks) return;
    const url = new URL(location.href);
    for (const name of ["open", "file", "files"]) url.searchParams.delete(name);
    if (open) url.searchParams.set("open", open);
    history[how](history.state, "", url);
  }

  /** Another target or context length counts for every row from now on. */
  keepChoice(changes) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(changes)) url.searchParams.set(name, value);
    history.replaceState(history.state, "", url);
    this.shown = this.address().href;
  }

  /** Back and forward: the search of the address, and its panel. */
  async follow() {
    const { searchParams } = new URL(location.href);
    const open = searchParams.get("open");
    this.field.value = searchParams.get("q") ?? "";
    for (const item of this.filters) {
      const values = searchParams.getAll(item.name);
      if (item.type === "checkbox") item.checked = !values.length || values.includes(item.value);
      else item.value = values[0] ?? item.dataset.usual ?? "";
    }
    await this.search({ open, keep: true });
    if (this.open?.dataset.result === (open ?? undefined)) return;
    const panels = await this.panels();
    if (this.open) panels.close(this.open, true);
    if (open && this.row(open)) await panels.show(this.row(open), true);
  }

  // What people do

  entered(event) {
    if (event.target === this.field || this.filters.includes(event.target)) this.typed();
  }

  async chosen(event) {
    const judge = event.target.closest("[data-judge]");
    if (!judge) return;
    judge.closest(".panel").setAttribute("aria-busy", "true"); // from now on its buttons wait
    (await this.panels()).judge(judge);
  }

  clicked(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const on = event.target.closest("a, button");
    if (!on || on.disabled) return;
    const row = on.closest("[data-result]");
    const { dataset } = on;
    if (on.form === this.form && !this.picks) {
      if (on.type !== "submit") return;
      this.search({ again: true });
    } else if ("panel" in dataset || "see" in dataset) this.panels().then((panels) => panels.toggle(row));
    else if ("again" in dataset) this.panels().then((panels) => panels.fill(row));
    else if ("all" in dataset) this.panels().then((panels) => panels.fill(row, { files: "all" }));
    else if ("retry" in dataset) this.looks.again(row.querySelector(".where"));
    else if ("more" in dataset) this.append(true);
    else if ("chip" in dataset) this.change(() => this.set(dataset.chip, dataset.value));
    else if ("text" in dataset) this.change(() => { this.field.value = dataset.text; });
    else if ("use" in dataset) this.use(on.value);
    else if (on.name === "_search") this.search({ again: true });
    else return;
    event.preventDefault();
  }

  /** A panel that is on its way to another target must not install on the one before: the button waits for it. */
  submitted(event) {
    if (!event.target.closest('.panel[aria-busy="true"]')) return;
    event.preventDefault();
    this.late = { form: event.target, submitter: event.submitter };
  }

  change(make) {
    make();
    this.search();
  }

  use(id) {
    this.running?.abort();
    this.looks.clear();
    this.field.value = this.used = id;
    this.region.replaceChildren();
    this.field.focus();
  }

  pressed(event) {
    if (event.key === "Escape") this.escape(event);
    else if (event.key === "Enter" && this.picks && (event.target === this.field || this.filters.includes(event.target))) {
      event.preventDefault(); // the first button of the form would be pressed
      this.search({ again: true });
    } else if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) this.walk(event);
  }

  escape(event) {
    const row = this.open?.contains(event.target) ? this.open : null;
    if (row) this.panels().then((panels) => panels.close(row));
    else if (!this.picks || !this.region.hasChildNodes()) return;
    else {
      this.running?.abort();
      this.looks.clear();
      this.region.replaceChildren();
      this.shown = undefined;
    }
    event.preventDefault();
    (row?.querySelector("[data-panel]") ?? this.field).focus();
  }

  /** Up and down go through the results, from the field and back to it; Home and End to the first and the last. */
  walk(event) {
    const rows = [...(this.list?.children ?? [])];
    const stops = rows.map((row) => row.querySelector("[data-use]:enabled") ?? row.querySelector("[data-panel]"));
    const at = event.target === this.field ? -1 : rows.indexOf(event.target.closest(".name, [data-use]")?.closest("[data-result]"));
    if (!stops.length || (at < 0 && event.target !== this.field)) return;
    if (at < 0 && event.key !== "ArrowDown") return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
    const next = to < 0 ? this.field : stops[to];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

const bound = new WeakSet();

/** Make every search below `scope` live that is not yet; a form calls it for what it has just replaced. */
export function bind(scope = document) {
  for (const root of scope.querySelectorAll("[data-find]")) {
    if (bound.has(root)) continue;
    bound.add(root);
    new Finder(root);
  }
}

bind();
