/**
 * The server at one look.
 *
 * @module
 */

// @ts-check

import { KeyedList, h, setAttribute, setText, show } from "../app/dom.js";
import { age, bytes, clock, rate, short, took, whole } from "../app/format.js";
import { linkTo } from "../app/route.js";
import { t } from "../app/texts.js";
import { addressList } from "../parts/addresses.js";
import { chartTile } from "../parts/chart.js";
import { panel, pill } from "../parts/controls.js";
import { strikeAmount, strikeName } from "../parts/strikes.js";

/** @typedef {import("./view.js").Picture} Picture */

const MOST = 6;
const MOST_LINES = 8;

/** @typedef {import("./view.js").View} View */

/** @implements {View} */
export class Overview {
  element;
  watch = { sort: "received_rate", descending: true, count: MOST };
  #context;
  #connections = chartTile(t("connections"), [{ label: t("openNow"), tone: "neutral" }], short);
  #messages = chartTile(t("messagesRate"), ways(), rate);
  #bytes = chartTile(t("bytesRate"), ways(), bytes);
  #handlers = chartTile(t("handlersRunning"), [{ label: "", tone: "neutral" }], short);
  #addresses = addressList();
  #counts = countList();
  #types = ranking(t("types"), linkTo("types"), t("noneHandled"));
  #busiest = ranking(t("busiest"), linkTo("connections"), t("noConnection"));
  #workers = ranking(t("workers"), linkTo("workers"), t("noWorker"));
  #strikes = ranking(t("recentStrikes"), linkTo("limits"), t("noStrikes"));
  #lines = h("ol", { class: "log-lines brief" });
  /** @type {KeyedList<import("../app/history.js").KeptLine>} */
  #log = new KeyedList(this.#lines, (line) => line.key, (line) => ({ element: logLine(line), update: () => {} }));

