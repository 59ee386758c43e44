/**
 * Try it: a form for every message that the application handles.
 *
 * @module
 */

// @ts-check

import { KeyedList, h, replace, setText, show } from "../app/dom.js";
import { go, linkTo } from "../app/route.js";
import { t } from "../app/texts.js";
import { empty, pill, searchField } from "../parts/controls.js";
import { Application } from "../trying/application.js";
import { TryOne, wayOf } from "../trying/one.js";

/**
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 * @typedef {import("./view.js").Context} Context
 */

/** One for all visits of this page. */
const application = new Application();

/** @typedef {import("./view.js").View} View */

/** @implements {View} */
export class Trying {
  element;
  watch = { count: 0 };
  #context;
  #name;
  #query = "";
  #list = h("ul", { class: "type-list" });
  /** @type {KeyedList<Entry>} */
  #entries = new KeyedList(this.#list, (entry) => entry.name, (entry) => this.#listed(entry));
  #status = h("p", { class: "banner", role: "status" });
  #place = h("div", { class: "try-place" });
  /** @type {TryOne | null} */
  #one = null;
  /** What the form was made from. */
  #madeOf = "";
  #listen = () => this.#refresh();

  /** @param {Context} context @param {string} name */
  constructor(context, name) {
    this.#context = context;
    this.#name = name;
    const search = searchField(t("searchTypes"), (text) => { this.#query = text.toLowerCase(); this.#refresh(); });
    this.element = h("div", { class: `page try-page ${name ? "chosen" : ""}` },
      h("nav", { class: "try-types", "aria-label": t("types") }, search.element, this.#list),
      h("div", { class: "try-main" }, this.#status, this.#place));
    application.addEventListener("catalogue", this.#listen);
    application.addEventListener("state", this.#listen);
    this.#refresh();
  }

  title() {
    return this.#name ? `${t("try")}: ${this.#name}` : t("try");
  }

  heading() {
    return t("try");
  }

  back() {
    if (this.#name) go("try");
    return this.#name !== "";
  }

  update() {
    if (!application.isOpen) this.#refresh();
    this.#one?.showAddresses(this.#context.picture?.addresses ?? []);
  }

  #refresh() {
    const { entries, isOpen, reason } = application;
    const { access } = this.#context.feed;
    if (access.try) application.open();
    const isThere = entries.length > 0 || isOpen;
    show(this.#status, !isOpen);
    const isRefused = access.watch && !access.try;
    setText(this.#status, isRefused ? t("tryRefused") : reason ? t("tryLost", { reason }) : t("tryConnecting"));
    if (!isThere) return; // what was there stays until it is described anew
    this.#entries.show(entries.filter((entry) => entry.name.toLowerCase().includes(this.#query)));
    this.#showEntry(entries);
  }

  /** @param {Entry[]} entries */
  #showEntry(entries) {
    const entry = entries.find((one) => one.name === this.#name);
    const madeOf = JSON.stringify(entry ? application.catalogue.closure(entry).map((one) => one.raw) : [this.#name, entries.length > 0]);
    if (madeOf === this.#madeOf) return;
    this.#madeOf = madeOf;
    this.#one?.dispose();
    this.#one = entry ? new TryOne(application, entry, this.#context.picture?.addresses ?? []) : null;
    if (this.#one) replace(this.#place, this.#one.element);
    else if (this.#name) replace(this.#place, empty(t("tryUnknown", { name: this.#name })));
    else replace(this.#place, entries.length > 0 ? empty(t("chooseType"), t("tryHint")) : empty(t("noType"), t("noTypeHint")));
  }

  /** @param {Entry} entry */
  #listed(entry) {
    const word = pill("way");
    const link = h("a", { href: linkTo("try", entry.name), "data-row": true, "aria-current": entry.name === this.#name ? "page" : null },
      h("span", { class: "name" }, entry.name), word.element, h("span", { class: "doc" }, entry.doc));
    const element = h("li", {}, link);
    return { element, update: (/** @type {Entry} */ now) => {
      word.update(wayOf(now));
      setText(word.element, t(`${wayOf(now)}Kind`));
    } };
  }

  dispose() {
    application.removeEventListener("catalogue", this.#listen);
    application.removeEventListener("state", this.#listen);
    this.#one?.dispose();
  }
}
