// HTML that the server renders alone: fetch it, and let it take the place of what has the same id.

/** Fetch a fragment of a page as elements; throws where the server says no. */
export async function fetchFragment(url, options = {}) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, ...options });
  if (!response.ok) throw new Error(`${response.status} for ${url}`);
  return parse(await response.text());
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html").body;
}

/** Send what a form would, and show what the server answers, also a refusal; throws where it is another page. */
export async function send(url, body, wanted) {
  const response = await fetch(url, { method: "POST", headers: { Accept: "text/html" }, body });
  const fresh = parse(await response.text());
  if (![...fresh.children].some((element) => element.id === wanted)) throw new Error(`${response.status} for ${url}`);
  place(fresh);
  if (!response.ok) document.querySelector("#install-problem .notice")?.scrollIntoView({ block: "nearest" });
  return response.ok;
}

/** Put every element of `body` that has an id in the place of its namesake; gives the ones that were there. */
export function place(body) {
  const placed = [];
  for (const fresh of [...body.children]) {
    const old = fresh.id && document.getElementById(fresh.id);
    if (!old || old.querySelector(".dragging")) continue; // nothing moves under the hand
    morph(old, fresh);
    placed.push(document.getElementById(fresh.id));
  }
  return placed;
}

/** Change `old` into `fresh` in place, so that focus, open folds and a click half done survive. */
export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const parts = [...fresh.childNodes];
  parts.forEach((part, index) => {
    const held = old.childNodes[index];
    if (held) morph(held, part);
    else old.append(part);
  });
  while (old.childNodes.length > parts.length) old.lastChild.remove();
}

/** The same URL asking for one of its fragments. */
export function asking(url, fragment, more = {}) {
  const wanted = new URL(url, location.href);
  wanted.searchParams.set("fragment", fragment);
  for (const [key, value] of Object.entries(more)) wanted.searchParams.set(key, value);
  return wanted;
}

export function debounce(action, delay) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(action, delay, ...values);
  };
}
