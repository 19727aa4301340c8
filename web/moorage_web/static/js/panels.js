// One model in place, below its row: opened, judged for another target or context, and closed again. search.js loads this
// when it is first needed.
import { speak } from "./events.js";
import { asking, fetchFragment, morph } from "./fragments.js";

export class Panels {
  /** `finder` knows where to ask (address) and what a row is about; `opened` hears what is open now. */
  constructor(finder) {
    this.finder = finder;
  }

  toggle(row) {
    if (row === this.finder.open) this.close(row);
    else this.show(row);
  }

  async show(row, keep = false) {
    const { finder } = this;
    const before = finder.open;
    if (before) this.close(before, true);
    row.querySelector("[data-panel]").setAttribute("aria-expanded", "true");
    row.setAttribute("aria-current", "true");
    row.querySelector("[data-panel-slot]").replaceChildren(finder.root.querySelector("[data-wait]").content.cloneNode(true));
    if (!keep) finder.remember(row.dataset.result, before ? "replaceState" : "pushState");
    await this.fill(row);
  }

  /** Ask for the panel of a row, again where it is there already: what has the focus keeps it. */
  async fill(row, changes = {}) {
    const { finder } = this;
    this.filling?.abort();
    this.filling = new AbortController();
    const { signal } = this.filling;
    const slot = row.querySelector("[data-panel-slot]");
    const picked = [...slot.querySelectorAll('[name="file"]')].find((item) => item.checked && !item.defaultChecked);
    slot.firstElementChild?.setAttribute("aria-busy", "true");
    try {
      const url = finder.address({ ...finder.about(row), ...(picked && { file: picked.value }), ...changes });
      const body = await fetchFragment(asking(url, "panel"), { signal });
      if (signal.aborted || row !== finder.open) return;
      morph(slot.firstElementChild, body.querySelector(".panel"));
      for (const item of slot.querySelectorAll('[name="file"]')) item.checked = item.defaultChecked;
      const { say } = slot.firstElementChild.dataset;
      if (say && changes.target) speak(say);
      const { form, submitter } = finder.late ?? {};
      finder.late = undefined;
      if (submitter?.isConnected && !submitter.disabled) form.requestSubmit(submitter);
    } catch (error) {
      if (error.name === "AbortError") return;
      finder.late = undefined;
      finder.failed();
      slot.firstElementChild?.removeAttribute("aria-busy");
    }
  }

  /** Another target or context length: the address keeps it, and the verdicts follow. */
  judge(form) {
    const changes = Object.fromEntries([...form.querySelectorAll("select")].map((item) => [item.name, item.value]));
    this.finder.keepChoice(changes);
    this.fill(form.closest("[data-result]"), changes);
  }

  close(row, keep = false) {
    this.filling?.abort();
    row.removeAttribute("aria-current");
    row.querySelector("[data-panel]").setAttribute("aria-expanded", "false");
    row.querySelector("[data-panel-slot]").replaceChildren();
    if (!keep) this.finder.remember(null, "replaceState");
  }
}
