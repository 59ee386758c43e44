/**
 * Limits and deadlines: what is allowed, and who met it.
 *
 * @module
 */

// @ts-check

import { h } from "../app/dom.js";
import { NONE, age, whole } from "../app/format.js";
import { t } from "../app/texts.js";
import { isDeadline, strikeAmount } from "../parts/strikes.js";
import { command, pill } from "../parts/controls.js";
import { Table, sorted } from "../parts/table.js";

/**
 * @typedef {{ key: string, kind: string, name: string, allowed: number | null | undefined, count: number, where: string,
 *   seconds_ago: number | null }} LimitRow
 */

/** @typedef {import("./view.js").View} View */

/** @implements {View} */
export class LimitsPage {
  element;
  watch = { count: 0 };
  #context;
  #table;

  /** @param {import("./view.js").Context} context */
  constructor(context) {
    this.#context = context;
    this.#table = new Table(t("limits"), columns(), (row) => row.key, {
      sort: "count", isDescending: true, class: "limits", changed: () => this.update(),
    });
    this.element = h("div", { class: "page" },
      this.#table.sortChoice(), this.#table.element,
      h("p", { class: "quiet" }, t("limitsHint")), command("tomada serve --help"));
  }

  title() {
    return t("limits");
  }

  update() {
    const { picture, settings } = this.#context;
    this.#table.show(sorted(rowsOf(picture?.strikes ?? [], settings), this.#table.sort, this.#table.isDescending));
  }
}

/** @param {import("../app/feed.js").Strike[]} strikes @param {Record<string, number | null>} settings @returns {LimitRow[]} */
function rowsOf(strikes, settings) {
  /** @type {Map<string, LimitRow>} */
  const rows = new Map();
  for (const [name, allowed] of Object.entries(settings)) {
    const kind = isDeadline(name) ? "deadline" : "limit";
    rows.set(`${kind}/${name}`, { key: `${kind}/${name}`, kind, name, allowed, count: 0, where: "", seconds_ago: null });
  }
  for (const strike of strikes) rows.set(`${strike.kind}/${strike.name}`, { ...strike, key: `${strike.kind}/${strike.name}` });
  return [...rows.values()];
}

/** @returns {import("../parts/table.js").Column<LimitRow>[]} */
function columns() {
  return [
    { name: "name", label: t("limit"), sorts: true, class: "name mono", text: (row) => row.name },
    { name: "kind", label: t("kind"), sorts: true, make: kindCell },
    { name: "allowed", label: t("allowed"), sorts: true, class: "number", text: (row) => strikeAmount(row.name, row.allowed) },
    { name: "count", label: t("struck"), sorts: true, class: "number", make: countCell },
    { name: "where", label: t("lastWho"), sorts: true, class: "where", text: (row) => row.where || NONE },
    { name: "seconds_ago", label: t("when"), sorts: true, class: "number", text: (row) => (row.seconds_ago === null ? NONE : t("ago", { age: age(row.seconds_ago) })) },
  ];
}

/** @param {HTMLTableCellElement} cell */
function kindCell(cell) {
  const word = pill("limitkind");
  cell.append(word.element);
  return (/** @type {LimitRow} */ row) => word.update(row.kind);
}

/** @param {HTMLTableCellElement} cell */
function countCell(cell) {
  return (/** @type {LimitRow} */ row) => {
    const text = row.count > 0 ? whole(row.count) : t("never");
    if (cell.textContent !== text) cell.textContent = text;
    cell.classList.toggle("bad", row.count > 0);
    cell.classList.toggle("faint", row.count === 0);
  };
}
