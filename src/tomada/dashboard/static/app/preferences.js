/**
 * What the viewer has chosen: kept by the browser, where it lets a page keep something.
 *
 * @module
 */

// @ts-check

const PREFIX = "tomada.";

/** @param {string} name @returns {string} empty where nothing was chosen */
export function chosen(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name @param {string} value */
export function choose(name, value) {
  try {
    if (value) localStorage.setItem(PREFIX + name, value);
    else localStorage.removeItem(PREFIX + name);
  } catch {
    // It holds until the page is left.
  }
}

/** @typedef {"" | "light" | "dark"} Theme Empty: as the system has it. */

/** @returns {Theme} */
export function theme() {
  const name = chosen("theme");
  return name === "light" || name === "dark" ? name : "";
}

/** @param {Theme} name */
export function setTheme(name) {
  choose("theme", name);
  applyTheme();
}

export function applyTheme() {
  const name = theme();
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

/** Whether the page is dark now. */
export function isDark() {
  return theme() === "dark" || (theme() === "" && matchMedia("(prefers-color-scheme: dark)").matches);
}
