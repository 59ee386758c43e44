/**
 * What the page says, in the language of its reader.
 *
 * @module
 */

// @ts-check

import { choose, chosen } from "./preferences.js";
import { english } from "./english.js";
import { portuguese } from "./portuguese.js";

/** @typedef {keyof typeof english} Text */
/** @typedef {"en" | "pt-BR"} Language */

/** @type {Language} */
let current = initial();

/** @returns {Language} */
function initial() {
  const name = chosen("language") || (navigator.languages?.[0] ?? navigator.language ?? "");
  return name.toLowerCase().startsWith("pt") ? "pt-BR" : "en";
}

export function language() {
  return current;
}

/** @param {Language} name */
export function setLanguage(name) {
  current = name;
  choose("language", name);
  document.documentElement.lang = name;
}

/**
 * The text of that name. `{word}` in it stands for a value. Where it has two forms, `values.count` says which.
 *
 * @param {Text} name
 * @param {Record<string, string | number>} [values]
 */
export function t(name, values = {}) {
  const text = (current === "pt-BR" ? portuguese : english)[name];
  const [one, other = one] = text.split(" | ");
  const form = new Intl.PluralRules(current).select(Number(values.count ?? 0)) === "one" ? one : other;
  return form.replace(/\{(\w+)\}/g, (_, word) => String(values[word] ?? ""));
}

/** The text of a name that is put together, where there is one. @param {string} name @param {string} otherwise */
export function maybe(name, otherwise) {
  return name in english ? t(/** @type {Text} */ (name)) : otherwise;
}
