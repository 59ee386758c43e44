/**
 * A form for one message, made from what the server says of its type.
 *
 * @module
 */

// @ts-check

import { h, replace, setText, show } from "../app/dom.js";
import { t } from "../app/texts.js";
import { typeText } from "../tomada/client/expressions.js";
import { iconButton } from "../parts/controls.js";
import { icon } from "../parts/icons.js";
import { isObject, memberOf } from "./draft.js";
import { Examples } from "./examples.js";
import { choice, scalarInput } from "./inputs.js";

/**
 * @typedef {import("../tomada/client/catalogue.js").Catalogue} Catalogue
 * @typedef {import("../tomada/client/expressions.js").Type} Type
 * @typedef {import("../tomada/client/expressions.js").Field} Field
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 * @typedef {{ path: string, name: string, changed: (draft?: any) => void }} Place Of a value in the whole draft.
 */

let count = 0;

export class Form {
  element;
  #catalogue;
  /** @type {Map<string, HTMLElement>} */
  #errors = new Map();

  /**
   * @param {Catalogue} catalogue
   * @param {Entry} entry
   * @param {Record<string, any>} draft is changed as the form is
   * @param {() => void} changed
   */
  constructor(catalogue, entry, draft, changed) {
    this.#catalogue = catalogue;
    this.element = h("div", { class: "form" }, this.#structure(entry, draft, { path: "", name: entry.name, changed }));
    if (entry.fields.length === 0) replace(this.element, h("p", { class: "quiet" }, t("noFields")));
  }

  /** @param {import("./draft.js").Problem[]} problems */
  showProblems(problems) {
    for (const [path, element] of this.#errors) {
      const found = problems.find((problem) => problem.path === path) ?? null;
      setText(element, found?.text ?? "");
      show(element, found !== null);
      element.parentElement?.classList.toggle("wrong", found !== null);
    }
  }

  /** @param {string} path */
  #errorFor(path) {
    const element = h("span", { class: "error-text", role: "alert", hidden: true });
    this.#errors.set(path, element);
    return element;
  }

