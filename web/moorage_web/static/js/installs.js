// The queue by drag: a row dropped before another moves there. The buttons do the same without a mouse.
let dragged;
let followers = [];

for (const row of document.querySelectorAll("[data-movable]")) row.draggable = true;

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.("[data-movable]");
  if (!dragged) return;
  dragged.classList.add("dragging");
  const rows = [...dragged.parentElement.querySelectorAll("[data-movable]")];
  followers = rows.slice(rows.indexOf(dragged) + 1);
  event.dataTransfer.effectAllowed = "move";
});

document.addEventListener("dragover", (event) => {
  const over = dragged && event.target.closest?.("[data-movable]");
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
  if (!row) return;
  const next = row.nextElementSibling?.closest("[data-movable]");
  // The API moves a row before another; to the end means that all that came after it move before it, one by one.
  const moves = next ? [[row, next]] : followers.map((other) => [other, row]);
  for (const [moved, before] of moves) {
    const response = await fetch(`/api/installs/${moved.dataset.movable}/move`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ before: before.dataset.movable }),
    });
    if (!response.ok) return location.reload();
  }
});
