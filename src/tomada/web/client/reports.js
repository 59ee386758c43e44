/**
 * What has come and is not handled yet: the server's credit, and what it is told of what was handled, follow from that.
 *
 * @module
 */

// @ts-check

import { Kind, viewOf } from "./frames.js";
import { Incoming } from "./lanes.js";
import { packer } from "./packing.js";

/** @typedef {{ lane: Incoming, isUrgent: boolean, first: number, last: number }} Origin Where a message came from. */

/** Credit is granted, and what was handled told, when such a part of the room has been used up, */
const PARTS = 4;
/** after so many frames, */
const FRAMES = 1_024;
/** or after so many milliseconds. */
const REPORT_PAUSE = 200;

export class Reports {
  normal;
  urgent;
  /** What the server holds of this end's messages at most: what it can send before it hears of what was handled. */
  theirBuffer = Infinity;
  #control;
  #mayTell;
  /** The normal lane's received bytes that were handled at the last report. */
  #told = 0;
  /** The last frames that had come at the last acknowledgement. */
  #normalSeen = 0;
  #urgentSeen = 0;
  /** Whether something was handled since the last report. */
  #hasNews = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {{ normal: number, urgent: number, message: number }} limits the room in each lane, and the longest message
   * @param {(kind: number, payload: Uint8Array) => void} control sends a control frame
   * @param {() => "no" | "later" | "yes"} mayTell whether the server may be told, and be given more credit, just now
   */
  constructor({ normal, urgent, message }, control, mayTell) {
    this.normal = new Incoming(normal, message);
    this.urgent = new Incoming(urgent, message);
    this.#control = control;
    this.#mayTell = mayTell;
  }

  /** The message is not handled yet. @param {Origin} origin @param {number} bytes */
  hold({ lane, first, last }, bytes) {
    lane.hold(last, first, bytes);
  }

  /** It is. @param {Origin} origin */
  release({ lane, last }) {
    lane.release(last);
    this.#hasNews = true;
  }

  /** How many messages are not handled. */
  get held() {
    return this.normal.held + this.urgent.held;
  }

  /** Tell the server what was handled, where that is worth a frame; else in a moment. @param {boolean} [atOnce] */
  report(atOnce = false) {
    const may = this.#mayTell();
    if (may === "no") return;
    const lane = this.normal;
    const part = this.#part(lane);
    const isMuch = lane.consumed - this.#told >= part || lane.since(this.#normalSeen) >= FRAMES;
    if (may === "later" || !(atOnce || isMuch || this.#hasNews)) {
      const isOld = lane.since(this.#normalSeen) > 0 || this.urgent.since(this.#urgentSeen) > 0;
      if (isOld || may === "later") this.#later();
      return;
    }
    this.#hasNews = false;
    const hasGrown = [lane.grow(atOnce ? 1 : part), this.urgent.grow(atOnce ? 1 : this.#part(this.urgent))].includes(true);
    this.#told = lane.consumed;
    if (hasGrown) this.tellCredit();
    if (atOnce || isMuch || hasGrown) this.acknowledge();
    else this.#later();
  }

  /** @param {Incoming} lane */
  #part(lane) {
    return Math.floor(Math.min(lane.window, this.theirBuffer) / PARTS);
  }

  #later() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.report(true);
    }, REPORT_PAUSE);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** How much may have been sent, in both lanes. */
  tellCredit() {
    const payload = new Uint8Array(16);
    viewOf(payload).setBigUint64(0, BigInt(this.normal.granted));
    viewOf(payload).setBigUint64(8, BigInt(this.urgent.granted));
    this.#control(Kind.CREDIT, payload);
  }

  /** What was handled, in both lanes. @param {boolean} [again] also where it was told before */
  acknowledge(again = false) {
    const normal = this.normal.handled();
    const urgent = this.urgent.handled();
    this.#normalSeen = this.normal.last;
    this.#urgentSeen = this.urgent.last;
    const isNews = [this.normal.isNews(normal), this.urgent.isNews(urgent)].includes(true);
    if (again || isNews) this.#control(Kind.ACKNOWLEDGE, packer.encode([normal, urgent]));
  }
}
