/**
 * Drafts: values as they are written in a form, which are those of JSON. Bytes are base64 there, times and UUIDs texts,
 * numbers may be texts, and a field that is left out is not there.
 *
 * @module
 */

// @ts-check

import { t } from "../app/texts.js";

/**
 * @typedef {import("../tomada/client/catalogue.js").Catalogue} Catalogue
 * @typedef {import("../tomada/client/expressions.js").Type} Type
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 * @typedef {{ path: string, text: string }} Problem
 */

const WHOLE = /^\s*[+-]?\d+\s*$/;
/** The end of a time that says which zone it is of. */
export const ZONED = /(Z|[+-]\d\d:?\d\d)$/i;
const WORDS = /^(inf|-inf|nan|infinity|-infinity)$/i;

/** What is written and cannot be read: it stays as it is, is told, and is not sent. */
export class Unread {
  /** @param {string} text @param {string} why */
  constructor(text, why) {
    this.text = text;
    this.why = why;
  }

  toJSON() {
    return this.text;
  }
}

/** @param {string} text @returns {any} the draft that it writes, or `Unread` */
export function jsonDraft(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return new Unread(text, t("wrongJson", { error: error instanceof Error ? error.message : "" }));
  }
}

/** From drafts to values, as tomada's client takes them; and what is wrong with them. */
export class Reader {
  /** @type {Problem[]} */
  problems = [];
  #catalogue;

  /** @param {Catalogue} catalogue */
  constructor(catalogue) {
    this.#catalogue = catalogue;
  }

