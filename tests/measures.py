"""What is measured in a page, for the bar that UI.md sets: sizes of targets, shifts of layout, lengths of lines."""

from __future__ import annotations

SMALLEST_TARGET = """() => [...document.querySelectorAll(
    'a, button, summary, input:not([type=hidden]), select, textarea')]
  .filter(item => item.checkVisibility() && !item.closest('p:not(.row, .facts)'))
  .map(item => item.closest('label') ?? item)
  .filter(item => !item.matches('.skip, .markdown *'))
  .map(item => [Math.min(...['width', 'height'].map(side => item.getBoundingClientRect()[side])), item.outerHTML])
  .sort((one, other) => one[0] - other[0])[0]"""

SHIFT = """() => new Promise(done => {
  let total = 0;
  // What follows a press within half a second is what was pressed for, and does not count (as in CLS).
  const add = entry => { if (!entry.hadRecentInput) total += entry.value; };
  new PerformanceObserver(list => list.getEntries().forEach(add))
    .observe({type: 'layout-shift', buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => done(total)));
})"""

WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"

STICKING_OUT = """() => [...document.querySelectorAll('form button, .card button, .card a.button')]
  .filter(item => item.checkVisibility())
  .filter(item => {
    const frame = (item.closest('form') ?? item.closest('.card')).getBoundingClientRect();
    return item.getBoundingClientRect().right > frame.right + 1;
  })
  .map(item => item.outerHTML)"""

# The longest line of prose in characters, and its text. Words on one line share the bottom of their boxes.
LONGEST_LINE = """() => {
  let longest = [0, ''];
  for (const block of document.querySelectorAll('p, li, dd, blockquote, .text')) {
    if (!block.checkVisibility() || block.textContent.trim().length <= 80 || block.matches('.row, .facts')) continue;
    if (block.querySelector('p, ul, ol, div, form, table')) continue;
    const lines = new Map();
    const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      for (const word of node.data.matchAll(/\\S+\\s*/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].trimEnd().length);
        const key = Math.round(range.getBoundingClientRect().top / 8);
        lines.set(key, (lines.get(key) ?? '') + word[0]);
      }
    }
    for (const line of lines.values()) {
      if (line.trim().length > longest[0]) longest = [line.trim().length, line.trim()];
    }
  }
  return longest;
}"""
