/**
 * Frames of a connection of this page, both ways, as they pass.
 *
 * @module
 */

// @ts-check

import { Catalogue } from "../tomada/client/catalogue.js";
import { HEADER_BYTES, Kind, METADATA, MORE, isMessage, joined, readFrame, viewOf } from "../tomada/client/frames.js";
import { unpacker } from "../tomada/client/packing.js";
import { described, metadataOf } from "./described.js";

/**
 * @typedef {import("../tomada/client/frames.js").Frame} Frame
 * @typedef {object} Seen One frame.
 * @property {number} at By `performance.now`.
 * @property {boolean} isReceived
 * @property {string} kind
 * @property {string} name Of its type; empty where it has none.
 * @property {"control" | "urgent" | "normal"} lane
 * @property {number} id
 * @property {number} sequence
 * @property {boolean} isPart Whether more of its message follows.
 * @property {Uint8Array} bytes Its header and the beginning of its payload.
 * @property {number} size
 * @property {() => any} decoded What it says; throws where that cannot be told.
 */

/** So much of one frame is kept to be looked at, */
const SHOWN_BYTES = 4_096;
/** and of a message in pieces, to be decoded. */
const MOST_JOINED = 1_048_576;
/** @type {Map<number, string>} */
const KINDS = new Map(Object.entries(Kind).map(([name, number]) => [number, name.toLowerCase()]));
const LANES = /** @type {const} */ (["control", "urgent", "normal"]);
const RESUME = 8;
const CATALOGUE = 4;
const HOLDS_ARRAY = new Set(/** @type {number[]} */ ([Kind.HELLO, Kind.WELCOME, Kind.DECLARE, Kind.ACKNOWLEDGE, Kind.GOODBYE]));

/** Both catalogues of one session, as they are told over its WebSockets. */
export class Tap {
  /** What the server describes. */
  theirs = new Catalogue();
  /** What this end does. */
  #ours = new Catalogue();
  /** Of requests of this end: what answers them. @type {Map<number, string>} */
  #asked = new Map();
  #seen;
  #renewed;

  /**
   * @param {(seen: Seen) => void} seen
   * @param {() => void} renewed The server's catalogue is there, or there is more of it.
   */
  constructor(seen, renewed) {
    this.#seen = seen;
    this.#renewed = renewed;
  }

  /** A class of WebSockets that this looks into. @returns {typeof WebSocket} */
  get WebSocket() {
    const tap = this;
    return class TappedWebSocket extends WebSocket {
      #came = new Cutter((frame, bytes) => tap.#passed(frame, bytes, true));
      #went = new Cutter((frame, bytes) => tap.#passed(frame, bytes, false));

      /** @param {string | URL} url @param {string | string[]} [protocols] */
      constructor(url, protocols) {
        super(url, protocols);
        this.addEventListener("message", ({ data }) => {
          if (data instanceof ArrayBuffer) this.#came.push(new Uint8Array(data));
        });
      }

      /** @param {any} data */
      send(data) {
        super.send(data);
        if (data instanceof Uint8Array) this.#went.push(data);
      }
    };
  }

