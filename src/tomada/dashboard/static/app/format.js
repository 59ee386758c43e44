/**
 * Numbers, sizes and times, as people of the chosen language read them.
 *
 * @module
 */

// @ts-check

import { language } from "./texts.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const KIBI = 1024;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
/** @type {[number, string][]} */
const AGES = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]];
/** Shown where there is no value. */
export const NONE = "–";

/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** @param {Intl.NumberFormatOptions} options */
function format(options) {
  const key = language() + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) formats.set(key, made = new Intl.NumberFormat(language(), options));
  return made;
}

/** @param {number | bigint} value */
export function whole(value) {
  return format({ maximumFractionDigits: 0 }).format(value);
}

/** In a few characters. @param {number} value */
export function short(value) {
  if (Math.abs(value) < 100_000) return whole(Math.round(value));
  return format({ notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** @param {number} value @param {number} digits of its fraction */
function fixed(value, digits) {
  return format({ maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** Three digits that say something. @param {number} value */
function brief(value) {
  return fixed(value, value >= 100 || Number.isInteger(value) ? 0 : 1);
}

/** @param {number} value in bytes */
export function bytes(value) {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1000 && unit < UNITS.length - 1) {
    size /= KIBI;
    unit += 1;
  }
  return `${unit === 0 ? whole(size) : brief(size)} ${UNITS[unit]}`;
}

/** @param {number} value per second */
export function rate(value) {
  if (value === 0) return "0";
  return value < 10 ? fixed(value, 1) : short(value);
}

/** How long something took. @param {number | null | undefined} seconds */
export function took(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.001) return `${whole(seconds * 1e6)} µs`;
  if (seconds < 1) return `${brief(seconds * 1000)} ms`;
  if (seconds < MINUTE) return `${brief(seconds)} s`;
  return seconds % MINUTE === 0 && seconds < HOUR ? `${seconds / MINUTE} min` : age(seconds);
}

/** How long something has lasted. @param {number} seconds */
export function age(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  if (left < MINUTE) return `${left} s`;
  if (left < HOUR) return `${Math.floor(left / MINUTE)} min ${left % MINUTE} s`;
  if (left < DAY) return `${Math.floor(left / HOUR)} h ${Math.floor((left % HOUR) / MINUTE)} min`;
  return `${whole(Math.floor(left / DAY))} d ${Math.floor((left % DAY) / HOUR)} h`;
}

/** The same, in one unit. @param {number} seconds */
export function briefAge(seconds) {
  const [unit, name] = AGES.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${whole(Math.floor(Math.max(0, seconds) / unit))} ${name}`;
}

/** @param {number} part from 0 to 1 */
export function percent(part) {
  return format(part < 0.1 ? { style: "percent", maximumSignificantDigits: 2 } : { style: "percent" }).format(part);
}

/** Of the wall clock. @param {number} seconds since 1970 */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(language(), {
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
  });
}

/** Since the beginning of a connection. @param {number} seconds */
export function offset(seconds) {
  const minutes = Math.floor(seconds / MINUTE);
  const rest = fixed(seconds - minutes * MINUTE, 3);
  return minutes > 0 ? `${whole(minutes)}:${rest.length < 6 ? "0" : ""}${rest}` : rest;
}

/** The next number above that a scale would end with. @param {number} value */
export function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
