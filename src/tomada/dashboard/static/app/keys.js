/**
 * What the keyboard does everywhere: `/`, j and k, digits, `?`.
 *
 * @module
 */

// @ts-check

import { PAGES, go } from "./route.js";

/**
 * @typedef {object} Actions
 * @property {() => void} help
 * @property {() => void} pause
 * @property {() => void} back
 */

/** Listen, until the page is left. @param {Actions} actions */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (isWriting(event.target)) {
      if (event.key === "Escape") /** @type {HTMLElement} */ (event.target).blur();
      return;
    }
    if (pressed(event.key, actions)) event.preventDefault();
  });
}

/** Whether the key is one that is written. @param {EventTarget | null} target */
function isWriting(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "file"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** @param {string} key @param {Actions} actions @returns {boolean} whether it means something */
function pressed(key, actions) {
  const page = PAGES[Number(key) - 1];
  if (page) go(page);
  else if (key === "/") return focusSearch();
  else if (key === "j" || key === "k") return step(key === "j" ? 1 : -1);
  else if (key === "?") actions.help();
  else if (key === "p") actions.pause();
  else if (key === "Escape") actions.back();
  else return false;
  return true;
}

function focusSearch() {
  const search = document.querySelector("main input[type=search]");
  if (!(search instanceof HTMLInputElement)) return false;
  search.focus();
  search.select();
  return true;
}

/** To the next row, or the one before: their links take the focus. @param {1 | -1} by */
function step(by) {
  const rows = [...document.querySelectorAll("main [data-row]")].filter((row) => row.getClientRects().length > 0);
  if (rows.length === 0) return false;
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  const row = /** @type {HTMLElement} */ (rows[next]);
  row.focus();
  row.scrollIntoView({ block: "nearest" });
  return true;
}
