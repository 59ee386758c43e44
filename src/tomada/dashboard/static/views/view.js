/**
 * What each page of the dashboard is given, and gives.
 *
 * @module
 */

// @ts-check

/**
 * @typedef {import("../app/feed.js").Picture} Picture
 * @typedef {import("../app/feed.js").Watch} Watch
 *
 * @typedef {object} Context
 * @property {import("../app/feed.js").Feed} feed
 * @property {import("../app/history.js").History} history
 * @property {import("../app/history.js").Lines} lines
 * @property {Picture | null} picture The last one; null before the first.
 * @property {Record<string, number | null>} settings Limits and deadlines; null is off.
 * @property {() => void} changed The view asks for something else now: `watch` says what.
 *
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {() => string} title Of the browser's tab.
 * @property {() => string} [heading] Where it is another one.
 * @property {Watch} watch What it wants to be shown.
 * @property {(picture: Picture, watch: Watch) => void} update `watch` is what the picture answers.
 * @property {(picture: Picture, watch: Watch) => void} [came] Also while the page is paused.
 * @property {(isPaused: boolean) => void} [pause]
 * @property {() => boolean} [back] Escape was pressed; whether that meant something.
 * @property {() => void} [dispose]
 */

export {};
