/**
 * The server's log, as it is written.
 *
 * @module
 */

// @ts-check

import { KeyedList, h, replace, show } from "../app/dom.js";
import { t } from "../app/texts.js";
import { empty, searchField } from "../parts/controls.js";
import { icon } from "../parts/icons.js";
import { logLine } from "./overview.js";

/** @typedef {import("../app/history.js").KeptLine} KeptLine */

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const NEAR_END = 60;

/** @typedef {import("./view.js").View} View */

/** @implements {View} */
export class Log {
  element;
  watch = { count: 0 };
  #context;
  #query = "";
  #level = "";
  #follows = true;
  #rows = h("ol", { class: "log-lines" });
  #scroll;
  #follow;
  #hint = h("div", {});
  #hintFor = "";
  /** @type {KeyedList<KeptLine>} */
  #list = new KeyedList(this.#rows, (line) => line.key, (line) => ({ element: this.#made(line), update: () => {} }));

  /** @param {import("./view.js").Context} context */
  constructor(context) {
    this.#context = context;
    this.#scroll = h("div", { class: "log-scroll panel", tabindex: 0, role: "log", "aria-label": t("log"), scroll: () => this.#scrolled() }, this.#rows);
    this.#follow = h("button", { type: "button", class: "button toggle", click: () => this.#setFollow(!this.#follows) }, icon("play"), h("span", {}, t("follow")));
    const search = searchField(t("searchLog"), (text) => { this.#query = text.toLowerCase(); this.update(); });
    const level = h("select", { "aria-label": t("level"), change: () => { this.#level = level.value; this.update(); } },
      h("option", { value: "" }, t("anyLevel")), ...LEVELS.map((name) => h("option", { value: name }, `≥ ${name}`)));
    this.element = h("div", { class: "page log-page" },
      h("div", { class: "toolbar" }, search.element, level, this.#follow), this.#scroll, this.#hint);
    this.#setFollow(true);
  }

  title() {
    return t("log");
  }

  /** @param {boolean} follows */
  #setFollow(follows) {
    this.#follows = follows;
    this.#follow.setAttribute("aria-pressed", String(follows));
    if (follows) this.update();
  }

  /** Who scrolls back reads: the log stays where it is. */
  #scrolled() {
    const isAtEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END;
    if (isAtEnd !== this.#follows) {
      this.#follows = isAtEnd;
      this.#follow.setAttribute("aria-pressed", String(isAtEnd));
    }
  }

  update() {
    const { kept } = this.#context.lines;
    const lines = kept.filter((line) => this.#fits(line));
    this.#list.show(lines);
    if (this.#follows) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#showHint(lines.length > 0 ? "" : (kept.length > 0 ? "noLogMatch" : "noLog"));
  }

  /** @param {"" | "noLog" | "noLogMatch"} hint */
  #showHint(hint) {
    show(this.#scroll, hint === "");
    if (hint === this.#hintFor) return;
    this.#hintFor = hint;
    if (hint) replace(this.#hint, empty(t(hint)));
    else replace(this.#hint);
  }

  /** @param {KeptLine} line */
  #fits(line) {
    const isGrave = !this.#level || LEVELS.indexOf(line.level) >= LEVELS.indexOf(this.#level);
    return isGrave && (!this.#query || line.text.toLowerCase().includes(this.#query));
  }

  /** @param {KeptLine} line */
  #made(line) {
    const element = logLine(line);
    if (line.missing > 0) element.prepend(h("span", { class: "missing" }, t("passedLines", { count: line.missing })));
    return element;
  }
}

