// A page that is open: its part of the address, what it follows, and what goes wrong meanwhile.

import { AskError } from "./ask.js";
import { h } from "./dom.js";
import { mark, onChange } from "./live.js";

export class View {
  /** @param {HTMLElement} root @param {Record<string, string>} params @param {URLSearchParams} query @param {(url: string, options: object) => void} go */
  constructor(root, params, query, go) {
    this.root = root;
    this.params = params;
    this.query = query;
    this.go = go;
    this.path = location.pathname;
    this.ending = new AbortController();
    this.signal = this.ending.signal;
    this.watching = [];
    this.escapes = [];
  }

  /** What the address says of a name. @param {string} name */
  get(name, otherwise = "") {
    return this.query.get(name) ?? otherwise;
  }

  /** The address with some parts changed; an empty one is left out. @param {Record<string, string | null>} changes */
  url(changes) {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(changes)) value ? query.set(name, value) : query.delete(name);
    const text = query.toString();
    return text ? `${this.path}?${text}` : this.path;
  }

  /** Change parts of the address; Back undoes it unless `replace`. @param {Record<string, string | null>} changes */
  set(changes, replace = false) {
    const url = this.url(changes);
    if (url !== location.pathname + location.search) this.go(url, { replace });
  }

  /** Be told when this page's address has changed. @param {() => void} listener */
  watch(listener) {
    this.watching.push(listener);
  }

  /** What the Escape key does, if it finds anything to do: then it gives true. @param {() => boolean} work */
  onEscape(work) {
    this.escapes.unshift(work);
  }

  changed(query) {
    this.query = query;
    for (const each of this.watching) each();
  }

  close() {
    this.ending.abort();
  }

  /**
   * Show what is asked for now and whenever one of these kinds changes, one question at a time; gives what asks anew.
   * @template T
   * @param {string[]} kinds @param {(signal: AbortSignal) => Promise<T>} load @param {(told: T) => void | Promise<void>} show
   * @param {{pause?: number, still?: () => boolean}} [options] the least time between two questions, in milliseconds,
   *   and whether what is shown can still change
   */
  follow(kinds, load, show, { pause = 900, still = () => true } = {}) {
    let current = null;
    let asked = "";
    let begun = 0;
    let timer = 0;
    /** @type {HTMLElement | null} */
    let notice = null;
    const run = async () => {
      clearTimeout(timer);
      timer = 0;
      current?.abort();
      const own = (current = new AbortController());
      const signal = AbortSignal.any([own.signal, this.signal]);
      asked = mark([...kinds, "times"]);
      begun = performance.now();
      this.root.setAttribute("aria-busy", "true");
      try {
        const told = await load(signal);
        if (signal.aborted) return;
        await show(told);
        notice?.remove();
      } catch (error) {
        if (signal.aborted) return;
        notice?.remove();
        notice = this.trouble(error, run);
      } finally {
        if (current === own) {
          current = null;
          this.root.removeAttribute("aria-busy");
          due();
        }
      }
    };
    const due = () => {
      if (current || timer || document.hidden || !still() || asked === mark([...kinds, "times"]) || this.signal.aborted) return;
      timer = setTimeout(run, Math.max(0, begun + pause - performance.now()));
    };
    onChange(due, this.signal);
    this.signal.addEventListener("abort", () => clearTimeout(timer));
    run();
    return run;
  }

  /** Say what went wrong, with a way to try it again; gives what says it. @param {Error} error @param {() => void} again */
  trouble(error, again) {
    // What is no answer of the system is a mistake of the page.
    if (!(error instanceof AskError)) console.error(error);
    this.root.querySelector(".waiting")?.remove();
    const notice = h("div", { class: "notice", role: "alert" },
      h("span", {}, error instanceof AskError ? error.message : `This page failed: ${error.message}`),
      h("button", { class: "button", type: "button", on: { click: () => { notice.remove(); again(); } } }, "Try again"));
    this.root.querySelector(".head")?.after(notice);
    return notice;
  }
}
