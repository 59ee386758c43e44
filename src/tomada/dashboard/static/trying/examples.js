/**
 * Values to begin with.
 *
 * @module
 */

// @ts-check

import { base64Of } from "./draft.js";

/**
 * @typedef {import("../tomada/client/catalogue.js").Catalogue} Catalogue
 * @typedef {import("../tomada/client/expressions.js").Type} Type
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 */

const PEOPLE = ["ana", "rui", "eva", "leo"];
const DEEPEST = 6;
/** By what stands in a field's name. @type {[RegExp, any][]} */
const TEXTS = [
  [/mail/i, "ana@example.org"],
  [/(^|_)(url|uri|link)/i, "https://example.org/"],
  [/host|domain/i, "example.org"],
  [/path|file/i, "notes.txt"],
  [/text|note|message|comment|body|word|sentence|title|subject/i, "hello"],
  [/city|place|town/i, "Lisboa"],
  [/lang/i, "pt"],
  [/name|account|user|source|target|from|to$|sender|owner|who|person|customer/i, ""],
];
/** @type {[RegExp, number][]} */
const NUMBERS = [
  [/cents|amount|price|balance/i, 500],
  [/count|lines|limit|size|length|number_of|pages?$/i, 10],
  [/port/i, 4477],
  [/year/i, new Date().getFullYear()],
  [/percent/i, 50],
];

/** Fills a form: what must be given; what has a default is left out. */
export class Examples {
  #catalogue;
  #people = 0;

  /** @param {Catalogue} catalogue */
  constructor(catalogue) {
    this.#catalogue = catalogue;
  }

  /** @param {Entry} entry @param {number} [depth] */
  structure(entry, depth = 0) {
    /** @type {Record<string, any>} */
    const made = entry.tag !== null && !entry.fields.some((field) => field.name === "type") ? { type: entry.tag } : {};
    for (const { name, type, fallback } of entry.fields) {
      if (fallback === null) made[name] = this.value(type, name, depth + 1);
    }
    return made;
  }

  /** @param {Type} type @param {string} name of the field @param {number} [depth] @returns {any} */
  value(type, name, depth = 0) {
    if (depth > DEEPEST) return null;
    switch (type.is) {
      case "scalar": return this.#scalar(type.name, name);
      case "list": return depth > 2 ? [] : [this.value(type.of, name.replace(/s$/, ""), depth + 1)];
      case "tuple": return type.of.map((one) => this.value(one, name, depth + 1));
      case "dict": return depth > 2 ? {} : { [String(this.value(type.key, "name", depth + 1))]: this.value(type.value, name, depth + 1) };
      case "literal": return type.values[0] ?? null;
      case "union": return this.value(type.of.find((one) => !(one.is === "scalar" && one.name === "None")) ?? type.of[0], name, depth);
      default: return this.#named(type.name, depth);
    }
  }

  /** @param {string} type @param {number} depth */
  #named(type, depth) {
    const entry = this.#catalogue.byName.get(type);
    if (!entry) return null;
    return entry.kind === "enum" ? JSON.parse(entry.fields[0]?.fallback ?? "null") : this.structure(entry, depth);
  }

  /** @param {string} type @param {string} name */
  #scalar(type, name) {
    const now = new Date();
    switch (type) {
      case "bool": return true;
      case "int": return NUMBERS.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
      case "float": return NUMBERS.find(([pattern]) => pattern.test(name))?.[1] ?? 1.5;
      case "str": return this.#text(name);
      case "bytes": return base64Of(new TextEncoder().encode("hello"));
      case "datetime": return now.toISOString();
      case "date": return now.toISOString().slice(0, 10);
      case "time": return now.toISOString().slice(11, 19);
      case "timedelta": return "PT30S";
      case "UUID": return uuid();
      case "Decimal": return "1.50";
      default: return null;
    }
  }

  /** Several people in one message are several. @param {string} name */
  #text(name) {
    const found = TEXTS.find(([pattern]) => pattern.test(name));
    if (!found) return "hello";
    return found[1] || PEOPLE[this.#people++ % PEOPLE.length];
  }
}

/** A random one. A page that is not from this machine, nor over TLS, has no `crypto.randomUUID`. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
