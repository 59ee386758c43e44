/**
 * A table that is brought up to date in place. On a narrow page each row is a card: its cells carry their column's name.
 *
 * @module
 */

// @ts-check

import { KeyedList, h, replace, setAttribute, setText } from "../app/dom.js";
import { t } from "../app/texts.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {string} [group] The columns of one group stand under a common head.
 * @property {string} [mark] Of its group, on a card.
 * @property {string} [hint]
 * @property {string} [class]
 * @property {boolean} [sorts] Whether the table can be sorted by it.
 * @property {(row: Row) => string} [text] What stands in it; or
 * @property {(cell: HTMLTableCellElement, row: Row) => (row: Row) => void} [make] fills the cell, and returns what brings
 *   it up to date.
 */

/**
 * @template Row
 */
export class Table {
  element;
  sort;
  isDescending;
  #columns;
  #changed;
  #list;
  /** @type {Map<string, HTMLTableCellElement>} */
  #heads = new Map();

  /**
   * @param {string} label
   * @param {Column<Row>[]} columns
   * @param {(row: Row) => string | number} keyOf
   * @param {{ sort?: string, isDescending?: boolean, changed?: () => void, class?: string }} [options]
   */
  constructor(label, columns, keyOf, options = {}) {
    this.#columns = columns;
    this.#changed = options.changed ?? (() => {});
    this.sort = options.sort ?? "";
    this.isDescending = options.isDescending ?? false;
    const body = h("tbody", { role: "rowgroup" });
    this.#list = new KeyedList(body, keyOf, (row) => this.#makeRow(row));
    const table = h("table", { role: "table", "aria-label": label }, this.#makeHead(), body);
    this.element = h("div", { class: `table ${options.class ?? ""}` }, table);
    this.#showSort();
  }

  #makeHead() {
    const head = h("thead", { role: "rowgroup" });
    if (this.#columns.some((column) => column.group)) head.append(this.#makeGroups());
    head.append(h("tr", { role: "row" }, ...this.#columns.map((column) => {
      const cell = h("th", { role: "columnheader", scope: "col", class: column.class, title: column.hint });
      if (column.sorts) cell.append(h("button", { type: "button", click: () => this.sortBy(column.name) }, column.label));
      else cell.append(column.label);
      this.#heads.set(column.name, cell);
      return cell;
    })));
    return head;
  }

  #makeGroups() {
    const row = h("tr", { class: "groups", "aria-hidden": "true" });
    let before = "";
    for (const { group = "" } of this.#columns) {
      const last = /** @type {HTMLTableCellElement | null} */ (row.lastElementChild);
      if (last && group === before) last.colSpan += 1;
      else row.append(h("td", { class: group ? "group" : "" }, group));
      before = group;
    }
    return row;
  }

  /** @param {Row} first */
  #makeRow(first) {
    const updates = this.#columns.map((column) => {
      const label = `${column.mark ?? ""} ${column.label}`.trim();
      const cell = h("td", { role: "cell", class: column.class, "data-label": label });
      const update = column.make?.(cell, first) ?? ((/** @type {Row} */ row) => setText(cell, column.text?.(row) ?? ""));
      return { cell, update };
    });
    const element = h("tr", { role: "row" }, ...updates.map(({ cell }) => cell));
    return { element, update: (/** @type {Row} */ row) => updates.forEach(({ update }) => update(row)) };
  }

  /** @param {Row[]} rows */
  show(rows) {
    this.#list.show(rows);
  }

  /** By that column; a second time the other way round. @param {string} name */
  sortBy(name) {
    // Numbers are asked for to see the highest, names to find one.
    const isNumeric = this.#columns.some((column) => column.name === name && column.class?.includes("number"));
    this.setSort(name, this.sort === name ? !this.isDescending : isNumeric);
  }

  /** @param {string} name @param {boolean} isDescending */
  setSort(name, isDescending) {
    this.sort = name;
    this.isDescending = isDescending;
    this.#showSort();
    this.#changed();
  }

  #showSort() {
    for (const [name, cell] of this.#heads) {
      const way = name === this.sort ? (this.isDescending ? "descending" : "ascending") : null;
      setAttribute(cell, "aria-sort", way);
    }
  }

  /** The same choice where the columns' heads are not shown. */
  sortChoice() {
    const choices = this.#columns.filter((column) => column.sorts).flatMap(({ name, label, group }) => [false, true].map((isDescending) => (
      h("option", { value: `${isDescending ? "-" : ""}${name}` }, `${group ? `${group}: ` : ""}${label} ${isDescending ? "↓" : "↑"}`)
    )));
    const select = h("select", {
      "aria-label": t("sortBy"), change: () => this.setSort(select.value.replace(/^-/, ""), select.value.startsWith("-")),
    });
    replace(select, ...choices);
    select.value = `${this.isDescending ? "-" : ""}${this.sort}`;
    return h("label", { class: "sort-choice" }, h("span", {}, t("sortBy")), select);
  }
}

/**
 * Rows in the order of a column that the page itself knows.
 *
 * @template {Record<string, any>} Row
 * @param {Row[]} rows
 * @param {string} name
 * @param {boolean} isDescending
 * @returns {Row[]}
 */
export function sorted(rows, name, isDescending) {
  const way = isDescending ? -1 : 1;
  return [...rows].sort((one, other) => way * compare(one[name], other[name]));
}

/** @param {any} one @param {any} other */
function compare(one, other) {
  if (typeof one === "string" && typeof other === "string") return one.localeCompare(other);
  return (one ?? -1) - (other ?? -1);
}
