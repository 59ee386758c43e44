/**
 * The table of connections: the server searches and sorts, and one page of it comes.
 *
 * @module
 */

// @ts-check

import { h, replace, setAttribute, setText, show } from "../app/dom.js";
import { briefAge, bytes, short, took, whole } from "../app/format.js";
import { linkTo } from "../app/route.js";
import { t } from "../app/texts.js";
import { firstCommand } from "../parts/addresses.js";
import { closeAsked } from "../parts/acting.js";
import { bar, button, command, empty, iconButton, pill, searchField } from "../parts/controls.js";
import { Table } from "../parts/table.js";
import { rateText } from "./overview.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Picture} Picture
 * @typedef {import("./view.js").Context} Context
 * @typedef {import("../app/feed.js").ConnectionRow} ConnectionRow
 */

const ROWS = 50;
/** After the last key, in milliseconds: not every letter is a question to the server. */
const SEARCH_PAUSE = 200;
/** Letters of a peer's name that are always shown. */
const TAIL = 16;

/** What was chosen stays while other pages are looked at. */
const chosen = { query: "", sort: "peer", descending: false, first: 0 };

/** @implements {View} */
export class Connections {
  element;
  #context;
  #table;
  #count = h("span", { class: "count", role: "status" });
  #hint = h("div", { class: "hint" });
  #hintFor = "";
  #pager;
  #search;
  #matching = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Context} context */
  constructor(context) {
    this.#context = context;
    this.#table = new Table(t("connections"), columns(context), (row) => row.id, {
      sort: chosen.sort, isDescending: chosen.descending, class: "connections", changed: () => this.#sorted(),
    });
    this.#search = searchField(t("searchConnections"), (text) => this.#typed(text));
    this.#search.input.value = chosen.query;
    this.#pager = pager((first) => {
      chosen.first = first;
      context.changed();
    });
    this.element = h("div", { class: "page" },
      h("div", { class: "toolbar" }, this.#search.element, this.#table.sortChoice(), this.#count, this.#pager.element),
      this.#table.element, this.#hint);
  }

  get watch() {
    return { ...chosen, count: ROWS };
  }

  title() {
    return t("connections");
  }

  /** @param {string} text */
  #typed(text) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      chosen.query = text;
      chosen.first = 0;
      this.#context.changed();
    }, SEARCH_PAUSE);
  }

  #sorted() {
    Object.assign(chosen, { sort: this.#table.sort, descending: this.#table.isDescending, first: 0 });
    this.#context.changed();
  }

  /** @param {Picture} picture @param {import("./view.js").Watch} watch */
  update(picture, watch) {
    const { matching, connections, totals } = picture;
    if (watch.count !== ROWS) return; // it answers what another page asked
    if (chosen.first > 0 && matching <= chosen.first) { // that page is gone
      chosen.first = lastPage(matching);
      this.#context.changed();
    }
    this.#matching = matching;
    this.#table.show(connections);
    this.#table.element.classList.toggle("one-process", picture.workers.length < 2);
    const all = totals.connections + totals.streams;
    const values = { count: matching, shown: whole(matching), all: whole(all) };
    setText(this.#count, t(watch.query ? "matchingOf" : "matching", values));
    this.#pager.update(watch.first ?? 0, connections.length, matching);
    show(this.#table.element, connections.length > 0);
    show(this.#hint, connections.length === 0);
    this.#showHint(picture, watch.query ?? "");
  }

  /** @param {Picture} picture @param {string} query */
  #showHint(picture, query) {
    const count = picture.workers.reduce((sum, worker) => sum + worker.children, 0);
    const wanted = this.#matching > 0 ? "" : `${query}/${count}/${picture.addresses.join()}`;
    if (wanted === this.#hintFor) return;
    this.#hintFor = wanted;
    if (!wanted) replace(this.#hint);
    else if (query) replace(this.#hint, empty(t("noMatch", { query }), button(t("clear"), () => this.#clear())));
    else if (count > 0) replace(this.#hint, empty(t("inChildren"), t("inChildrenHint", { count })));
    else replace(this.#hint, empty(t("noConnection"), t("noConnectionHint"), command(firstCommand(picture))));
  }

  #clear() {
    this.#search.input.value = "";
    this.#typed("");
    this.#search.input.focus();
  }

  dispose() {
    clearTimeout(this.#timer);
  }
}

/** Where the last page begins. @param {number} matching */
function lastPage(matching) {
  return ROWS * Math.max(0, Math.ceil(matching / ROWS) - 1);
}

/** @param {(first: number) => void} turned */
function pager(turned) {
  let first = 0;
  let matching = 0;
  const buttons = [
    iconButton("first", t("firstPage"), () => turned(0)),
    iconButton("back", t("previousPage"), () => turned(Math.max(0, first - ROWS))),
    iconButton("next", t("nextPage"), () => turned(Math.min(lastPage(matching), first + ROWS))),
    iconButton("last", t("lastPage"), () => turned(lastPage(matching))),
  ];
  const where = h("span", { class: "where" });
  const element = h("div", { class: "pager", role: "group", "aria-label": t("pages") },
    buttons[0], buttons[1], where, buttons[2], buttons[3]);
  return {
    element,
    /** @param {number} from @param {number} count @param {number} of */
    update(from, count, of) {
      first = from;
      matching = of;
      show(element, of > ROWS);
      setText(where, t("rows", { first: whole(from + Math.min(1, count)), last: whole(from + count), all: whole(of) }));
      buttons.forEach((one, at) => { one.disabled = at < 2 ? from === 0 : from + count >= of; });
    },
  };
}

/** @param {Context} context @returns {import("../parts/table.js").Column<ConnectionRow>[]} */
function columns(context) {
  const [received, sent] = [t("receivedGroup"), t("sentGroup")];
  return [
    { name: "peer", label: t("peer"), sorts: true, class: "peer", make: peerCell },
    { name: "state", label: t("state"), sorts: true, class: "state", make: stateCell },
    { name: "age", label: t("age"), sorts: true, class: "number", text: (row) => briefAge(row.age) },
    { name: "received_messages", label: t("messagesColumn"), group: received, mark: "↓", sorts: true, class: "number in", text: (row) => short(row.received_messages) },
    { name: "received_bytes", label: t("bytes"), group: received, mark: "↓", sorts: true, class: "number in", text: (row) => bytes(row.received_bytes) },
    { name: "received_rate", label: t("rate"), group: received, mark: "↓", sorts: true, class: "number in strong", hint: t("perSecond"), text: (row) => rateText(row, row.received_rate) },
    { name: "sent_messages", label: t("messagesColumn"), group: sent, mark: "↑", sorts: true, class: "number out", text: (row) => short(row.sent_messages) },
    { name: "sent_bytes", label: t("bytes"), group: sent, mark: "↑", sorts: true, class: "number out", text: (row) => bytes(row.sent_bytes) },
    { name: "sent_rate", label: t("rate"), group: sent, mark: "↑", sorts: true, class: "number out strong", hint: t("perSecond"), text: (row) => rateText(row, row.sent_rate) },
    { name: "waiting_bytes", label: t("queues"), sorts: true, class: "number queues", make: (cell) => queueCell(cell, context) },
    { name: "round_trip", label: t("roundTrip"), sorts: true, class: "number", text: (row) => took(row.round_trip) },
    { name: "handlers", label: t("handlers"), sorts: true, class: "number", hint: `${t("handlers")} / ${t("requests")}`, text: (row) => `${whole(row.handlers)} / ${whole(row.requests)}` },
    { name: "worker", label: t("workerColumn"), sorts: true, class: "number worker", text: (row) => (row.worker ? whole(row.worker) : "") },
    { name: "act", label: "", class: "act", make: (cell, row) => actCell(cell, row, context) },
  ];
}

/** @param {HTMLTableCellElement} cell @param {ConnectionRow} first */
function peerCell(cell, first) {
  // Where there is no room the middle is left out: the ends tell peers apart.
  const [head, tail] = [h("span", { class: "head" }), h("span", { class: "tail" })];
  const link = h("a", { href: linkTo("connections", first.id), "data-row": true }, head, tail);
  const note = h("span", { class: "note" });
  cell.append(link, note);
  return (/** @type {ConnectionRow} */ row) => {
    const name = row.peer || row.id;
    setText(head, name.slice(0, -TAIL));
    setText(tail, name.slice(-TAIL));
    setAttribute(link, "title", name);
    const words = [row.software, row.resumed > 0 ? `↻ ${whole(row.resumed)}` : ""].filter(Boolean).join(" · ");
    setText(note, words);
    setAttribute(note, "title", `${row.software} → ${row.address}`);
  };
}

/** @param {HTMLTableCellElement} cell */
function stateCell(cell) {
  const state = pill("state");
  const kind = h("span", { class: "pill kind" }, t("kind.stream"));
  cell.append(state.element, kind);
  return (/** @type {ConnectionRow} */ row) => {
    state.update(row.state);
    show(kind, row.kind === "stream");
  };
}

/** @param {HTMLTableCellElement} cell @param {Context} context */
function queueCell(cell, context) {
  const bars = queueBars();
  cell.append(bars.element);
  return (/** @type {ConnectionRow} */ row) => bars.update(row, context.settings.buffer_bytes ?? 0);
}

/** What waits in each direction, and what is not handled, each against what may. */
function queueBars() {
  const waiting = bar(t("waiting"), "out");
  const unacknowledged = bar(t("unacknowledged"), "out faint");
  const held = bar(t("held"), "in");
  const text = h("span", { class: "queue-text" });
  return {
    element: h("span", { class: "queue" }, h("span", { class: "bars" }, waiting.element, unacknowledged.element, held.element), text),
    /** @param {ConnectionRow} row @param {number} room */
    update(row, room) {
      const most = room || Math.max(1, row.waiting_bytes, row.unacknowledged_bytes, row.held_bytes);
      waiting.update(row.waiting_bytes / most, bytes(row.waiting_bytes));
      unacknowledged.update(row.unacknowledged_bytes / most, bytes(row.unacknowledged_bytes));
      held.update(row.held_bytes / most, bytes(row.held_bytes));
      setText(text, row.waiting_bytes > 0 ? bytes(row.waiting_bytes) : "");
    },
  };
}

/** @param {HTMLTableCellElement} cell @param {ConnectionRow} first @param {Context} context */
function actCell(cell, first, context) {
  const close = iconButton("close", `${t("closeConnection")} (${first.peer})`, () => closeAsked(context.feed, first), "danger");
  cell.append(close);
  return () => show(close, context.picture?.may_act ?? false);
}
