// A button in a row of a list (test, pause, retry): its form answers with the row alone, or with the list as it is shown.
import { send } from "./fragments.js";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.fragmentForm) return;
  event.preventDefault();
  if (form.ariaBusy) return;
  const button = event.submitter;
  const { fragmentForm, fragment } = form.dataset;
  const row = form.closest(".install-row")?.id;
  const label = button?.textContent;
  const body = new URLSearchParams(new FormData(form, button));
  body.set("fragment", fragment ?? "row");
  form.ariaBusy = "true"; // a disabled button would lose the focus
  try {
    const url = button?.hasAttribute("formaction") ? button.formAction : form.action;
    await send(fragment ? url + location.search : url, body, fragmentForm);
    if (fragment) focusIn(document.getElementById(row), label);
  } catch {
    location.reload();
  } finally {
    form.ariaBusy = null;
  }
});

/** The focus goes with what has moved: to the same button where it is now, else to its name. */
function focusIn(row, label) {
  const same = [...(row?.querySelectorAll("button") ?? [])].find((item) => item.textContent === label);
  (same ?? row?.querySelector("a.name"))?.focus();
}

// A choice that is saved as soon as it is made; without this file the button beside it saves it.
document.addEventListener("change", (event) => event.target.form?.closest("[data-at-once]")?.requestSubmit());
