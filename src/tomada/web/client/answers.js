/**
 * What the server sends and asks: handlers of the page take it.
 *
 * @module
 */

// @ts-check

import { MessageError, TimedOut, TomadaError } from "./errors.js";
import { shown } from "./expressions.js";
import { Kind } from "./frames.js";
import { packer, unpacker } from "./packing.js";
import { NOTHING } from "./speech.js";
import { Inflow, Outflow } from "./streams.js";

/**
 * @typedef {import("./expressions.js").Entry} Entry
 * @typedef {import("./reports.js").Origin} Origin
 *
 * @typedef {object} Answering One request of the server.
 * @property {Entry} entry
 * @property {boolean} isUrgent
 * @property {AbortController} controller
 * @property {Inflow | null} parts
 * @property {Outflow | null} items
 *
 * @typedef {object} Handlers
 * @property {(entry: Entry, value: any) => Promise<void> | boolean} message When it is handled; or whether it was.
 * @property {(entry: Entry, value: any, parts: Inflow | null) => any} request Undefined where nobody handles it.
 */

/** The platform's timers take no more milliseconds: that is 24 days. */
const LONGEST_TIMER = 0x7fff_ffff;

export class Answers {
  /** @type {import("./session.js").Session} */
  #session;
  /** @type {import("./speech.js").Speech} */
  #speech;
  /** @type {Handlers} */
  #handlers;
  /** @type {Map<number, Answering>} */
  #answering = new Map();

  /** @param {import("./session.js").Session} session @param {import("./speech.js").Speech} speech @param {Handlers} handlers */
  constructor(session, speech, handlers) {
    this.#session = session;
    this.#speech = speech;
    this.#handlers = handlers;
  }

  /** How many requests of the server are open. */
  get size() {
    return this.#answering.size;
  }

  /** @param {number} id */
  get(id) {
    return this.#answering.get(id);
  }

  /** All that are open, by their ids. */
  entries() {
    return [...this.#answering];
  }

  /** @param {number} type @param {number} id @param {Uint8Array} payload @param {Origin} origin */
  sent(type, id, payload, origin) {
    if (id) throw new TomadaError(`a one-way message carries the request id ${id}`);
    const read = this.#read(type, 0, payload);
    if (!read) return;
    const outcome = this.#handlers.message(read.entry, read.value);
    if (outcome === false) this.#refuse(0, false, ["unknown type", read.entry.name, `nobody handles ${read.entry.name} here`]);
    if (typeof outcome === "boolean") return;
    this.#session.hold(origin, payload.length);
    outcome.finally(() => this.#session.release(origin));
  }

  /**
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @param {Origin} origin
   * @param {{ d?: number | bigint }} metadata
   */
  asked(type, id, payload, origin, { d: deadline }) {
    if (id === 0 || id % 2 === 1 || this.#answering.has(id)) throw new TomadaError(`the server asks with the id ${id}, which it may not use`);
    const { requests } = this.#session.own;
    if (this.#answering.size >= requests) throw new TomadaError(`more than ${requests} requests of the server are open`);
    const { isUrgent } = origin;
    const read = this.#read(type, id, payload);
    if (!read) return;
    const { entry, value } = read;
    const controller = new AbortController();
    /** @type {Answering} */
    const answering = { entry, isUrgent, controller, parts: this.#parts(id, entry), items: null };
    const answer = this.#handlers.request(entry, Object.defineProperty(value, "signal", { value: controller.signal }), answering.parts);
    if (answer === undefined) {
      this.#refuse(id, isUrgent, ["unknown type", entry.name, `nobody handles ${entry.name} here`]);
      return;
    }
    this.#answering.set(id, answering);
    this.#session.hold(origin, payload.length);
    const isTimed = deadline != null && deadline <= LONGEST_TIMER;
    const late = isTimed ? new TimedOut(`no reply within the ${deadline} ms that the server gave it`) : null;
    const timer = isTimed ? setTimeout(() => this.stop(id, late), Number(deadline)) : 0;
    answer
      .then((/** @type {any} */ reply) => this.#reply(id, answering, reply))
      .catch((/** @type {any} */ error) => {
        if (late && controller.signal.reason === late) this.#refuse(id, isUrgent, ["deadline", "", late.message]);
        else if (controller.signal.aborted) this.#refuse(id, isUrgent, ["cancelled", "", ""]);
        else this.#refuse(id, isUrgent, ["raised", error?.name ?? "Error", error?.message ?? String(error)]);
      })
      .finally(() => {
        clearTimeout(timer);
        answering.parts?.end({ error: new TomadaError("the request was answered") });
        this.#answering.delete(id);
        this.#session.release(origin);
      });
  }

  /** @param {number} id @param {Entry} entry */
  #parts(id, entry) {
    const type = entry.parts;
    if (!type) return null;
    return new Inflow(
      this.#session.own.stream,
      (number, payload) => this.#speech.value(type, number, payload, true),
      (credit) => {
        if (this.#answering.has(id)) this.#session.tellStreamCredit(id, credit);
      },
      () => {},
    );
  }

  /** @param {number} type @param {Uint8Array} payload @param {number} id @returns {{ entry: Entry, value: any } | null} */
  #read(type, id, payload) {
    const entry = this.#speech.catalogue.entries[type - 1];
    try {
      if (!entry) throw new TomadaError(`the server sent a type of the number ${type}, which it has not described`);
      return { entry, value: this.#speech.catalogue.structureFromWire(unpacker.decode(payload), entry) };
    } catch (error) {
      this.#refuse(id, false, ["invalid", entry?.name ?? "", String(error)]);
      return null;
    }
  }

  /** Nobody wants the server's request answered any more. @param {number} id @param {unknown} reason */
  stop(id, reason) {
    const answering = this.#answering.get(id);
    if (!answering || answering.controller.signal.aborted) return;
    answering.controller.abort(reason);
    answering.items?.stop();
    answering.parts?.end({ error: reason });
  }

  /** @param {number} id @param {boolean} isUrgent @param {string[]} failure */
  #refuse(id, isUrgent, failure) {
    if (this.#session.state !== "closed") this.#session.message(isUrgent, Kind.ERROR, 0, id, packer.encode(failure));
  }

  /** @param {number} id @param {Answering} answering @param {any} reply */
  async #reply(id, answering, reply) {
    const { entry, isUrgent } = answering;
    const session = this.#session;
    if (!entry.items) {
      const what = `the reply to ${entry.name}`;
      const { wire, entry: message } = this.#speech.catalogue.answerToWire(reply, entry.reply ?? NOTHING, what);
      const payload = this.#speech.packed(wire, what);
      if (session.state !== "closed") session.message(isUrgent, Kind.REPLY, message ? this.#speech.number(message) : 0, id, payload);
      return;
    }
    const { items, name } = entry;
    if (!reply?.[Symbol.asyncIterator] && !reply?.[Symbol.iterator]) {
      throw new MessageError(`the handler of ${name} must give an async iterable of items, it gave ${shown(reply)}`);
    }
    const flow = answering.items = this.#speech.outflow(isUrgent);
    if (answering.controller.signal.aborted) flow.stop();
    const isWhole = await this.#speech.pour(id, isUrgent, flow, reply, items, `an item of ${name}`);
    if (!isWhole) throw answering.controller.signal.reason;
    if (session.state !== "closed") session.message(isUrgent, Kind.END, 0, id);
  }
}
