/**
 * Limits and deadlines, and how often somebody met one.
 *
 * @module
 */

// @ts-check

import { NONE, bytes, took, whole } from "../app/format.js";
import { maybe, t } from "../app/texts.js";

const DEADLINES = new Set(["connect", "handshake", "frame", "heartbeat", "idle", "progress", "drain", "turn"]);

/** @param {string} name of a limit or deadline */
export function isDeadline(name) {
  return DEADLINES.has(name);
}

/** @param {{ kind: string, name: string }} strike */
export function strikeName({ kind, name }) {
  return `${maybe(kind, kind)} ${name}`;
}

/** In its unit, which its name tells. @param {string} name @param {number | null | undefined} value null: it is off */
export function strikeAmount(name, value) {
  if (value === undefined) return NONE;
  if (value === null || !Number.isFinite(value)) return t("off");
  if (name.endsWith("bytes")) return bytes(value);
  return isDeadline(name) ? took(value) : whole(value);
}
