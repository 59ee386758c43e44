/**
 * What the server handles: how often, how long it takes, and how often it fails.
 *
 * @module
 */

// @ts-check

import { h, replace, setAttribute, setText, show } from "../app/dom.js";
import { percent, rate, short, took, whole } from "../app/format.js";
import { linkTo } from "../app/route.js";
import { t } from "../app/texts.js";
import { Chart } from "../parts/chart.js";
import { button, empty, searchField } from "../parts/controls.js";
import { Table, sorted } from "../parts/table.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Picture} Picture
 * @typedef {import("../app/feed.js").TypeRow} TypeRow
 */

/** The scale of durations, in powers of ten of seconds: 10 µs to 100 s. */
const SCALE = [-5, 2];

/** @implements {View} */
export class Types {
  element;
  watch = { count: 0 };
  #context;
  #table;
  #query = "";
  #hint = h("div", {});
  #search;

  /** @param {import("./view.js").Context} context */
  constructor(context) {
    this.#context = context;
    this.#search = searchField(t("searchTypes"), (text) => {
      this.#query = text.toLowerCase();
      this.update();
    });
    this.#table = new Table(t("types"), columns(context), (row) => row.name, {
      sort: "rate", isDescending: true, class: "types", changed: () => this.update(),
    });
    this.element = h("div", { class: "page" },
      h("div", { class: "toolbar" }, this.#search.element, this.#table.sortChoice()), this.#table.element, this.#hint);
  }

  title() {
    return t("types");
  }

  update() {
    const all = this.#context.picture?.types ?? [];
    const rows = all.filter((row) => row.name.toLowerCase().includes(this.#query));
    this.#table.show(sorted(rows, this.#table.sort, this.#table.isDescending));
    show(this.#table.element, rows.length > 0);
    show(this.#hint, rows.length === 0);
    if (rows.length > 0) replace(this.#hint);
    else if (this.#hint.childElementCount === 0) replace(this.#hint, all.length > 0 ? this.#noMatch() : empty(t("noneHandled"), t("noneHandledHint")));
  }

  #noMatch() {
    return empty(t("noMatch", { query: this.#query }), button(t("clear"), () => {
      this.#search.input.value = this.#query = "";
      this.update();
    }));
  }
}

/** @param {import("./view.js").Context} context @returns {import("../parts/table.js").Column<TypeRow>[]} */
function columns(context) {
  return [
    { name: "name", label: t("type"), sorts: true, class: "name", make: nameCell },
    { name: "history", label: t("lastMinutes"), class: "history", make: (cell) => historyCell(cell, context) },
    { name: "rate", label: t("rate"), sorts: true, class: "number strong", hint: t("perSecond"), text: (row) => `${rate(row.rate)}/s` },
    { name: "handled", label: t("handled"), sorts: true, class: "number", text: (row) => short(row.handled) },
    { name: "durations", label: `${t("p50")} – ${t("p99")}`, class: "durations", hint: t("durations"), make: durationCell },
    { name: "p50", label: t("p50"), sorts: true, class: "number", text: (row) => took(row.p50) },
    { name: "p99", label: t("p99"), sorts: true, class: "number", text: (row) => took(row.p99) },
    { name: "failed", label: t("errors"), sorts: true, class: "number", make: errorCell },
    { name: "failure_rate", label: t("errorRate"), sorts: true, class: "number", text: (row) => (row.failure_rate ? `${rate(row.failure_rate)}/s` : "0") },
    { name: "try", label: "", class: "act", make: tryCell },
  ];
}

/** @param {HTMLTableCellElement} cell @param {TypeRow} first */
function nameCell(cell, first) {
  const link = h("a", { href: linkTo("try", first.name), "data-row": true }, first.name);
  cell.append(link);
  return () => {};
}

/** @param {HTMLTableCellElement} cell @param {TypeRow} first */
function tryCell(cell, first) {
  cell.append(h("a", { class: "button slim", href: linkTo("try", first.name), tabindex: -1, "aria-hidden": "true" }, t("try")));
  return () => {};
}

/** @param {HTMLTableCellElement} cell @param {import("./view.js").Context} context */
function historyCell(cell, context) {
  const chart = new Chart(t("rate"), [{ label: "", tone: "neutral" }], rate, true);
  cell.append(chart.element);
  return (/** @type {TypeRow} */ row) => {
    const series = context.history.types.get(row.name);
    if (series && context.picture) chart.update(series, context.picture.time);
  };
}

/** From p50 to p99, on one scale for all. @param {HTMLTableCellElement} cell */
function durationCell(cell) {
  const range = h("span", { class: "range" });
  const element = h("span", { class: "range-scale", "aria-hidden": "true" }, range);
  cell.append(element);
  return (/** @type {TypeRow} */ row) => {
    show(range, row.p50 !== null && row.p99 !== null);
    if (row.p50 === null || row.p99 === null) return;
    const [from, to] = [placeOf(row.p50), placeOf(row.p99)];
    range.style.left = `${from}%`;
    range.style.width = `${Math.max(2, to - from)}%`;
    setAttribute(element, "title", `p50 ${took(row.p50)} – p99 ${took(row.p99)}`);
  };
}

/** @param {number} seconds @returns {number} in percent of the scale */
function placeOf(seconds) {
  const part = (Math.log10(Math.max(seconds, 1e-9)) - SCALE[0]) / (SCALE[1] - SCALE[0]);
  return Math.round(100 * Math.min(1, Math.max(0, part)));
}

/** @param {HTMLTableCellElement} cell */
function errorCell(cell) {
  const count = h("span", {});
  const part = h("span", { class: "note" });
  cell.append(count, part);
  return (/** @type {TypeRow} */ row) => {
    setText(count, whole(row.failed));
    setText(part, row.failed > 0 ? ` ${percent(row.failed / Math.max(1, row.handled))}` : "");
    cell.classList.toggle("bad", row.failure_rate > 0);
  };
}
