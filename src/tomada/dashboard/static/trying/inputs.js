/**
 * Inputs for single values. Each gives its draft: see `draft.js`.
 *
 * @module
 */

// @ts-check

import { h } from "../app/dom.js";
import { bytes as sizeText } from "../app/format.js";
import { t } from "../app/texts.js";
import { notice } from "../parts/dialogs.js";
import { Unread, ZONED, base64Of, bytesOf, jsonDraft } from "./draft.js";
import { uuid } from "./examples.js";

/**
 * @typedef {object} Spot Where an input stands.
 * @property {string} id of the element that its label is for
 * @property {string} label what a screen reader says, where no label stands beside it
 * @property {(draft: any) => void} changed
 */

const NUMERIC = /** @type {Record<string, string>} */ ({ int: "numeric", float: "decimal", Decimal: "decimal" });
const MOST_FILE = 12_000_000;
/** Bytes that are shown to be changed. Of more the page would be busy for seconds. */
const MOST_WRITTEN = 65_536;

/** @param {string} type the scalar's name @param {any} draft @param {Spot} spot @returns {HTMLElement} */
export function scalarInput(type, draft, spot) {
  switch (type) {
    case "None": return h("code", { id: spot.id }, "null");
    case "bool": return checkbox(draft, spot);
    case "bytes": return bytesInput(draft, spot);
    case "datetime": return instantInput(draft, spot);
    case "date": return plainInput(draft, spot, { type: "date" });
    case "time": return plainInput(draft, spot, { type: "time", step: "1" });
    case "UUID": return uuidInput(draft, spot);
    case "Any": case "Ext": return jsonInput(draft, spot);
    case "str": return textInput(draft, spot);
    default: return plainInput(draft, spot, { inputmode: NUMERIC[type], class: NUMERIC[type] ? "mono short" : "mono" });
  }
}

/** @param {any} draft */
function asText(draft) {
  return draft === null || draft === undefined ? "" : String(draft);
}

/** @param {any} draft @param {Spot} spot @param {import("../app/dom.js").Properties} properties */
function plainInput(draft, spot, properties) {
  const input = h("input", {
    type: "text", id: spot.id, "aria-label": spot.label, autocomplete: "off", spellcheck: "false", ...properties,
    input: () => spot.changed(input.value),
  });
  input.value = asText(draft);
  return input;
}

/** Grows with what is written. @param {any} draft @param {Spot} spot */
function textInput(draft, spot) {
  const area = h("textarea", {
    id: spot.id, "aria-label": spot.label, rows: 1, autocomplete: "off", spellcheck: "false", class: "growing",
    input: () => spot.changed(area.value),
  });
  area.value = asText(draft);
  return area;
}

/** @param {any} draft @param {Spot} spot */
function checkbox(draft, spot) {
  const input = h("input", { type: "checkbox", id: spot.id, "aria-label": spot.label, change: () => {
    spot.changed(input.checked);
    word.textContent = String(input.checked);
  } });
  input.checked = draft === true;
  const word = h("code", {}, String(input.checked));
  return h("label", { class: "check" }, input, word);
}

/** @param {any} draft @param {Spot} spot */
function uuidInput(draft, spot) {
  const input = /** @type {HTMLInputElement} */ (plainInput(draft, spot, { class: "mono" }));
  const fresh = h("button", { type: "button", class: "button slim", click: () => {
    input.value = uuid();
    spot.changed(input.value);
  } }, t("fresh"));
  return h("span", { class: "with-button" }, input, fresh);
}

/** @param {any} draft @param {Spot} spot */
function jsonInput(draft, spot) {
  const area = h("textarea", {
    id: spot.id, "aria-label": spot.label, rows: 1, spellcheck: "false", class: "growing mono",
    input: () => spot.changed(jsonDraft(area.value)),
  });
  area.value = draft instanceof Unread ? draft.text : JSON.stringify(draft) ?? "null";
  return area;
}

/**
 * One of several values.
 *
 * @param {any[]} values
 * @param {string[]} texts
 * @param {any} draft
 * @param {Spot} spot
 */
