/**
 * Values as they go over the wire of one session, and come.
 *
 * @module
 */

// @ts-check

import { Catalogue } from "./catalogue.js";
import { MessageError, RemoteError, TimedOut } from "./errors.js";
import { shown } from "./expressions.js";
import { HEADER_BYTES, Kind } from "./frames.js";
import { packer, unpacker } from "./packing.js";
import { Outflow, pour } from "./streams.js";

/**
 * @typedef {import("./expressions.js").Entry} Entry
 * @typedef {import("./expressions.js").Type} Type
 * @typedef {import("./session.js").Session} Session
 */

/** @type {Type} */
export const NOTHING = { is: "scalar", name: "None" };

export class Speech {
  /** What the server describes. */
  catalogue = new Catalogue();
  /** @type {Session} */
  #session;
  /** @type {Map<string, number>} */
  #numbers = new Map();
  /** @type {Entry[]} by their number at this end */
  #own = [];
  /** @type {Set<Outflow>} what goes item by item */
  #flows = new Set();

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  // To the wire.

  /** What this end has given that number, counted from 1. @param {number} type */
  own(type) {
    return this.#own[type - 1];
  }

  /** There may be room for items. */
  wake() {
    for (const flow of this.#flows) flow.wake();
  }

  /** This end's number of `entry`, which is declared with what it names when it is first used. @param {Entry} entry */
  number(entry) {
    const known = this.#numbers.get(entry.name);
    if (known !== undefined) return known;
    const added = this.catalogue.closure(entry).filter((one) => !this.#numbers.has(one.name));
    for (const one of added) this.#numbers.set(one.name, this.#own.push(one));
    // Word for word, but for `handled` (place 5): that is about the other end.
    this.#session.declare(added.map(({ raw }) => raw.map((item, at) => (at === 5 ? false : item))));
    return /** @type {number} */ (this.#numbers.get(entry.name));
  }

  /** @param {any} wire @param {string} what */
  packed(wire, what) {
    return this.#checked(packer.encode(wire), what);
  }

  /** @param {Uint8Array} payload @param {string} what */
  #checked(payload, what) {
    const { message } = this.#session.theirs;
    if (payload.length > message) throw new MessageError(`${what} has ${payload.length} bytes, and the server takes ${message}`);
    return payload;
  }

  /**
   * @param {number} id
   * @param {boolean} isUrgent
   * @param {Outflow} flow
   * @param {Type} type
   * @param {any} item
   * @param {string} what
   */
  #item(id, isUrgent, flow, type, item, what) {
    const { wire, entry } = this.catalogue.answerToWire(item, type, what);
    const payload = isBytes(type) ? this.#checked(wire, what) : this.packed(wire, what);
    this.#session.message(isUrgent, Kind.ITEM, entry ? this.number(entry) : 0, id, payload);
    flow.offset += HEADER_BYTES + payload.length;
  }

  /**
   * Send what `source` yields as the items of a request. Rejects with what it throws.
   *
   * @param {number} id
   * @param {boolean} isUrgent
   * @param {Outflow} flow
   * @param {any} source
   * @param {Type} type
   * @param {string} what
   * @returns {Promise<boolean>} whether it came to its end
   */
  async pour(id, isUrgent, flow, source, type, what) {
    this.#flows.add(flow);
    try {
      return await pour(flow, source, (item) => this.#item(id, isUrgent, flow, type, item, what));
    } finally {
      this.#flows.delete(flow);
    }
  }

  /** @param {boolean} isUrgent */
  outflow(isUrgent) {
    return new Outflow(this.#session.theirs.stream, () => this.#session.isStuffed(isUrgent));
  }

  // From the wire.

  /** @param {Type} expected @param {number} type @param {Uint8Array} payload @param {boolean} isItem bytes are raw there */
  value(expected, type, payload, isItem) {
    if (isItem && isBytes(expected)) return payload;
    const value = unpacker.decode(payload);
    const entry = type === 0 ? undefined : this.catalogue.entries[type - 1];
    return entry ? this.catalogue.structureFromWire(value, entry) : this.catalogue.fromWire(value, expected);
  }

  /** @param {number} type @param {Uint8Array} payload @returns {RemoteError | TimedOut} */
  remoteError(type, payload) {
    const value = /** @type {any} */ (unpacker.decode(payload));
    const entry = type === 0 ? undefined : this.catalogue.entries[type - 1];
    if (entry) {
      const fields = this.catalogue.structureFromWire(value, entry);
      const text = Object.entries(fields).map(([name, item]) => `${name}=${shown(item)}`).join(", ");
      return new RemoteError("error", entry.name, text, fields);
    }
    const [code, name = "", text = ""] = value;
    if (code === "deadline") return new TimedOut(text);
    return new RemoteError(code, name || code, text);
  }
}

/** @param {Type} type */
function isBytes(type) {
  return type.is === "scalar" && type.name === "bytes";
}
