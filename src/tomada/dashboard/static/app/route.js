/**
 * Which page is shown: the address's fragment says so, `#/connections/17`. A token that came in the fragment is taken
 * out of it at once, so that no screenshot and no history has it.
 *
 * @module
 */

// @ts-check

const TOKEN_KEY = "tomada.token";

export const PAGES = /** @type {const} */ (["overview", "connections", "types", "workers", "limits", "log", "try"]);

/** @typedef {(typeof PAGES)[number]} Page */
/** @typedef {{ page: Page, rest: string }} Route `rest` is a connection's id, or a type's name. */

/** @returns {Route} */
export function route() {
  const [page = "", rest = ""] = location.hash.replace(/^#\/?/, "").split("/");
  return { page: PAGES.find((one) => one === page) ?? "overview", rest: decoded(rest) };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Page} page @param {string} [rest] */
export function linkTo(page, rest = "") {
  return `#/${page === "overview" ? "" : page}${rest ? `/${encodeURIComponent(rest)}` : ""}`;
}

/** @param {Page} page @param {string} [rest] */
export function go(page, rest = "") {
  location.hash = linkTo(page, rest);
}

/** The token of this tab; empty where there is none. */
export function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) {
    keepToken(given);
    history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  }
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? kept;
  } catch {
    return kept;
  }
}

let kept = "";
let isGiven = false;

/** Whether the token was given since the page was loaded; else it is one that the tab remembers. */
export function isTokenGiven() {
  return isGiven;
}

/** @param {string} text */
export function keepToken(text) {
  kept = text;
  isGiven = text !== "";
  try {
    sessionStorage.setItem(TOKEN_KEY, text);
  } catch {
    // It is known until the page is left.
  }
}
