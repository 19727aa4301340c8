// The queue by drag: a row dropped before another moves there. The buttons do the same without a mouse.
import { send } from "./fragments.js";

let dragged;
let followers = [];

const rowOf = (event) => event.target.closest?.("[data-movable]");

document.addEventListener("pointerdown", (event) => {
  const row = rowOf(event);
  if (row) row.draggable = !event.target.closest("button, summary");
});

document.addEventListener("dragstart", (event) => {
  dragged = rowOf(event);
  if (!dragged) return;
  dragged.classList.add("dragging");
  const rows = [...dragged.parentElement.querySelectorAll("[data-movable]")];
  followers = rows.slice(rows.indexOf(dragged) + 1);
  event.dataTransfer.effectAllowed = "move";
});

document.addEventListener("dragover", (event) => {
  const over = dragged && rowOf(event);
  if (!over || over === dragged || over.parentElement !== dragged.parentElement) return;
  event.preventDefault();
  const { top, height } = over.getBoundingClientRect();
  if (event.clientY < top + height / 2) over.before(dragged);
  else over.after(dragged);
});

document.addEventListener("drop", (event) => {
  if (dragged) event.preventDefault();
});

document.addEventListener("dragend", async () => {
  const row = dragged;
  dragged = undefined;
  row?.classList.remove("dragging");
  if (!row || row.nextElementSibling === (followers[0] ?? null)) return;
  const next = row.nextElementSibling?.closest("[data-movable]");
  // A row moves before another; to the end means that all that came after it move before it, one by one.
  const moves = next ? [[row, next]] : followers.map((other) => [other, row]);
  const bodies = moves.map(([moved, before]) => [moved.dataset.movable, {
    before: before.dataset.movable, generation: moved.dataset.generation, fragment: "sections",
  }]);
  try {
    for (const [id, body] of bodies) {
      if (!(await send(`/installs/${id}/move${location.search}`, new URLSearchParams(body), "install-sections"))) return;
    }
  } catch {
    location.reload();
  }
});
