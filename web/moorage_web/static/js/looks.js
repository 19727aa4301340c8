// Where each result can run: asked for rows that stay in view, a few at a time, until somebody asks us to wait.
const STAY = 300;
const AT_ONCE = 4;
const NEAR = "150px 0px";

export class Looks {
  /** `ask` fetches the lines of one row and gives their elements; its second argument is a signal that ends it. */
  constructor(ask) {
    this.ask = ask;
    this.observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.seen(entry)), { rootMargin: NEAR });
    this.start();
  }

  start() {
    this.queue = [];
    this.timers = new Map();
    this.running = 0;
    this.ending = new AbortController();
  }

  watch(region) {
    for (const lines of region.querySelectorAll("[data-where]")) this.observer.observe(lines);
  }

  /** The rows are replaced: what is under way for them is of no use any more. */
  clear() {
    this.ending.abort();
    this.observer.disconnect();
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.start();
  }

  /** A person asks for it, whatever was said before. */
  again(lines) {
    this.until = 0;
    this.queue.unshift(lines);
    this.next();
  }

  seen({ target, isIntersecting }) {
    clearTimeout(this.timers.get(target));
    this.timers.delete(target);
    if (isIntersecting) this.timers.set(target, setTimeout(() => this.stayed(target), STAY));
    else this.queue = this.queue.filter((item) => item !== target);
  }

  stayed(lines) {
    this.timers.delete(lines);
    if (!this.queue.includes(lines)) this.queue.push(lines);
    this.next();
  }

  next() {
    clearTimeout(this.resting);
    const rest = (this.until ?? 0) - Date.now();
    if (rest > 0) this.resting = setTimeout(() => this.next(), rest);
    else while (this.running < AT_ONCE && this.queue.length) this.run(this.queue.shift());
  }

  async run(lines) {
    const { ending } = this;
    this.running += 1;
    this.observer.unobserve(lines);
    lines.setAttribute("aria-busy", "true");
    try {
      const rest = Number(await this.ask(lines, ending.signal));
      if (rest) {
        this.until = Date.now() + rest * 1000;
        this.queue.unshift(lines);
      }
    } catch {
      // Moorage itself did not answer, or nobody wants to know any more; the link in the row still leads to the answer.
    }
    if (ending.signal.aborted) return;
    lines.removeAttribute("aria-busy");
    this.running -= 1;
    this.next();
  }
}
