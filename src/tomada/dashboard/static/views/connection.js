/**
 * One connection: its figures, and what goes over it.
 *
 * @module
 */

// @ts-check

import { h, replace, setText, show } from "../app/dom.js";
import { NONE, age, bytes, rate, took, whole } from "../app/format.js";
import { go, linkTo } from "../app/route.js";
import { maybe, t } from "../app/texts.js";
import { closeAsked } from "../parts/acting.js";
import { Chart } from "../parts/chart.js";
import { bar, button, empty, pill } from "../parts/controls.js";
import { icon } from "../parts/icons.js";
import { Sequence } from "../parts/sequence.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Picture} Picture
 * @typedef {import("./view.js").Context} Context
 * @typedef {import("../app/feed.js").ConnectionRow} ConnectionRow
 */

/** After so many messages without a frame none will come. */
const MANY = 5;

/** @implements {View} */
export class ConnectionPage {
  element;
  #context;
  #id;
  /** @type {ConnectionRow | null} */
  #row = null;
  #isPaused = false;
  /** What had gone when it was first seen. @type {number | null} */
  #firstMessages = null;
  #name = h("h2", { class: "connection-name" });
  #state = pill("state");
  #ended = h("p", { class: "banner", role: "status", hidden: true }, t("ended"));
  #unknown = h("div", { hidden: true }, empty(
    t("unknownConnection"), t("unknownConnectionHint"), h("a", { class: "button", href: linkTo("connections") }, t("back"))));
  #close;
  #pause;
  #figures = figures();
  #chart = new Chart(t("messagesNow"), [{ label: t("received"), tone: "in" }, { label: t("sent"), tone: "out" }], rate);
  #queues = queuePanel();
  #sequence = new Sequence(() => this.#setPaused(false));
  #noFrames = h("div", {}, empty(t("noFrames"), t("noFramesHint")));
  #body;

  /** @param {Context} context @param {string} id */
  constructor(context, id) {
    this.#context = context;
    this.#id = id;
    this.#close = button(t("closeConnection"), () => this.#row && closeAsked(context.feed, this.#row), { tone: "danger", icon: "close" });
    this.#pause = h("button", { type: "button", class: "button", click: () => this.#setPaused(!this.#isPaused) });
    this.#body = h("div", { class: "connection-body" },
      h("div", { class: "stack" },
        h("section", { class: "panel", "aria-label": t("connection") }, this.#figures.element),
        h("section", { class: "panel", "aria-label": t("messagesRate") }, h("h2", {}, t("messagesRate")), this.#chart.element),
        h("section", { class: "panel", "aria-label": t("queues") }, h("h2", {}, t("queues")), this.#queues.element)),
      h("section", { class: "panel wide", "aria-label": t("sequence") },
        h("h2", {}, t("sequence"), h("span", { class: "legend" },
          ...["normal", "urgent", "control"].map((lane) => h("span", { class: `lane ${lane}` }, maybe(`lane.${lane}`, lane)))), this.#pause),
        this.#noFrames, this.#sequence.element));
    this.element = h("div", { class: "page connection-page" },
      h("div", { class: "connection-head" },
        h("a", { class: "icon-button", href: linkTo("connections"), "aria-label": t("back"), title: t("back") }, icon("back")),
        this.#name, this.#state.element, this.#close),
      this.#ended, this.#unknown, this.#body);
    this.#setPaused(false);
  }

  get watch() {
    return { count: 0, connection: this.#id };
  }

  title() {
    return this.#row?.peer || this.#id;
  }

  heading() {
    return t("connection");
  }

  back() {
    go("connections");
    return true;
  }

  /** The page's own pause is one of the frames, too. @param {boolean} isPaused */
  pause(isPaused) {
    this.#setPaused(isPaused);
  }

  /** @param {Picture} picture @param {import("./view.js").Watch} watch */
  came(picture, watch) {
    if (watch.connection !== this.#id || !picture.looked_at) return;
    this.#sequence.add(picture.frames, picture.frames_passed_over);
    this.#showSequence(picture.looked_at);
  }

  /** @param {boolean} isPaused */
  #setPaused(isPaused) {
    this.#isPaused = isPaused;
    replace(this.#pause, icon(isPaused ? "play" : "pause"), h("span", {}, t(isPaused ? "goOn" : "pause")));
    this.#sequence.pause(isPaused);
  }

  /** @param {Picture} picture @param {import("./view.js").Watch} watch */
  update(picture, watch) {
    if (watch.connection !== this.#id) return; // it answers what another page asked
    const row = picture.looked_at;
    show(this.#ended, !row && this.#row !== null);
    show(this.#unknown, !row && this.#row === null);
    show(this.#body, this.#row !== null || row !== null);
    show(this.#close, row !== null && picture.may_act);
    if (!row) {
      this.#state.update("closed");
      if (!this.#row) setText(this.#name, this.#id);
      return;
    }
    this.#row = row;
    setText(this.#name, row.peer || row.id);
    this.#state.update(row.state);
    this.#figures.update(row);
    this.#queues.update(row, this.#context.settings.buffer_bytes ?? 0);
    this.#chart.update(this.#context.history.connection.rates, picture.time);
  }

  /** @param {ConnectionRow} row */
  #showSequence(row) {
    const { isEmpty } = this.#sequence;
    this.#firstMessages ??= row.received_messages + row.sent_messages;
    if (isEmpty && row.kind === "stream") replace(this.#noFrames, empty(t("bytesOnly")));
    else if (isEmpty && row.received_messages + row.sent_messages > this.#firstMessages + MANY) {
      replace(this.#noFrames, empty(t("unseenFrames"), t("unseenFramesHint")));
    }
    show(this.#noFrames, isEmpty);
    show(this.#sequence.element, !isEmpty);
  }
}

/** @returns {[string, (row: ConnectionRow) => string][]} */
function figureRows() {
  return [
    [t("received"), (row) => `${whole(row.received_messages)} · ${bytes(row.received_bytes)}`],
    [t("sent"), (row) => `${whole(row.sent_messages)} · ${bytes(row.sent_bytes)}`],
    [t("roundTrip"), (row) => took(row.round_trip)],
    [t("handlers"), (row) => whole(row.handlers)],
    [t("requests"), (row) => whole(row.requests)],
    [t("age"), (row) => age(row.age)],
    [t("resumed"), (row) => (row.resumed ? `↻ ${whole(row.resumed)}` : NONE)],
    [t("kind"), (row) => maybe(`kind.${row.kind}`, row.kind)],
    [t("software"), (row) => row.software || NONE],
    [t("address"), (row) => row.address],
    [t("worker"), (row) => (row.worker ? whole(row.worker) : NONE)],
    [t("identity"), (row) => row.id],
  ];
}

function figures() {
  const rows = figureRows().map(([name, text]) => ({ name, text, value: h("dd", {}) }));
  return {
    element: h("dl", { class: "figure-list" }, ...rows.map(({ name, value }) => h("div", {}, h("dt", {}, name), value))),
    /** @param {ConnectionRow} row */
    update: (row) => rows.forEach(({ text, value }) => setText(value, text(row))),
  };
}

function queuePanel() {
  const rows = /** @type {const} */ ([
    ["waiting_bytes", t("waiting"), t("waitingHint"), "out"],
    ["unacknowledged_bytes", t("unacknowledged"), t("unacknowledgedHint"), "out faint"],
    ["held_bytes", t("held"), t("heldHint"), "in"],
    ["credit_bytes", t("credit"), t("creditHint"), "neutral"],
  ]).map(([name, label, hint, tone]) => ({ name, label, hint, bar: bar(label, tone), value: h("span", { class: "value" }) }));
  const element = h("ul", { class: "queue-list" }, ...rows.map((row) => h("li", { title: row.hint },
    h("span", { class: "name" }, row.label), row.bar.element, row.value, h("span", { class: "note" }, row.hint))));
  return {
    element,
    /** @param {ConnectionRow} row @param {number} room */
    update(row, room) {
      for (const { name, bar: made, value } of rows) {
        const size = row[name];
        made.update(size / (room || Math.max(1, size)), bytes(size));
        setText(value, bytes(size));
      }
    },
  };
}