  /** @param {Frame} frame @param {Uint8Array} bytes the whole of it @param {boolean} isReceived */
  #passed(frame, bytes, isReceived) {
    const { kind, flags, type, id, sequence } = frame;
    this.#learn(frame, isReceived);
    const name = this.#nameOf(frame, isReceived);
    const payload = bytes.slice(HEADER_BYTES, MOST_JOINED);
    this.#seen({
      at: performance.now(), isReceived, kind: KINDS.get(kind) ?? String(kind), name, id, sequence,
      lane: LANES[isMessage(kind) ? flags & 3 : 0] ?? "normal", isPart: (flags & MORE) !== 0,
      bytes: bytes.slice(0, SHOWN_BYTES), size: bytes.length,
      decoded: () => this.#decoded({ kind, flags, type }, payload, name, isReceived), // not with all that came at once
    });
  }

  /** @param {Frame} frame @param {boolean} isReceived */
  #learn({ kind, type, id, payload }, isReceived) {
    if (kind === Kind.HELLO || kind === Kind.WELCOME || kind === Kind.DECLARE) {
      const said = /** @type {any[]} */ (unpacker.decode(payload));
      if (kind === Kind.HELLO && !said[RESUME]) {
        this.theirs = new Catalogue();
        this.#ours = new Catalogue();
        this.#asked.clear();
      } else if (kind === Kind.WELCOME) this.theirs.add(said[CATALOGUE] ?? []);
      else if (kind === Kind.DECLARE) (isReceived ? this.theirs : this.#ours).add(said);
      if (isReceived) this.#renewed();
    }
    if (kind === Kind.ASK && !isReceived) this.#asked.set(id, this.#ours.entries[type - 1]?.name ?? "");
  }

  /** @param {Frame} frame @param {boolean} isReceived */
  #nameOf({ kind, type, id }, isReceived) {
    if (!isMessage(kind)) return "";
    const named = type > 0 ? (isReceived ? this.theirs : this.#ours).entries[type - 1]?.name : "";
    return named || (isReceived ? this.#asked.get(id) ?? "" : "");
  }

  /**
   * @param {Pick<Frame, "kind" | "flags" | "type">} frame
   * @param {Uint8Array} payload
   * @param {string} name
   * @param {boolean} isReceived
   */
  #decoded({ kind, flags, type }, payload, name, isReceived) {
    if (payload.length === 0) return null;
    if (HOLDS_ARRAY.has(kind)) return described(kind, plain(unpacker.decode(payload)));
    if (kind === Kind.CREDIT) return creditOf(payload);
    if (!isMessage(kind)) return payload;
    if (flags & MORE) return payload;
    const start = flags & METADATA ? 2 + payload[0] * 256 + payload[1] : 0;
    const value = unpacker.decode(payload.subarray(start));
    const entry = type > 0 ? (isReceived ? this.theirs : this.#ours).entries[type - 1] : undefined;
    if (!entry) return this.#answer(kind, name, plain(value));
    // The server's catalogue knows all types that this end uses: it has them from there.
    const message = this.theirs.structureFromWire(value, this.theirs.byName.get(entry.name) ?? entry);
    return start ? { ...metadataOf(plain(unpacker.decode(payload.subarray(2, start)))), message } : message;
  }

  /** @param {number} kind @param {string} name @param {any} value */
  #answer(kind, name, value) {
    const entry = this.theirs.byName.get(name);
    const type = kind === Kind.REPLY ? entry?.reply : kind === Kind.ITEM ? entry?.items : null;
    return type ? this.theirs.fromWire(value, type) : value;
  }
}

/** What comes, or goes, cut into frames. */
class Cutter {
  #rest = new Uint8Array(0);
  #found;

  /** @param {(frame: Frame, bytes: Uint8Array) => void} found */
  constructor(found) {
    this.#found = found;
  }

  /** @param {Uint8Array} bytes */
  push(bytes) {
    const all = this.#rest.length > 0 ? joined([this.#rest, bytes]) : bytes;
    const view = viewOf(all);
    let place = 0;
    for (let frame = readFrame(view, place); frame; frame = readFrame(view, place)) {
      const end = place + HEADER_BYTES + frame.payload.length;
      this.#found(frame, all.subarray(place, end));
      place = end;
    }
    this.#rest = all.slice(place);
  }
}

/** @param {Uint8Array} payload */
function creditOf(payload) {
  const view = viewOf(payload);
  const [first, second] = [0, 8].map((at) => (at < payload.length ? view.getBigUint64(at) : null));
  return second === null ? { stream: first } : { normal: first, urgent: second };
}

/** @param {any} value @returns {any} with numbers where a number is enough */
export function plain(value) {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}
