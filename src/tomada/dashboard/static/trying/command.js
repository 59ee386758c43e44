/**
 * The command line that does the same.
 *
 * @module
 */

// @ts-check

import { shortAddress } from "../parts/addresses.js";

const PLAIN = /^[\w@%+=:,./-]+$/;

/**
 * @param {string[]} addresses of the server
 * @param {import("../tomada/client/expressions.js").Entry} entry
 * @param {any} draft of its fields
 * @param {{ key: string, timeout: string }} options
 */
export function commandOf(addresses, entry, draft, { key, timeout }) {
  const isOneWay = entry.kind === "message";
  const words = ["tomada", isOneWay ? "send" : "ask", shortAddress(addresses), entry.name];
  for (const { name } of entry.fields) {
    if (Object.hasOwn(draft, name)) words.push(`${name}=${written(draft[name])}`);
  }
  if (key && !isOneWay && !entry.items) words.push("--key", key);
  if (timeout && !isOneWay && !entry.items) words.push("--timeout", timeout);
  return words.map(quoted).join(" ");
}

/** As the command line reads values: texts as they are, what has parts as JSON. @param {any} value */
function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** For a shell. @param {string} word */
function quoted(word) {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