export function choice(values, texts, draft, spot) {
  const select = h("select", { id: spot.id, "aria-label": spot.label, change: () => spot.changed(values[select.selectedIndex]) },
    ...texts.map((text) => h("option", {}, text)));
  select.selectedIndex = Math.max(0, values.findIndex((value) => value === draft));
  return select;
}

/** A day and a time, and what zone they are of. @param {any} draft @param {Spot} spot */
function instantInput(draft, spot) {
  const text = asText(draft);
  const zone = h("select", { "aria-label": `${spot.label}: ${t("zone")}`, change: () => changed() },
    h("option", { value: "Z" }, "UTC"), h("option", { value: "local" }, t("localZone")), h("option", { value: "" }, t("noZone")));
  const input = h("input", { type: "datetime-local", id: spot.id, "aria-label": spot.label, step: "0.001", input: () => changed() });
  const changed = () => {
    if (!input.value) spot.changed("");
    else if (zone.value === "local") spot.changed(new Date(input.value).toISOString());
    else spot.changed(`${input.value}${zone.value}`);
  };
  zone.value = !text || ZONED.test(text) ? "Z" : "";
  const instant = new Date(ZONED.test(text) ? text : `${text}Z`);
  input.value = Number.isNaN(instant.getTime()) ? "" : instant.toISOString().slice(0, -1);
  return h("span", { class: "with-button" }, input, zone);
}

// Bytes.

/** @type {Record<string, { write: (bytes: Uint8Array) => string, read: (text: string) => Uint8Array | undefined }>} */
const ENCODINGS = {
  text: { write: (bytes) => new TextDecoder().decode(bytes), read: (text) => new TextEncoder().encode(text) },
  hex: { write: hexOf, read: hexBytes },
  base64: { write: base64Of, read: bytesOf },
};

/** As text, in hexadecimal digits or base64, or a file's. @param {any} draft @param {Spot} spot */
function bytesInput(draft, spot) {
  let bytes = bytesOf(asText(draft)) ?? new Uint8Array();
  const area = h("textarea", { id: spot.id, "aria-label": spot.label, rows: 1, spellcheck: "false", class: "growing mono", input: () => {
    const read = ENCODINGS[encoding.value].read(area.value);
    if (read) bytes = read;
    // Digits that are no whole bytes could still be read as base64, of other bytes.
    spot.changed(read ? base64Of(bytes) : new Unread(area.value, t(encoding.value === "hex" ? "wrongHex" : "wrongBase64")));
  } });
  const show = () => {
    const isLong = bytes.length > MOST_WRITTEN;
    area.value = isLong ? "" : ENCODINGS[encoding.value].write(bytes);
    area.placeholder = isLong ? sizeText(bytes.length) : "";
  };
  const encoding = h("select", { "aria-label": `${spot.label}: ${t("encodedAs")}`, change: () => {
    show();
    spot.changed(base64Of(bytes));
  } }, ...Object.keys(ENCODINGS).map((name) => h("option", {}, name)));
  const file = h("input", { type: "file", hidden: true, "aria-label": t("file"), change: async () => {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    if (chosen.size > MOST_FILE) {
      notice(t("fileTooLarge", { name: chosen.name, size: sizeText(chosen.size), most: sizeText(MOST_FILE) }), "bad");
      file.value = ""; // the same one can be chosen again, when it is smaller
      return;
    }
    bytes = new Uint8Array(await chosen.arrayBuffer());
    file.value = "";
    encoding.value = "base64";
    show();
    spot.changed(base64Of(bytes));
  } });
  encoding.value = isText(bytes) && !(draft instanceof Unread) ? "text" : "hex";
  show();
  if (draft instanceof Unread) area.value = draft.text;
  const open = h("button", { type: "button", class: "button slim", click: () => file.click() }, t("file"));
  return h("span", { class: "with-button" }, area, encoding, open, file);
}

/** @param {Uint8Array} bytes */
export function isText(bytes) {
  try {
    return !/[\0-\x08\x0e-\x1f]/.test(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return false;
  }
}

/** @param {Uint8Array} bytes */
function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** @param {string} text */
function hexBytes(text) {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 === 1 || /[^0-9a-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
