/**
 * One WebSocket: what comes, cut into frames; what goes, as fast as the browser takes it.
 *
 * A browser's WebSocket takes everything that it is given and keeps it, so what is given to it cannot be overtaken any
 * more. Only a little is given, therefore, and the rest waits here. A WebSocket does not tell when it has room: it is
 * asked now and then by a timer, and, as the timers of a page that is not seen hardly run, by a ping behind what it was
 * given, whose answer says that all that has arrived.
 *
 * @module
 */

// @ts-check

import { TomadaError } from "./errors.js";
import {
  ACKNOWLEDGE_BYTES, CONTROL_BYTES, DECLARED_BYTES, FRAME_BYTES, HEADER_BYTES, Kind, WELCOME_BYTES,
  controlFrame, isMessage, joined, readFrame, viewOf,
} from "./frames.js";

/** So much may wait in the browser. */
const BROWSER_BYTES = 131_072;
/** So often, in milliseconds, the browser is asked whether it has room. */
const BUFFER_CHECK = 4;
/** A timer that is so late, in milliseconds, was held back, and so may be what has come meanwhile. */
const HELD_BACK = 1_000;
/** The payload of a ping that asks whether all before it has arrived. */
const MARK = new Uint8Array([1]);
const LONGEST_REASON = 100;

/**
 * @typedef {object} Driver
 * @property {() => void} opened The WebSocket is open.
 * @property {(frame: import("./frames.js").Frame) => void} frame Throws what ends all.
 * @property {() => void} settle All frames that had come were given.
 * @property {() => Uint8Array | null} take The next bytes to send.
 * @property {() => boolean} isWaiting Whether there are any.
 * @property {(reason: string) => void} lost Called once, unless this end has closed it.
 * @property {(error: unknown) => void} violated What came breaks the protocol.
 */

export class Wire {
  isClosed = false;
  /** Whether anything has come. */
  hasHeard = false;
  /** @type {WebSocket} */
  #socket;
  /** @type {Driver} */
  #driver;
  #isScheduled = false;
  #isMarked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #check;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #beat;
  #heardAt = 0;
  #rest = new Uint8Array(0);

  /** @param {WebSocket} socket @param {Driver} driver */
  constructor(socket, driver) {
    this.#socket = socket;
    this.#driver = driver;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => driver.opened();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event);
  }

  // Out.

  /** Something waits: it goes, together with all that is queued in this turn. */
  wake() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  /** Give the browser what waits, as long as it has room. */
  flush() {
    const socket = this.#socket;
    clearTimeout(this.#check);
    while (socket.readyState === 1 && socket.bufferedAmount < BROWSER_BYTES) {
      const out = this.#driver.take();
      if (!out) return;
      socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (out));
    }
    if (socket.readyState !== 1 || !this.#driver.isWaiting()) return;
    if (!this.#isMarked) {
      this.#isMarked = true;
      socket.send(controlFrame(Kind.PING, MARK));
    }
    this.#check = setTimeout(() => this.flush(), BUFFER_CHECK);
  }

  /** The last word: all that waits, whether the browser has room or not, and the end. @param {string} [violation] */
  close(violation) {
    if (this.isClosed) return;
    const socket = this.#socket;
    if (socket.readyState === 1) {
      for (let out = this.#driver.take(); out; out = this.#driver.take()) socket.send(/** @type {any} */ (out));
    }
    this.#leave();
    if (violation === undefined) socket.close(1000);
    else socket.close(4000, cut(violation));
  }

  /** Nothing goes any more: the connection is given up. @param {string} reason */
  abandon(reason) {
    if (this.isClosed) return;
    this.#leave();
    this.#socket.close(4000, cut(reason));
    this.#driver.lost(reason);
  }

  #leave() {
    this.isClosed = true;
    clearTimeout(this.#check);
    clearTimeout(this.#beat);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
  }

  // In.

  /** @param {ArrayBuffer | string} data */
  #receive(data) {
    this.#heardAt = performance.now();
    this.hasHeard = true;
    try {
      if (typeof data === "string") throw new TomadaError("the server sent text, and this protocol is binary");
      const bytes = this.#rest.length > 0 ? joined([this.#rest, new Uint8Array(data)]) : new Uint8Array(data);
      this.#rest = bytes.slice(this.#frames(bytes));
    } catch (error) {
      this.#driver.violated(error);
    }
    if (this.isClosed) return;
    this.#driver.settle();
    this.flush();
  }

  /** Give every whole frame. @param {Uint8Array} bytes @returns {number} where the first one begins that is not */
  #frames(bytes) {
    const view = viewOf(bytes);
    let place = 0;
    while (!this.isClosed && bytes.length - place >= HEADER_BYTES) {
      checkLength(view.getUint8(place + 4), view.getUint32(place));
      const frame = readFrame(view, place);
      if (!frame) break;
      place += HEADER_BYTES + frame.payload.length;
      if (frame.kind === Kind.PONG && frame.payload.length === MARK.length) this.#isMarked = false;
      this.#driver.frame(frame);
    }
    return place;
  }

  /** @param {CloseEvent} event */
  #closed(event) {
    if (this.isClosed) return;
    this.#leave();
    const isTold = event.reason || (event.code !== 1006 && event.code !== 1000);
    this.#driver.lost(isTold ? `closed with ${event.code} ${event.reason}`.trim() : "");
  }

  /**
   * Asks a server that is silent for `interval` milliseconds for a sign, and gives it up where it gives none for as long
   * again.
   *
   * @param {number} interval
   */
  watch(interval) {
    if (!(interval < Infinity)) return;
    let askedAt = -Infinity;
    let due = 0;
    /** @param {number} pause */
    const lookIn = (pause) => {
      due = performance.now() + pause;
      this.#beat = setTimeout(look, pause);
    };
    const look = () => {
      const now = performance.now();
      const left = this.#heardAt + interval - now;
      if (left > 0) lookIn(left);
      else if (askedAt <= this.#heardAt) {
        askedAt = now;
        if (this.#socket.readyState === 1) this.#socket.send(controlFrame(Kind.PING));
        lookIn(interval);
      } else if (now - due > HELD_BACK) lookIn(HELD_BACK);
      else this.abandon(`the server gave no sign of life for ${2 * interval} ms`);
    };
    this.#heardAt = performance.now();
    lookIn(interval);
  }
}

/** @param {number} kind @param {number} length */
function checkLength(kind, length) {
  let limit = isMessage(kind) ? FRAME_BYTES : CONTROL_BYTES;
  if (kind === Kind.WELCOME) limit = WELCOME_BYTES;
  if (kind === Kind.DECLARE) limit = DECLARED_BYTES;
  if (kind === Kind.ACKNOWLEDGE) limit = ACKNOWLEDGE_BYTES;
  if (length > limit) throw new TomadaError(`the server sent a frame of ${length} bytes, which is too long`);
}

/** What a WebSocket takes as a reason. @param {string} text */
function cut(text) {
  const bytes = new TextEncoder().encode(text).subarray(0, LONGEST_REASON);
  return new TextDecoder().decode(bytes).replace(/\ufffd$/, "");
}
