// Text that arrives in pieces: shown once per frame, as plain text, with fenced code in a block of its own.
// The server's Markdown takes its place when the answer is complete.

const FENCE = /^ {0,3}(```|~~~)/;
const MAYBE_FENCE = /^ {0,3}(`{0,3}|~{0,3})$/;

export class Writer {
  #element;
  #after;
  #text = "";
  #line = "";
  #midLine = false;
  #code = false;
  #frame = 0;
  #node;

  /** `after` is called when something was shown. */
  constructor(element, after = () => {}) {
    this.#element = element;
    this.#after = after;
    this.#node = element.appendChild(document.createTextNode(""));
  }

  write(text) {
    this.#text += text;
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const lines = this.#text.split("\n");
    this.#text = "";
    lines.forEach((part, index) => this.#take(part, index < lines.length - 1));
    this.#after();
  }

  /** What may become a fence is held back until it is known; everything else is shown at once. */
  #take(part, ended) {
    this.#line += part;
    if (!this.#midLine && FENCE.test(this.#line)) {
      if (ended) this.#turn();
      return;
    }
    if (!ended && !this.#midLine && MAYBE_FENCE.test(this.#line)) return;
    this.#node.appendData(this.#line + (ended ? "\n" : ""));
    this.#line = "";
    this.#midLine = !ended;
  }

  #turn() {
    this.#line = "";
    this.#code = !this.#code;
    const parent = this.#code ? this.#element.appendChild(document.createElement("pre")) : this.#element;
    this.#node = parent.appendChild(document.createTextNode(""));
  }
}