  /** @param {import("./view.js").Context} context */
  constructor(context) {
    this.#context = context;
    this.element = h("div", { class: "page overview" },
      h("div", { class: "tiles" },
        this.#messages.element, this.#bytes.element, this.#connections.element, this.#handlers.element),
      h("div", { class: "columns" }, this.#types.element, this.#busiest.element),
      h("div", { class: "columns three" },
        h("div", { class: "stack" }, panel(t("addresses"), this.#addresses.element), this.#strikes.element),
        this.#workers.element, panel(t("sinceStart"), this.#counts.element)),
      h("section", { class: "panel", "aria-label": t("latestLog") },
        h("h2", {}, t("latestLog"), h("a", { class: "more", href: linkTo("log") }, t("all"))), this.#lines));
  }

  title() {
    return t("overview");
  }

  /** @param {Picture} picture @param {import("./view.js").Watch} watch */
  update(picture, watch) {
    const { history, lines } = this.#context;
    const { totals, time } = picture;
    this.#connections.update(history.connections, time, totals.streams > 0 ? t("streams", { count: totals.streams, shown: whole(totals.streams) }) : "");
    this.#messages.update(history.messages, time);
    this.#bytes.update(history.bytes, time);
    const { handshakes } = totals;
    this.#handlers.update(history.handlers, time, handshakes > 0 ? t("handshakes", { count: handshakes }) : "");
    this.#addresses.update(picture.addresses);
    this.#counts.update(picture);
    this.#types.update(typeItems(picture));
    if (watch.count === MOST) this.#busiest.update(connectionItems(picture)); // or it answers what another page asked
    this.#workers.update(workerItems(picture));
    this.#strikes.update(strikeItems(picture));
    this.#log.show(lines.kept.slice(-MOST_LINES).reverse());
  }
}

function ways() {
  return [{ label: t("received"), tone: "in" }, { label: t("sent"), tone: "out" }];
}

/**
 * @typedef {{ key: string, name: string, href: string, value: string, note: string, share: number, tone?: string }} Item
 */

/**
 * A short list with bars.
 *
 * @param {string} title
 * @param {string} href of the whole
 * @param {string} hint where there is nothing
 */
function ranking(title, href, hint) {
  const rows = h("ol", { class: "ranking" });
  const nothing = h("p", { class: "quiet" }, hint);
  /** @type {KeyedList<Item>} */
  const list = new KeyedList(rows, (item) => item.key, makeItem);
  const element = h("section", { class: "panel", "aria-label": title },
    h("h2", {}, title, h("a", { class: "more", href }, t("all"))), rows, nothing);
  return {
    element,
    /** @param {Item[]} items */
    update(items) {
      list.show(items);
      show(nothing, items.length === 0);
    },
  };
}

/** @param {Item} first */
function makeItem(first) {
  const name = h("a", { href: first.href, class: "name", "data-row": true }, first.name);
  const note = h("span", { class: "note" });
  const value = h("span", { class: "value" });
  const fill = h("span", { class: "fill" });
  const element = h("li", {}, h("span", { class: "ranking-bar", "aria-hidden": "true" }, fill), name, note, value);
  return {
    element,
    /** @param {Item} item */
    update(item) {
      setText(name, item.name);
      setAttribute(name, "href", item.href);
      setAttribute(name, "title", item.name);
      setText(note, item.note);
      setText(value, item.value);
      setAttribute(element, "class", item.tone ?? null);
      fill.style.width = `${Math.round(100 * Math.min(1, item.share))}%`;
    },
  };
}

/** @param {Picture} picture @returns {Item[]} */
function typeItems({ types }) {
  const first = [...types].sort((one, other) => other.rate - one.rate || other.handled - one.handled).slice(0, MOST);
  const most = Math.max(1e-9, ...first.map((row) => row.rate));
  return first.map((row) => ({
    key: row.name, name: row.name, href: linkTo("try", row.name), share: row.rate / most,
    value: `${rate(row.rate)}/s`, tone: row.failure_rate > 0 ? "has-errors" : undefined,
    note: row.p99 === null ? "" : `p99 ${took(row.p99)}`,
  }));
}

/** @param {Picture} picture @returns {Item[]} */
function connectionItems({ connections }) {
  const first = connections.slice(0, MOST);
  const most = Math.max(1e-9, ...first.map((row) => row.received_rate));
  return first.map((row) => ({
    key: row.id, name: row.peer || row.id, href: linkTo("connections", row.id), share: row.received_rate / most,
    value: rateText(row, row.received_rate), note: row.software,
  }));
}

/** @param {import("../app/feed.js").ConnectionRow} row @param {number} value */
export function rateText(row, value) {
  return row.kind === "stream" ? `${bytes(value)}/s` : `${rate(value)}/s`;
}

/** A server without workers is one process, which has no number. @param {{ number: number, pid: number }} worker */
export function processName({ number, pid }) {
  return number > 0 ? `${t("worker")} ${number}` : `${t("process")} ${pid}`;
}

/** @param {Picture} picture @returns {Item[]} */
function workerItems({ workers }) {
  return workers.slice(0, MOST).map((row) => ({
    key: `${row.number}/${row.pid}`, name: processName(row), href: linkTo("workers"), share: row.processor,
    value: `${Math.round(100 * row.processor)} %`, note: `${whole(row.connections)} ⇄ · ${bytes(row.memory_bytes)}`,
    tone: row.state === "serving" ? undefined : "is-leaving",
  }));
}

/** @param {Picture} picture @returns {Item[]} */
function strikeItems({ strikes }) {
  const last = [...strikes].sort((one, other) => one.seconds_ago - other.seconds_ago).slice(0, MOST);
  return last.map((strike) => ({
    key: `${strike.kind}/${strike.name}`, name: strikeName(strike), href: linkTo("limits"), share: 0, tone: "is-strike",
    value: `× ${short(strike.count)}`, note: `${strikeAmount(strike.name, strike.allowed)} · ${t("ago", { age: age(strike.seconds_ago) })}`,
  }));
}

function countList() {
  const element = h("dl", { class: "figure-list" });
  /** @type {KeyedList<{ name: string, value: string }>} */
  const list = new KeyedList(element, (item) => item.name, (item) => {
    const value = h("dd", {});
    const made = h("div", {}, h("dt", {}, item.name), value);
    return { element: made, update: (now) => setText(value, now.value) };
  });
  return {
    element,
    /** @param {Picture} picture */
    update({ totals, seconds }) {
      list.show([
        { name: t("upFor"), value: age(seconds) },
        { name: t("accepted"), value: whole(totals.accepted) },
        { name: t("opened"), value: whole(totals.opened) },
        { name: t("failed"), value: whole(totals.failed) },
        ...Object.entries(totals.turned_away).map(([reason, count]) => (
          { name: `${t("turnedAway")}: ${reason}`, value: whole(count) })),
        { name: `${t("messages")}: ${t("received")}`, value: whole(totals.received_messages) },
        { name: `${t("messages")}: ${t("sent")}`, value: whole(totals.sent_messages) },
        { name: `${t("bytes")}: ${t("receivedGroup").toLowerCase()}`, value: bytes(totals.received_bytes) },
        { name: `${t("bytes")}: ${t("sentGroup").toLowerCase()}`, value: bytes(totals.sent_bytes) },
      ]);
    },
  };
}

/** @param {import("../app/history.js").KeptLine} line */
export function logLine(line) {
  const level = pill("level");
  level.update(line.level);
  return h("li", { class: `log-line ${line.level.replace(/[^a-z]/g, "")}` },
    h("time", {}, clock(line.time)), level.element,
    line.worker ? h("span", { class: "log-worker", title: t("worker") }, `#${line.worker}`) : null,
    h("span", { class: "log-text" }, line.text));
}
