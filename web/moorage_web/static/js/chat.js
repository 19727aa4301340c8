// Chat: sends, shows the answer while it comes, stops, copies. When it has ended the server's own rendering takes over.
import { asking, fetchFragment } from "./fragments.js";
import { events } from "./sse.js";
import { Writer } from "./writer.js";

const NEAR = 80;
const form = document.querySelector("form[data-chat]");
const thread = document.getElementById("thread");
const field = form?.elements.message;
const stopButton = form?.querySelector("[data-stop]");
const sendButton = form?.querySelector(".button-primary");
const toEnd = document.querySelector("[data-to-end]");
let following = true;
let answering = form?.hasAttribute("data-active") ?? false;
let begun = answering; // the server has said which conversation it is answering
let stopWanted = false;

const page = document.scrollingElement;
const distance = () => page.scrollHeight - page.scrollTop - page.clientHeight;

function follow() {
  if (following) page.scrollTop = page.scrollHeight;
  toEnd.hidden = following;
}

addEventListener("scroll", () => {
  if (!toEnd) return;
  following = distance() < NEAR;
  toEnd.hidden = following;
}, { passive: true });

function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function setAnswering(on) {
  answering = on;
  stopButton.hidden = !on;
  sendButton.disabled = on;
}

class Answer {
  constructor() {
    this.element = clone("answer-template");
    this.text = new Writer(this.element.querySelector(".streaming"), follow);
    this.reasoning = new Writer(this.element.querySelector(".reasoning > div"), follow);
    this.calls = new Map();
    thread.append(this.element);
    follow();
  }

  take({ type, data }) {
    if (type === "start") {
      this.message = data.message;
      form.dataset.conversation = data.conversation;
      history.replaceState(null, "", `/chat/${data.conversation}`);
      begun = true;
      if (stopWanted) stop();
    } else if (type === "text") this.text.write(data.delta);
    else if (type === "reasoning") {
      this.element.querySelector(".reasoning").hidden = false;
      this.reasoning.write(data.delta);
    } else if (type === "tool-call") this.call(data);
    else if (type === "tool-result") this.result(data);
    else if (type === "error") this.fail(data);
    else if (type === "end") this.ended = data.state;
  }

  call({ id, name, arguments: given, needsApproval }) {
    const card = clone("tool-template");
    card.querySelector(".mono").textContent = name;
    const shown = card.querySelector("pre");
    shown.textContent = typeof given === "string" ? given : JSON.stringify(given);
    shown.hidden = ["", "{}"].includes(shown.textContent);
    card.querySelector(".row").hidden = !needsApproval;
    if (needsApproval) card.querySelector("[data-state]").textContent = card.dataset.asks;
    for (const button of card.querySelectorAll("[data-allow]")) {
      button.addEventListener("click", () => approve(card, id, button.dataset.allow === "true"));
    }
    this.calls.set(id, card);
    this.element.querySelector("[data-tools]").append(card);
    follow();
  }

  result({ id, ok }) {
    const card = this.calls.get(id);
    if (!card) return;
    card.querySelector(".row").hidden = true;
    card.querySelector("[data-state]").textContent = ok ? card.dataset.done : card.dataset.failed;
  }

  fail({ title, detail, hint }) {
    const notice = clone("failure-template");
    const [first, second] = notice.querySelectorAll("p");
    first.textContent = title;
    second.textContent = [detail, hint].filter(Boolean).join(" ");
    this.element.append(notice);
    follow();
  }

  /** Put the server's rendering of this answer, and of what followed it, in the place of the live one. */
  async settle() {
    this.text.flush();
    this.reasoning.flush();
    this.element.querySelector(".streaming").removeAttribute("data-writing");
    if (!this.message || !this.ended) return;
    const open = this.element.querySelector(".reasoning").open;
    const url = asking(`/chat/${form.dataset.conversation}`, "message", { id: this.message });
    try {
      const body = await fetchFragment(url);
      const fresh = [...body.children];
      if (!fresh.length) return;
      this.element.replaceWith(...fresh);
      for (const fold of document.querySelectorAll(`#message-${CSS.escape(this.message)} .reasoning`)) fold.open = open;
      follow();
    } catch {
      // What came is on the page already, only without Markdown.
    }
  }
}

async function approve(card, call, allow) {
  card.querySelector(".row").hidden = true;
  card.querySelector("[data-state]").textContent = allow ? card.dataset.runs : card.dataset.denied;
  await post(`/api/conversations/${form.dataset.conversation}/approve`, { call, allow });
}

function post(url, body) {
  return fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream, application/json" },
    body: body && JSON.stringify(body),
  });
}

async function send(text) {
  const mine = clone("mine-template");
  mine.querySelector(".text").textContent = text;
  thread.append(mine);
  following = true;
  const answer = new Answer();
  const first = !form.dataset.conversation;
  begun = stopWanted = false;
  setAnswering(true);
  try {
    const conversation = form.dataset.conversation;
    const response = await post(`/api/agents/${form.dataset.chat}/chat`, { message: text, ...(conversation && { conversation }) });
    if (!response.ok) {
      const problem = await response.json();
      answer.fail({ ...problem, detail: problem.detail ?? "" });
      giveBack(text);
    } else {
      for await (const event of events(response)) answer.take(event);
      if (!answer.ended) answer.fail(lost());
    }
  } catch {
    answer.fail(lost());
    if (!answer.message) giveBack(text);
  }
  await answer.settle();
  setAnswering(false);
  if (first && form.dataset.conversation) await keepInStep();
  document.getElementById("announce").textContent = form.dataset.ended;
}

/** A conversation that has just begun gets its title, and its place in the list. */
async function keepInStep() {
  document.getElementById("chat-with")?.remove();
  try {
    const page = await fetchFragment(`/chat/${form.dataset.conversation}`);
    for (const part of [".page-header", "nav.side"]) {
      const fresh = page.querySelector(part);
      if (fresh) document.querySelector(part)?.replaceWith(fresh);
    }
  } catch {
    // The next page has it.
  }
}

/** A message that was not taken goes back to where it was typed. */
function giveBack(text) {
  if (!field.value) field.value = text;
}

function lost() {
  const { title, detail } = form.dataset;
  return { title, detail, hint: "" };
}

form?.addEventListener("submit", (event) => {
  if (event.submitter === stopButton) return;
  event.preventDefault();
  const text = field.value;
  if (answering || !text.trim()) return;
  field.value = "";
  send(text);
});

function stop() {
  post(`/api/conversations/${form.dataset.conversation}/stop`);
}

stopButton?.addEventListener("click", (event) => {
  event.preventDefault();
  stopWanted = true;
  if (begun) stop();
});

field?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!answering) form.requestSubmit(sendButton);
});

toEnd?.addEventListener("click", () => {
  following = true;
  follow();
  field.focus();
});

// An answer that this page does not stream itself (started elsewhere, or before a reload) is shown when it has ended.
document.addEventListener("moorage", ({ detail }) => {
  if (detail.type === "chat.ended" && detail.about === form?.dataset.conversation && form.hasAttribute("data-active")) {
    location.reload();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-message]");
  if (!button) return;
  const source = button.closest(button.hasAttribute("data-copy") ? ".code" : ".message");
  const wanted = source.querySelector(button.hasAttribute("data-copy") ? "code" : ".markdown");
  await navigator.clipboard.writeText(wanted.innerText);
  const before = button.innerHTML;
  button.textContent = form?.dataset.copied ?? "Copied";
  setTimeout(() => { button.innerHTML = before; }, 1500);
});

if (answering) setAnswering(true);
if (form && location.hash === "#end") follow();
