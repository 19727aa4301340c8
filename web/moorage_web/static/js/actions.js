// A button in a row of a list (test, pause, retry): its form answers with the row alone.
import { fetchFragment, place } from "./fragments.js";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.fragmentForm) return;
  event.preventDefault();
  const button = event.submitter;
  button.disabled = true;
  try {
    const body = new URLSearchParams(new FormData(form, button));
    body.set("fragment", "row");
    place(await fetchFragment(form.action, { method: "POST", body }));
  } catch {
    location.reload();
  } finally {
    button.disabled = false;
  }
});
