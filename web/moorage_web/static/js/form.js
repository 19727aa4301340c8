// Provider and agent forms: the test from unsaved values, and fields that come and go with what is chosen. Both post what
// the form itself would, so that a form is read in one place only: on the server. The search in them is search.js.
import { bind } from "./search.js";

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
    (field?.closest(".with-button") ?? field?.closest(".field").lastElementChild)?.after(error);
    field?.setAttribute("aria-invalid", "true");
    field?.setAttribute("aria-describedby", error.id);
  }
  form.querySelector("[aria-invalid]")?.focus();
}

/** The fields of another type, the options of another LLM: parts of the same form as the server makes it. */
async function refill(form, parts) {
  const data = new FormData(form);
  data.set("_action", "fields");
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of parts) document.getElementById(id).replaceWith(page.getElementById(id));
  bind(form);
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (!event.submitter?.matches("[data-test]")) return;
    event.preventDefault();
    test(form, event.submitter);
  });
}

for (const form of document.querySelectorAll("[data-agent-form]")) {
  form.addEventListener("change", (event) => {
    if (event.target.name === "llm.type") refill(form, ["llm-fields", "options-place"]);
    else if (["llm.kind", "llm.provider"].includes(event.target.name)) refill(form, ["options-place", "llm-proof"]);
    else if (["llm.model", "tools"].includes(event.target.name)) refill(form, ["llm-proof"]);
  });
}

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
