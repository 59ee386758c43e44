/**
 * Types, as expressions: they stand so in the catalogue.
 *
 * @module
 */

// @ts-check

import { MessageError, TomadaError } from "./errors.js";

const DEEPEST_TYPE = 32;

/**
 * @typedef {{ is: "scalar", name: string }
 *   | { is: "name", name: string }
 *   | { is: "list", of: Type }
 *   | { is: "tuple", of: Type[] }
 *   | { is: "dict", key: Type, value: Type }
 *   | { is: "literal", values: (string | number | null)[] }
 *   | { is: "union", of: Type[] }} Type
 * @typedef {{ name: string, type: Type, text: string, fallback: string | null }} Field
 * @typedef {{ name: string, kind: string, fields: Field[], reply: Type | null,
 *   items: Type | null, parts: Type | null, handled: boolean, tag: string | number | null, keyed: boolean, doc: string,
 *   raw: any[] }} Entry
 */

const SCALARS = new Set([
  "Any", "None", "bool", "int", "float", "str", "bytes", "datetime", "date", "time", "timedelta", "UUID", "Decimal", "Ext",
]);
const TOKEN = /\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+|[\p{L}_][\p{L}\p{N}_]*|\.\.\.|\(\)|[[\],|])/uy;
const ESCAPE = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/giu;
/** @type {Record<string, string>} */
const ESCAPED = { n: "\n", r: "\r", t: "\t" };

/** Reads one type expression. */
export class ExpressionReader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    /** @type {string[]} */
    this.tokens = [];
    this.place = 0;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const found = TOKEN.exec(text);
      if (!found) throw this.wrong();
      this.tokens.push(found[1]);
    }
  }

  /** @returns {Type} */
  read() {
    const type = this.union(0);
    if (this.place < this.tokens.length) throw this.wrong();
    return type;
  }

  wrong() {
    return new TomadaError(`the server describes a type as ${this.text}, which makes no sense`);
  }

  /** @param {string} token */
  skip(token) {
    const is = this.tokens[this.place] === token;
    if (is) this.place += 1;
    return is;
  }

  /** @param {string} token */
  expect(token) {
    if (!this.skip(token)) throw this.wrong();
  }

  /** @param {number} depth @returns {Type} */
  union(depth) {
    if (depth > DEEPEST_TYPE) throw this.wrong();
    const members = [this.member(depth)];
    while (this.skip("|")) members.push(this.member(depth));
    return members.length === 1 ? members[0] : { is: "union", of: members };
  }

  /** @param {number} depth @returns {Type} */
  member(depth) {
    const name = this.tokens[this.place++];
    if (name === undefined || !/^[\p{L}_]/u.test(name)) throw this.wrong();
    if (this.tokens[this.place] !== "[") return SCALARS.has(name) ? { is: "scalar", name } : { is: "name", name };
    this.place += 1;
    const type = name === "Literal" ? this.literal() : this.container(name, depth + 1);
    this.expect("]");
    return type;
  }

  /** @param {string} name @param {number} depth @returns {Type} */
  container(name, depth) {
    if (name === "tuple" && this.skip("()")) return { is: "tuple", of: [] };
    const of = [this.union(depth)];
    while (this.skip(",")) {
      if (name === "tuple" && of.length === 1 && this.skip("...")) return { is: "list", of: of[0] };
      of.push(this.union(depth));
    }
    if (name === "tuple") return { is: "tuple", of };
    if (name === "dict" && of.length === 2) return { is: "dict", key: of[0], value: of[1] };
    if (["list", "set", "frozenset"].includes(name) && of.length === 1) return { is: "list", of: of[0] };
    throw this.wrong();
  }

  /** @returns {Type} */
  literal() {
    const values = [];
    do {
      const token = this.tokens[this.place++] ?? "";
      if (token === "None") values.push(null);
      else if (/^-?\d/.test(token)) values.push(Number(token));
      else if (/^['"]/.test(token)) values.push(unquoted(token));
      else throw this.wrong();
    } while (this.skip(","));
    return { is: "literal", values };
  }
}

/** @param {string} token a text in Python's notation */
function unquoted(token) {
  return token.slice(1, -1).replace(ESCAPE, (_, x, u, U, other) => {
    const code = x ?? u ?? U;
    return code === undefined ? (ESCAPED[other] ?? other) : String.fromCodePoint(parseInt(code, 16));
  });
}

/** @param {Type} type @returns {string} as it stands in the catalogue, or nearly */
export function typeText(type) {
  switch (type.is) {
    case "list": return `list[${typeText(type.of)}]`;
    case "tuple": return `tuple[${type.of.map(typeText).join(", ")}]`;
    case "dict": return `dict[${typeText(type.key)}, ${typeText(type.value)}]`;
    case "literal": return type.values.map((value) => JSON.stringify(value)).join(" | ");
    case "union": return type.of.map(typeText).join(" | ");
    default: return type.name;
  }
}

/** @param {Type} type @returns {string[]} the names of other entries in it */
export function namesIn(type) {
  switch (type.is) {
    case "name": return [type.name];
    case "list": return namesIn(type.of);
    case "dict": return [...namesIn(type.key), ...namesIn(type.value)];
    case "tuple":
    case "union": return type.of.flatMap(namesIn);
    default: return [];
  }
}

/** @param {any} value @returns {string} for the text of an error */
export function shown(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object") return Array.isArray(value) ? "an array" : `a ${value.constructor?.name ?? "object"}`;
  return `${typeof value} ${String(value)}`;
}

/** @param {string} where @param {Type} type @param {any} value */
export function misfit(where, type, value) {
  return new MessageError(`${where} must be ${typeText(type)}, it is ${shown(value)}`);
}