  /** @param {Entry} entry @param {Record<string, any>} draft @param {Place} place */
  #structure(entry, draft, place) {
    return h("div", { class: "structure" }, ...entry.fields.map((field) => this.#field(field, draft, place)));
  }

  /** One that has a default may be left out. @param {Field} field @param {Record<string, any>} draft @param {Place} place */
  #field(field, draft, place) {
    const id = `field-${count++}`;
    const path = place.path ? `${place.path}.${field.name}` : field.name;
    const control = h("div", { class: "field-control" });
    const fill = () => {
      const isGiven = Object.hasOwn(draft, field.name);
      const own = { path, name: field.name, changed: (/** @type {any} */ value) => { draft[field.name] = value; place.changed(); } };
      const value = isGiven ? this.#value(field.type, draft[field.name], own, id) : this.#leftOut(field, id, give);
      replace(control, value, isGiven && field.fallback !== null ? iconButton("close", `${field.name}: ${t("leaveOut")}`, leave, "plain") : null);
    };
    const give = () => {
      draft[field.name] = exampleOr(field, () => new Examples(this.#catalogue).value(field.type, field.name));
      fill();
      place.changed();
      document.getElementById(id)?.focus();
    };
    const leave = () => {
      delete draft[field.name];
      fill();
      place.changed();
    };
    fill();
    const label = h("label", { for: id }, field.name, h("span", { class: "type" }, typeText(field.type)));
    return h("div", { class: "field" }, label, control, this.#errorFor(path));
  }

  /** @param {Field} field @param {string} id @param {() => void} give */
  #leftOut(field, id, give) {
    return h("button", { type: "button", class: "left-out", id, click: give, title: t("set") },
      icon("plus"), h("span", {}, t(field.fallback === null ? "missing" : "byDefault")), h("code", {}, field.fallback ?? ""));
  }

  /** @param {Type} type @param {any} draft @param {Place} place @param {string} id @returns {HTMLElement} */
  #value(type, draft, place, id) {
    const spot = { id, label: place.path, changed: place.changed };
    switch (type.is) {
      case "scalar": return scalarInput(type.name, draft, spot);
      case "literal": return choice(type.values, type.values.map((value) => JSON.stringify(value)), draft, spot);
      case "list": return this.#list(type.of, Array.isArray(draft) ? draft : [], place);
      case "tuple": return this.#tuple(type.of, Array.isArray(draft) ? draft : [], place);
      case "dict": return this.#dict(type, isObject(draft) ? draft : {}, place);
      case "union": return this.#union(type, draft, place, id);
      default: return this.#named(type.name, draft, place, id);
    }
  }

  /** @param {string} name @param {any} draft @param {Place} place @param {string} id */
  #named(name, draft, place, id) {
    const spot = { id, label: place.path, changed: place.changed };
    const entry = this.#catalogue.byName.get(name);
    if (!entry) return scalarInput("Any", draft, spot);
    if (entry.kind === "enum") {
      const values = entry.fields.map((field) => JSON.parse(field.fallback ?? "null"));
      return choice(values, entry.fields.map((field, at) => `${field.name} · ${JSON.stringify(values[at])}`), draft, spot);
    }
    const own = isObject(draft) ? draft : {};
    const changed = () => place.changed(own);
    return h("fieldset", { class: "nested" }, h("legend", {}, entry.name), this.#structure(entry, own, { ...place, changed }));
  }

  /** @param {Type} of @param {any[]} items @param {Place} place */
  #list(of, items, place) {
    const rows = h("div", { class: "items" });
    const fill = () => replace(rows, ...items.map((item, at) => {
      const path = `${place.path}[${at}]`;
      const own = { path, name: place.name, changed: (/** @type {any} */ value) => { items[at] = value; place.changed(items); } };
      const remove = iconButton("close", t("remove", { name: path }), () => { items.splice(at, 1); place.changed(items); fill(); }, "plain");
      const value = this.#value(of, item, own, `field-${count++}`);
      return h("div", { class: "item" }, h("span", { class: "at" }, String(at)), value, remove, this.#errorFor(path));
    }));
    fill();
    const add = h("button", { type: "button", class: "button slim", click: () => {
      items.push(new Examples(this.#catalogue).value(of, place.name.replace(/s$/, "")));
      place.changed(items);
      fill();
    } }, icon("plus"), h("span", {}, t("addItem")));
    return h("div", { class: "list", role: "group", "aria-label": place.path }, rows, add);
  }

  /** @param {Type[]} of @param {any[]} items @param {Place} place */
  #tuple(of, items, place) {
    return h("div", { class: "list items", role: "group", "aria-label": place.path }, ...of.map((type, at) => {
      const path = `${place.path}[${at}]`;
      const own = { path, name: place.name, changed: (/** @type {any} */ value) => { items[at] = value; place.changed(items); } };
      const value = this.#value(type, items[at], own, `field-${count++}`);
      return h("div", { class: "item" }, h("span", { class: "at" }, String(at)), value, this.#errorFor(path));
    }));
  }

  /** @param {Extract<Type, { is: "dict" }>} type @param {Record<string, any>} draft @param {Place} place */
  #dict(type, draft, place) {
    const pairs = Object.entries(draft);
    const changed = () => place.changed(Object.fromEntries(pairs));
    const rows = h("div", { class: "items" });
    const fill = () => replace(rows, ...pairs.map((pair, at) => {
      const path = `${place.path}.${pair[0]}`;
      const key = h("input", { type: "text", class: "key", "aria-label": `${t("key")} ${at}`, input: () => { pair[0] = key.value; changed(); } });
      key.value = pair[0];
      const own = { path, name: place.name, changed: (/** @type {any} */ value) => { pair[1] = value; changed(); } };
      const remove = iconButton("close", t("remove", { name: path }), () => { pairs.splice(at, 1); changed(); fill(); }, "plain");
      return h("div", { class: "item" }, key, this.#value(type.value, pair[1], own, `field-${count++}`), remove, this.#errorFor(path));
    }));
    fill();
    const add = h("button", { type: "button", class: "button slim", click: () => {
      const examples = new Examples(this.#catalogue);
      pairs.push([String(examples.value(type.key, "name")), examples.value(type.value, place.name)]);
      changed();
      fill();
    } }, icon("plus"), h("span", {}, t("addItem")));
    return h("div", { class: "list", role: "group", "aria-label": place.path }, rows, add);
  }

  /** @param {Extract<Type, { is: "union" }>} type @param {any} draft @param {Place} place @param {string} id */
  #union(type, draft, place, id) {
    const inner = h("div", { class: "variant" });
    let at = memberOf(draft, type, this.#catalogue);
    const fill = (/** @type {any} */ value) => replace(inner, this.#value(type.of[at], value, place, `field-${count++}`));
    const select = h("select", { id, class: "variants", "aria-label": t("variant", { name: place.path }), change: () => {
      at = select.selectedIndex;
      const value = new Examples(this.#catalogue).value(type.of[at], place.name);
      place.changed(value);
      fill(value);
    } }, ...type.of.map((one) => h("option", {}, one.is === "scalar" && one.name === "None" ? "null" : typeText(one))));
    select.selectedIndex = at;
    fill(draft);
    return h("div", { class: "union" }, select, inner);
  }
}

/** The default, to be changed; an example where it is nothing. @param {Field} field @param {() => any} example */
function exampleOr(field, example) {
  const fallback = JSON.parse(field.fallback ?? "null");
  const isNothing = fallback === null || fallback === "" || (typeof fallback === "object" && Object.keys(fallback).length === 0);
  return isNothing ? example() : fallback;
}
