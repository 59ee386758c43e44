/**
 * What the viewer may do here, and under which addresses. A page cannot learn why its WebSocket was refused, so it asks
 * before it opens one.
 *
 * @module
 */

// @ts-check

import { isTokenGiven, keepToken, token } from "./route.js";

/** @typedef {{ watch: boolean, act: boolean, try: boolean }} Access */

const TOKEN = /^[\w-]{16,128}$/;
const TIMEOUT = 5_000;
const NONE = { watch: false, act: false, try: false };

/** Rejects where nobody answers. @returns {Promise<Access>} */
export async function access() {
  const told = await asked(token());
  if (told.watch || !token() || isTokenGiven()) return told;
  keepToken(""); // the tab remembers that of a server which is gone
  return asked("");
}

/** @param {string} text the token @returns {Promise<Access>} */
async function asked(text) {
  if (text && !TOKEN.test(text)) return NONE;
  const headers = text ? { Authorization: `Bearer ${text}` } : undefined;
  const answer = await fetch("access", { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
  if (answer.status === 401 || answer.status === 403) return NONE;
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return { ...NONE, ...(await answer.json()) };
}

/** The address of a WebSocket here. @param {"feed" | "app"} name */
export function addressOf(name) {
  const text = token();
  const url = new URL(text ? `${name}/${text}` : name, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  return url.href;
}
