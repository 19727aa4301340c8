// Provider forms: the test from unsaved values, and the search in a model field. Both post or ask for what the page
// itself would show, so that a form is read in one place only: on the server.
import { asking, debounce, fetchFragment } from "./fragments.js";

const DELAY = 250;
let running;

async function test(form, button) {
  const region = document.getElementById("test");
  const data = new FormData(form, button);
  region.replaceChildren(document.getElementById("test-steps").content.cloneNode(true));
  button.disabled = true;
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("form[data-provider-form]");
    // What was typed stays as it is: only errors beside fields and the result below are taken over.
    showErrors(form, fresh);
    region.replaceChildren(...(fresh?.querySelector("#test") ?? page.querySelector("main")).childNodes);
  } catch {
    region.textContent = form.dataset.failed;
  } finally {
    button.disabled = false;
  }
}

function showErrors(form, fresh) {
  for (const old of form.querySelectorAll("p.error[id]")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const error of fresh?.querySelectorAll("p.error[id]") ?? []) {
    const field = document.getElementById(error.id.replace(/-error$/, ""));
    field?.closest(".field").append(error);
    field?.setAttribute("aria-invalid", "true");
    field?.setAttribute("aria-describedby", error.id);
  }
  form.querySelector("[aria-invalid]")?.focus();
}

async function pick(field) {
  running?.abort();
  running = new AbortController();
  const region = document.getElementById(`${field.id}-results`);
  const data = new FormData(field.form);
  const query = { q: field.value, name: field.name, type: data.get("type") ?? data.get("llm.type") ?? "" };
  try {
    const body = await fetchFragment(asking(field.dataset.picks, "picks", query), { signal: running.signal });
    region.replaceChildren(...body.childNodes);
  } catch (error) {
    if (error.name !== "AbortError") region.textContent = field.form.dataset.failed ?? "";
  }
}

/** The fields of another type, the options of another LLM: parts of the same form as the server makes it. */
async function refill(form, parts) {
  const data = new FormData(form);
  data.set("_action", "fields");
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of parts) document.getElementById(id).replaceWith(page.getElementById(id));
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (!event.submitter?.matches("[data-test]")) return;
    event.preventDefault();
    test(form, event.submitter);
  });
}

// The fields of a form come and go with what is chosen in it, so the page listens for them.
const typed = debounce(pick, DELAY);
document.addEventListener("input", (event) => {
  if (event.target.matches("[data-model-search]")) typed(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || !event.target.matches("[data-model-search]")) return;
  event.preventDefault();
  document.getElementById(`${event.target.id}-results`).querySelector("button")?.focus();
});

for (const form of document.querySelectorAll("[data-agent-form]")) {
  form.addEventListener("change", (event) => {
    if (event.target.name === "llm.type") refill(form, ["llm-fields", "options-place"]);
    else if (["llm.kind", "llm.provider"].includes(event.target.name)) refill(form, ["options-place", "llm-proof"]);
    else if (["llm.model", "tools"].includes(event.target.name)) refill(form, ["llm-proof"]);
  });
}

document.addEventListener("click", (event) => {
  const use = event.target.closest?.("[data-use-for]");
  const search = event.target.closest?.('button[name="_search"]');
  if (use) {
    event.preventDefault();
    const field = use.form.elements[use.dataset.useFor];
    field.value = use.value;
    document.getElementById(`${field.id}-results`).replaceChildren();
    field.focus();
  } else if (search) {
    event.preventDefault();
    pick(search.form.elements[search.value]);
  }
});

// The model of a saved provider: what it offers now is suggested while one types.
const provider = document.querySelector('[name="llm.provider"]');
const model = document.querySelector('[name="llm.model"]');

async function suggest() {
  const list = document.getElementById("provider-models");
  list.replaceChildren();
  if (!provider.value) return;
  try {
    const response = await fetch(`/api/llm/providers/${provider.value}/models`);
    if (!response.ok) return;
    for (const { name } of (await response.json()).models) list.append(new Option(name, name));
  } catch {
    // A provider that does not answer suggests nothing; its test says why.
  }
}

if (provider && model) {
  const list = document.createElement("datalist");
  list.id = "provider-models";
  model.after(list);
  model.setAttribute("list", list.id);
  provider.addEventListener("change", suggest);
  suggest();
}
