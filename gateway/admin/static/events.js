// Server-sent events that are asked for again whatever ended them.

const AGAIN_MS = 3000;
const SILENT_MS = 60_000;
const LOOK_MS = 5000;

export class Events {
  constructor(path) {
    this.path = path;
    this.listeners = [];
    this.open();
    setInterval(() => this.look(), LOOK_MS);
  }

  addEventListener(name, listener) {
    const heard = (event) => {
      this.heard_ms = Date.now();
      listener(event);
    };
    this.listeners.push([name, heard]);
    this.source.addEventListener(name, heard);
  }

  // Browsers try again when a connection is lost, but never when the answer is no stream of events,
  // as while too many pages are open.
  open() {
    this.heard_ms = Date.now();
    this.source = new EventSource(this.path);
    for (const [name, listener] of this.listeners) this.source.addEventListener(name, listener);
    this.source.addEventListener("error", () => {
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => this.again(), AGAIN_MS);
    });
  }

  // A connection whose other end has gone while a laptop slept is never told to be lost.
  look() {
    if (this.source.readyState !== EventSource.OPEN || Date.now() - this.heard_ms < SILENT_MS) return;
    this.source.close();
    this.source.dispatchEvent(new Event("error"));
  }

  // Without a cookie that is good the page is the form for the token; without a right, it says so.
  async again() {
    const page = await fetch("./").catch(() => null);
    if (page?.status === 401 || page?.status === 403) location.reload();
    else this.open();
  }
}
