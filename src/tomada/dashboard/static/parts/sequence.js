/**
 * What goes over one connection, as it goes: a line for each end, an arrow for each frame, and a bar while an end works
 * on a request of the other.
 *
 * @module
 */

// @ts-check

import { h, replace, setText, show } from "../app/dom.js";
import { bytes, offset, took, whole } from "../app/format.js";
import { maybe, t } from "../app/texts.js";

/** @typedef {import("../app/feed.js").FrameRow} FrameRow */

const MOST_ROWS = 400;
/** A silence of so many seconds is drawn. */
const QUIET = 1;
/** That close to its end, in pixels, the picture follows what comes. */
const NEAR_END = 60;
const ANSWERS = new Set(["reply", "error", "end"]);

export class Sequence {
  element;
  #rows = h("ol", { class: "frames", role: "list" });
  #scroll;
  #dropped = h("p", { class: "dropped", hidden: true });
  #news;
  /** Requests that are not answered yet, of each end: when they were asked. @type {Map<number, number>[]} */
  #open = [new Map(), new Map()];
  /** @type {FrameRow[]} */
  #waiting = [];
  #isPaused = false;
  #droppedCount = 0;
  #last = -1;
  #passedOver = 0;

  /** @param {() => void} resume is called when who looks wants to see what has come meanwhile */
  constructor(resume) {
    this.#scroll = h("div", { class: "sequence-scroll", tabindex: 0, role: "region", "aria-label": t("sequence") }, this.#dropped, this.#rows);
    this.#news = h("button", { type: "button", class: "button news", hidden: true, click: resume });
    this.element = h("div", { class: "sequence" },
      h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, t("peer")), h("span", {}, t("server"))),
      this.#scroll, this.#news);
  }

  get isEmpty() {
    return this.#rows.childElementCount === 0 && this.#waiting.length === 0;
  }

  /** Show nothing more, or go on with all that has come. @param {boolean} isPaused */
  pause(isPaused) {
    this.#isPaused = isPaused;
    if (!isPaused) this.add(this.#waiting.splice(0), 0);
    this.#showNews();
  }

  /** @param {FrameRow[]} frames @param {number} passedOver so many more there were before them */
  add(frames, passedOver) {
    this.#passedOver += passedOver;
    if (this.#isPaused) {
      this.#waiting.push(...frames);
      this.#dropFrom(this.#waiting);
      this.#showNews();
      return;
    }
    const isAtEnd = this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < NEAR_END;
    if (this.#passedOver > 0 && frames.length > 0) {
      for (const asked of this.#open) asked.clear(); // answers may have been among them
      this.#rows.append(this.#gap(t("passedOver", { count: this.#passedOver })));
      this.#passedOver = 0;
    }
    this.#rows.append(...frames.flatMap((frame) => this.#made(frame)));
    this.#trim();
    if (isAtEnd) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** @param {FrameRow[]} frames */
  #dropFrom(frames) {
    const tooMany = frames.length - MOST_ROWS;
    if (tooMany > 0) this.#passedOver += frames.splice(0, tooMany).length;
  }

  #trim() {
    while (this.#rows.childElementCount > MOST_ROWS) {
      this.#rows.firstElementChild?.remove();
      this.#droppedCount += 1;
    }
    show(this.#dropped, this.#droppedCount > 0);
    setText(this.#dropped, t("dropped", { count: this.#droppedCount }));
  }

  #showNews() {
    const count = this.#waiting.length + this.#passedOver;
    show(this.#news, this.#isPaused && count > 0);
    replace(this.#news, t("held_back", { count: count }));
  }

  /** @param {FrameRow} frame @returns {HTMLElement[]} */
  #made(frame) {
    const rows = [];
    if (this.#last >= 0 && frame.at - this.#last >= QUIET) {
      rows.push(this.#gap(t("quiet", { time: took(frame.at - this.#last) })));
    }
    this.#last = frame.at;
    const after = this.#follow(frame);
    rows.push(frameRow(frame, this.#work(frame), after));
    return rows;
  }

  /** Where nothing is drawn between the lines. @param {string} text */
  #gap(text) {
    return h("li", { class: `gap ${this.#work(null)}` },
      h("span", { class: "life peer" }), h("span", { class: "gap-text" }, text), h("span", { class: "life server" }));
  }

  /** Keep in mind what is asked and answered. @param {FrameRow} frame @returns {number | null} how long the answer took */
  #follow(frame) {
    if (frame.id === 0) return null;
    const isOne = frame.count === 1;
    if (frame.kind === "ask" && isOne) this.#open[Number(frame.is_received)].set(frame.id, frame.at);
    if (!ANSWERS.has(frame.kind)) return null;
    const asked = this.#open[Number(!frame.is_received)];
    const at = isOne ? asked.get(frame.id) : undefined;
    // A group of answers has one id: they are taken for those of the requests that have waited longest.
    for (const id of isOne ? [frame.id] : [...asked.keys()].slice(0, frame.count)) asked.delete(id);
    return at === undefined ? null : frame.at - at;
  }

  /** Which end works, and which waits, as classes; the frame that is just drawn begins or ends that. @param {FrameRow | null} frame */
  #work(frame) {
    const [ofServer, ofPeer] = this.#open;
    const isAnswer = frame !== null && ANSWERS.has(frame.kind);
    const words = [];
    if (ofPeer.size > 0) words.push("server-works");
    else if (isAnswer && !frame.is_received) words.push("server-worked");
    if (ofServer.size > 0) words.push("peer-works");
    else if (isAnswer && frame.is_received) words.push("peer-worked");
    if (frame?.kind === "ask" && (frame.is_received ? ofPeer : ofServer).size === 1) words.push("begins");
    return words.join(" ");
  }
}

/** @param {FrameRow} frame @param {string} work @param {number | null} after */
function frameRow(frame, work, after) {
  const way = frame.is_received ? "to-server" : "to-peer";
  const classes = ["frame", way, frame.lane, `is-${frame.kind}`, work, frame.is_repeated ? "repeated" : ""];
  const notes = [
    frame.count > 1 ? h("b", { class: "times", title: t("times", { count: whole(frame.count) }) }, `× ${whole(frame.count)}`) : null,
    frame.is_repeated ? h("span", { class: "again" }, `↻ ${t("repeated")}`) : null,
    frame.lane === "urgent" ? h("span", { class: "lane-mark" }, t("lane.urgent")) : null,
    after === null ? null : h("span", { class: "after", title: t("answered", { time: took(after) }) }, t("after", { time: took(after) })),
    h("span", { class: "size" }, bytes(frame.size)),
  ];
  const number = frame.id ? h("span", { class: "number", title: t("requests") }, `#${frame.id}`) : null;
  return h("li", { class: classes.filter(Boolean).map((word) => word.replace(/[^\w -]/g, "")).join(" ") },
    h("span", { class: "at" }, offset(frame.at)),
    h("span", { class: "life peer" }),
    h("span", { class: "arrow", title: `${maybe(`lane.${frame.lane}`, frame.lane)} ${frame.sequence || ""}`.trim() },
      h("span", { class: "what" },
        h("span", { class: "kind" }, frame.kind), frame.name ? h("span", { class: "name" }, frame.name) : null, number,
        ...notes),
      h("span", { class: "shaft" })),
    h("span", { class: "life server" }));
}
