/**
 * Values to be read: as JSON with colours, of which what is long can be folded; and bytes.
 *
 * @module
 */

// @ts-check

import { h } from "../app/dom.js";
import { bytes as sizeText } from "../app/format.js";
import { t } from "../app/texts.js";
import { base64Of } from "./draft.js";
import { isText } from "./inputs.js";

const MOST_ITEMS = 200;
const FOLDED = 12;
const DEEPEST = 20;
const BYTES_SHOWN = 64;
const ROW = 16;

/** @param {any} value @param {number} [depth] @returns {Node} */
export function valueView(value, depth = 0) {
  if (value === null || value === undefined) return word("null", "null");
  if (value instanceof Date) return word(value.toISOString(), "instant");
  if (value instanceof Uint8Array) return bytesView(value);
  if (value instanceof Map) return valueView(Object.fromEntries([...value].map(([key, item]) => [String(key), item])), depth);
  if (typeof value === "object") return depth > DEEPEST ? word("…", "null") : structure(value, depth);
  return word(typeof value === "string" ? JSON.stringify(value) : String(value), typeof value);
}

/** @param {string} text @param {string} kind */
function word(text, kind) {
  return h("span", { class: `value-${kind}` }, text);
}

/** @param {any} value @param {number} depth */
function structure(value, depth) {
  const isList = Array.isArray(value);
  const entries = isList ? value.map((item, at) => [String(at), item]) : Object.entries(value);
  if (entries.length === 0) return word(isList ? "[]" : "{}", "null");
  const rows = entries.slice(0, MOST_ITEMS).map(([name, item]) => h("li", {},
    h("span", { class: isList ? "value-at" : "value-name" }, name), valueView(item, depth + 1)));
  if (entries.length > MOST_ITEMS) rows.push(h("li", {}, `… ${entries.length - MOST_ITEMS}`));
  const list = h("ul", { class: "value-rows" }, ...rows);
  if (depth === 0 || entries.length <= FOLDED) return list;
  return h("details", { class: "value-fold" }, h("summary", {}, isList ? `[${entries.length}]` : `{${entries.length}}`), list);
}

/** @param {Uint8Array} value */
function bytesView(value) {
  const head = value.subarray(0, BYTES_SHOWN);
  const more = value.length > BYTES_SHOWN ? " …" : "";
  const text = isText(head) ? JSON.stringify(new TextDecoder().decode(head)) : Array.from(head, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return h("span", { class: "value-bytes" }, text + more, h("span", { class: "note" }, ` ${sizeText(value.length)}`));
}

/** Offsets, hexadecimal digits, characters. @param {Uint8Array} bytes @param {number} size of all, of which these are the first */
export function hexView(bytes, size) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = bytes.subarray(at, at + ROW);
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"));
    rows.push(`${at.toString(16).padStart(4, "0")}  ${digits.join(" ").padEnd(3 * ROW - 1)}  ${Array.from(row, shownByte).join("")}`);
  }
  const note = size > bytes.length ? h("p", { class: "quiet" }, t("longFrame", { count: bytes.length })) : null;
  return h("div", { class: "hex" }, h("pre", { tabindex: 0, role: "group", "aria-label": t("bytesOfFrame") }, rows.join("\n")), note);
}

/** @param {number} byte */
function shownByte(byte) {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
}

/** As text, to be copied. @param {any} value */
export function jsonText(value) {
  return JSON.stringify(value, (_, item) => {
    if (typeof item === "bigint") return String(item);
    if (item instanceof Map) return Object.fromEntries(item);
    if (item instanceof Uint8Array) return base64Of(item);
    return item;
  }, 2);
}