  /** @param {string} path @param {string} text */
  #wrong(path, text) {
    this.problems.push({ path, text });
    return undefined;
  }

  /** @param {any} draft @param {Type} type @param {string} path @returns {any} */
  value(draft, type, path) {
    if (draft instanceof Unread) return this.#wrong(path, draft.why);
    switch (type.is) {
      case "scalar": return this.#scalar(draft, type.name, path);
      case "list": return Array.isArray(draft)
        ? draft.map((item, at) => this.value(item, type.of, `${path}[${at}]`)) : this.#wrong(path, t("wrongList"));
      case "tuple":
        if (!Array.isArray(draft) || draft.length !== type.of.length) return this.#wrong(path, t("wrongLength", { count: type.of.length }));
        return draft.map((item, at) => this.value(item, type.of[at], `${path}[${at}]`));
      case "dict": return this.#dict(draft, type, path);
      case "literal": return type.values.some((one) => one === draft) ? draft : this.#wrong(path, choicesText(type.values));
      case "union": return this.#union(draft, type, path);
      default: return this.#named(draft, type.name, path);
    }
  }

  /** @param {any} draft @param {string} name @param {string} path @returns {any} */
  #scalar(draft, name, path) {
    switch (name) {
      case "None": return draft === null ? null : this.#wrong(path, t("wrongNull"));
      case "bool": return typeof draft === "boolean" ? draft : this.#wrong(path, t("wrongBoolean"));
      case "int": return wholeNumber(draft) ?? this.#wrong(path, t(Number.isInteger(draft) ? "wrongLarge" : "wrongInteger"));
      case "float": return number(draft) ?? this.#wrong(path, t("wrongNumber"));
      case "bytes": return bytesOf(draft) ?? this.#wrong(path, t("wrongBase64"));
      case "datetime": return instant(draft) ?? this.#wrong(path, t("wrongDate"));
      case "Any": case "Ext": return draft;
      default:
        if (typeof draft === "number" && name === "Decimal") return String(draft);
        return typeof draft === "string" ? draft : this.#wrong(path, t("wrongText"));
    }
  }

  /** @param {any} draft @param {Extract<Type, { is: "dict" }>} type @param {string} path */
  #dict(draft, type, path) {
    if (!isObject(draft)) return this.#wrong(path, t("wrongObject"));
    return new Map(Object.entries(draft).map(([key, item]) => [
      this.value(key, type.key, `${path}.${key}`), this.value(item, type.value, `${path}.${key}`),
    ]));
  }

  /**
   * The first member that the draft fits; else what is wrong with it as the most likely one.
   *
   * @param {any} draft
   * @param {Extract<Type, { is: "union" }>} type
   * @param {string} path
   */
  #union(draft, type, path) {
    const tries = type.of.map((member) => {
      const reader = new Reader(this.#catalogue);
      const value = reader.value(draft, member, path);
      return { value, problems: reader.problems };
    });
    const fit = tries.find(({ problems }) => problems.length === 0);
    if (fit) return fit.value;
    this.problems.push(...tries[memberOf(draft, type, this.#catalogue)].problems);
    return undefined;
  }

  /** @param {any} draft @param {string} name @param {string} path @returns {any} */
  #named(draft, name, path) {
    const entry = this.#catalogue.byName.get(name);
    if (!entry) return draft;
    if (entry.kind !== "enum") return this.structure(draft, entry, path);
    const values = entry.fields.map((field) => JSON.parse(field.fallback ?? "null"));
    return values.includes(draft) ? draft : this.#wrong(path, choicesText(values));
  }

  /** @param {any} draft @param {Entry} entry @param {string} path */
  structure(draft, entry, path) {
    if (draft instanceof Unread) return this.#wrong(path, draft.why);
    if (!isObject(draft)) return this.#wrong(path, t("wrongObject"));
    const names = new Set(entry.fields.map((field) => field.name));
    for (const name of Object.keys(draft)) {
      if (!names.has(name) && !(name === "type" && draft.type === entry.tag)) this.#wrong(`${path}.${name}`, t("wrongField", { name: entry.name }));
    }
    /** @type {Record<string, any>} */
    const made = entry.tag !== null && !names.has("type") ? { type: entry.tag } : {};
    for (const field of entry.fields) {
      const place = path ? `${path}.${field.name}` : field.name;
      if (Object.hasOwn(draft, field.name)) made[field.name] = this.value(draft[field.name], field.type, place);
      else if (field.fallback === null) this.#wrong(place, t("missing"));
    }
    return made;
  }
}

/** @param {any[]} values */
function choicesText(values) {
  return t("wrongChoice", { choices: values.map((value) => JSON.stringify(value)).join(", ") });
}

/**
 * Which member of a union a draft is most likely meant for.
 *
 * @param {any} draft
 * @param {Extract<Type, { is: "union" }>} type
 * @param {Catalogue} catalogue
 */
export function memberOf(draft, type, catalogue) {
  const fit = type.of.findIndex((member) => {
    const reader = new Reader(catalogue);
    reader.value(draft, member, "");
    return reader.problems.length === 0;
  });
  if (fit >= 0) return fit;
  const alike = type.of.findIndex((member) => {
    const entry = member.is === "name" ? catalogue.byName.get(member.name) : undefined;
    if (entry && entry.kind !== "enum") {
      return isObject(draft) && (entry.tag === null || draft.type === undefined || draft.type === entry.tag);
    }
    if (Array.isArray(draft)) return member.is === "list" || member.is === "tuple";
    return (typeof draft === "string" || draft instanceof Unread) && member.is === "scalar" && member.name !== "None";
  });
  return Math.max(0, alike);
}

/** @param {any} value */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Unread);
}

/** @param {any} draft @returns {number | bigint | undefined} */
function wholeNumber(draft) {
  if (typeof draft === "number") return Number.isSafeInteger(draft) ? draft : undefined;
  if (typeof draft !== "string" || !WHOLE.test(draft)) return undefined;
  const value = Number(draft);
  return Number.isSafeInteger(value) ? value : BigInt(draft.trim().replace(/^\+/, ""));
}

/** @param {any} draft @returns {number | undefined} */
function number(draft) {
  if (typeof draft === "number") return draft;
  if (typeof draft !== "string" || draft.trim() === "") return undefined;
  if (WORDS.test(draft.trim())) return draft.trim().startsWith("-") ? -Infinity : /nan/i.test(draft) ? NaN : Infinity;
  const value = Number(draft);
  return Number.isNaN(value) ? undefined : value;
}

/** @param {any} draft in base64 @returns {Uint8Array | undefined} */
export function bytesOf(draft) {
  if (typeof draft !== "string") return undefined;
  try {
    return Uint8Array.from(atob(draft), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** @param {Uint8Array} bytes @returns {string} */
export function base64Of(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param {any} draft @returns {Date | string | undefined} a text where it has no zone */
function instant(draft) {
  if (typeof draft !== "string" || draft === "" || Number.isNaN(Date.parse(draft))) return undefined;
  return ZONED.test(draft) ? new Date(draft) : draft;
}
