/**
 * The processes that serve.
 *
 * @module
 */

// @ts-check

import { h, replace, setText, show } from "../app/dom.js";
import { age, bytes, percent, whole } from "../app/format.js";
import { t } from "../app/texts.js";
import { drainAsked } from "../parts/acting.js";
import { bar, button, empty, pill } from "../parts/controls.js";
import { Table, sorted } from "../parts/table.js";
import { processName } from "./overview.js";

/** @typedef {import("../app/feed.js").WorkerRow} WorkerRow */

/** @typedef {import("./view.js").View} View */

/** @implements {View} */
export class Workers {
  element;
  watch = { count: 0 };
  #context;
  #table;
  #hint = h("div", {});

  /** @param {import("./view.js").Context} context */
  constructor(context) {
    this.#context = context;
    this.#table = new Table(t("workers"), columns(context), (row) => `${row.number}/${row.pid}`, {
      sort: "number", class: "workers", changed: () => this.update(),
    });
    this.element = h("div", { class: "page" }, this.#table.element, this.#hint);
  }

  title() {
    return t("workers");
  }

  update() {
    const rows = this.#context.picture?.workers ?? [];
    this.#table.show(sorted(rows, this.#table.sort, this.#table.isDescending));
    show(this.#table.element, rows.length > 0);
    if (rows.length > 0) replace(this.#hint);
    else if (this.#hint.childElementCount === 0) replace(this.#hint, empty(t("noWorker")));
  }
}

/** @param {import("./view.js").Context} context @returns {import("../parts/table.js").Column<WorkerRow>[]} */
function columns(context) {
  return [
    { name: "number", label: t("number"), sorts: true, class: "name", text: processName },
    { name: "state", label: t("state"), sorts: true, make: stateCell },
    { name: "pid", label: t("process"), sorts: true, class: "number", text: (row) => String(row.pid) },
    { name: "seconds", label: t("age"), sorts: true, class: "number", text: (row) => age(row.seconds) },
    { name: "connections", label: t("connections"), sorts: true, class: "number strong", text: (row) => whole(row.connections) },
    { name: "processor", label: t("processor"), sorts: true, class: "number meter", make: processorCell },
    { name: "memory_bytes", label: t("memory"), sorts: true, class: "number", text: (row) => bytes(row.memory_bytes) },
    { name: "children", label: t("children"), sorts: true, class: "number", hint: t("childrenHint"), text: (row) => whole(row.children) },
    { name: "act", label: "", class: "act", make: (cell, row) => drainCell(cell, row, context) },
  ];
}

/** @param {HTMLTableCellElement} cell */
function stateCell(cell) {
  const state = pill("state");
  cell.append(state.element);
  return (/** @type {WorkerRow} */ row) => state.update(row.state);
}

/** @param {HTMLTableCellElement} cell */
function processorCell(cell) {
  const used = bar(t("processor"), "neutral");
  const text = h("span", {});
  cell.append(used.element, text);
  return (/** @type {WorkerRow} */ row) => {
    used.update(row.processor, percent(row.processor));
    setText(text, percent(row.processor));
  };
}

/** @param {HTMLTableCellElement} cell @param {WorkerRow} first @param {import("./view.js").Context} context */
function drainCell(cell, first, context) {
  const drain = button(t("drain"), () => drainAsked(context.feed, first.number), { tone: "slim", icon: "drain" });
  cell.append(drain);
  return (/** @type {WorkerRow} */ row) => show(drain, row.state === "serving" && row.number > 0 && (context.picture?.may_act ?? false));
}
