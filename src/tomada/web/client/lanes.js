/**
 * One lane, each way: what waits to be sent, and is kept until the server has handled it; and what has come.
 *
 * @module
 */

// @ts-check

import { TomadaError } from "./errors.js";
import { FRAGMENT_BYTES, HEADER_BYTES, MORE, extended, isAfter, joined, readFrame, viewOf, writeFrame } from "./frames.js";

/** @typedef {import("./frames.js").Frame} Frame */

const FIRST_BLOCK = 1_024;
/** So much is taken at once; an urgent message waits for one such piece at the most. */
const BLOCK_BYTES = 65_536 + HEADER_BYTES;
/** An acknowledgement names at most so many frames of a lane that have come and are not handled yet. */
const MOST_EXCEPTIONS = 1_000;

/** Whole frames, in order: those before `start` are gone, those before `sent` were taken. */
class Block {
  start = 0;
  sent = 0;
  size = 0;
  last = 0;

  /** @param {number} bytes */
  constructor(bytes) {
    this.data = new Uint8Array(bytes);
  }

  /** @param {number} bytes */
  ensure(bytes) {
    if (bytes <= this.data.length) return;
    const grown = new Uint8Array(Math.min(Math.max(2 * this.data.length, bytes), Math.max(bytes, BLOCK_BYTES)));
    grown.set(this.data.subarray(0, this.size));
    this.data = grown;
  }
}

/** What goes out. */
export class Outgoing {
  /** The sequence of the next frame. */
  sequence = 1;
  /** How many bytes were queued, since the session began. */
  offset = 0;
  /** Up to which offset a message may be begun. */
  credit = 0;
  /** How many bytes are held here: waiting, or sent and not acknowledged. */
  kept = 0;
  /** How many of them wait. */
  unsent = 0;
  /** Whether what was sent is kept until it is acknowledged. */
  retains = false;

  /** @type {Block[]} */
  #blocks = [];
  /** The first block of which something waits. */
  #at = 0;
  #taken = 0;
  #acknowledged = 0;
  /** `acknowledged`, counted on beyond 2³². */
  #near = 0;
  /** @type {Map<number, Uint8Array>} frames before `acknowledged` that the server has, and has not handled */
  #stragglers = new Map();
  /** @type {Uint8Array[]} frames that go once more, before all others */
  #again = [];

  /** @param {number} lane */
  constructor(lane) {
    this.lane = lane;
  }

  /** Whether who would begin a message has to wait. @param {number} bound of all that may be held */
  isFull(bound) {
    return this.kept >= bound || this.offset >= this.credit;
  }

  /** @param {Omit<Frame, "sequence">} frame */
  push(frame) {
    const length = HEADER_BYTES + frame.payload.length;
    let block = this.#blocks.at(-1);
    if (!block || block.size + length > BLOCK_BYTES) {
      block = new Block(Math.max(FIRST_BLOCK, length));
      this.#blocks.push(block);
    }
    block.ensure(block.size + length);
    writeFrame(block.data, block.size, { ...frame, sequence: this.sequence });
    block.size += length;
    block.last = this.sequence;
    this.sequence = (this.sequence + 1) >>> 0;
    this.offset += length;
    this.kept += length;
    this.unsent += length;
  }

  /** The next frames, about 64 KiB at the most. @returns {Uint8Array | null} */
  take() {
    if (this.#again.length > 0) {
      const out = joined(this.#again);
      this.#again = [];
      this.unsent -= out.length;
      return out;
    }
    if (this.unsent === 0) return null;
    while (this.#blocks[this.#at].sent === this.#blocks[this.#at].size) this.#at += 1;
    const block = this.#blocks[this.#at];
    const out = block.data.subarray(block.sent, block.size);
    this.unsent -= out.length;
    block.sent = block.size;
    if (isAfter(block.last, this.#taken)) this.#taken = block.last;
    if (!this.retains) {
      this.kept -= out.length;
      this.#blocks.shift();
    }
    return out;
  }

  // What the server says.

  /** Let go of all frames up to `upTo`, but for the exceptions. @param {number} upTo @param {number[]} exceptions */
  acknowledge(upTo, exceptions) {
    if (isAfter(upTo, this.#taken)) throw new TomadaError(`sequence ${upTo} was acknowledged, ${this.#taken} is the last that was sent`);
    if (isAfter(this.#acknowledged, upTo)) throw new TomadaError(`sequence ${upTo} was acknowledged after ${this.#acknowledged}`);
    if (exceptions.some((sequence) => isAfter(sequence, upTo))) {
      throw new TomadaError("an exception from an acknowledgement is later than what it acknowledges");
    }
    const held = new Set(exceptions);
    this.#acknowledged = upTo;
    this.#near = extended(upTo, this.#near);
    for (const [sequence, frame] of this.#stragglers) if (!held.has(sequence)) this.#drop(sequence, frame);
    for (const block of this.#blocks) {
      for (const { sequence, bytes } of framesOf(block)) {
        if (isAfter(sequence, upTo)) return;
        if (held.has(sequence)) this.#stragglers.set(sequence, bytes.slice());
        else this.kept -= bytes.length;
        if (block.sent === block.start) {
          block.sent += bytes.length;
          this.unsent -= bytes.length;
        }
        block.start += bytes.length;
      }
      this.#blocks = this.#blocks.slice(1);
      this.#at = Math.max(0, this.#at - 1);
    }
  }

  /** @param {number} sequence @param {Uint8Array} frame */
  #drop(sequence, frame) {
    this.#stragglers.delete(sequence);
    this.kept -= frame.length;
  }

  /** The sequence of the oldest frame that can be sent again, or of the next one. */
  get oldest() {
    for (const { sequence } of this.frames()) return sequence;
    return this.sequence;
  }

  /**
   * Whether all can be sent again that a server lacks which has received up to there, but for `missing`.
   *
   * @param {number} received
   * @param {number[]} missing
   */
  covers(received, missing) {
    if (isAfter(received, (this.sequence - 1) >>> 0) || isAfter(this.#acknowledged, received)) return false;
    const here = new Set(Array.from(missing.length > 0 ? this.frames() : [], ({ sequence }) => sequence));
    return missing.every((sequence) => here.has(sequence));
  }

  /** On a new connection: let all wait again that the server lacks. @param {number} received @param {number[]} missing */
  rewind(received, missing) {
    const lacking = new Set(missing);
    this.#again = [];
    this.#at = 0;
    this.unsent = 0;
    for (const { sequence, bytes } of this.frames()) if (lacking.has(sequence)) this.#again.push(bytes.slice());
    let isBehind = false;
    for (const [at, block] of this.#blocks.entries()) {
      block.sent = isBehind ? block.start : block.size;
      let place = block.start;
      for (const { sequence, bytes } of isBehind ? [] : framesOf(block)) {
        if (isAfter(sequence, received)) {
          isBehind = true;
          this.#at = at;
          block.sent = place;
          break;
        }
        place += bytes.length;
      }
      this.unsent += block.size - block.sent;
    }
    if (!isBehind) this.#at = Math.max(0, this.#blocks.length - 1);
    this.unsent += this.#again.reduce((sum, frame) => sum + frame.length, 0);
  }

  /**
   * All frames that are held, in order; `isSent` tells whether the server may have it.
   *
   * @returns {Generator<Frame & { bytes: Uint8Array, isSent: boolean, number: number }>} with the sequence counted on
   */
  *frames() {
    const base = this.#near;
    const stragglers = [...this.#stragglers].sort(([one], [other]) => (isAfter(one, other) ? 1 : -1));
    for (const [sequence, bytes] of stragglers) {
      const frame = readFrame(viewOf(bytes), 0);
      if (frame) yield { ...frame, bytes, isSent: true, number: extended(sequence, base) };
    }
    for (const block of this.#blocks) {
      for (const frame of framesOf(block)) yield { ...frame, number: extended(frame.sequence, base) };
    }
  }

  /** Let go of everything. */
  clear() {
    this.#blocks = [];
    this.#again = [];
    this.#stragglers.clear();
    this.#at = this.kept = this.unsent = 0;
  }
}

/** @param {Block} block */
function* framesOf(block) {
  const view = viewOf(block.data.subarray(0, block.size));
  for (let place = block.start; place < block.size;) {
    const frame = readFrame(view, place);
    if (!frame) return;
    const stop = place + HEADER_BYTES + frame.payload.length;
    yield { ...frame, bytes: block.data.subarray(place, stop), isSent: place < block.sent };
    place = stop;
  }
}

/** What comes in. */
export class Incoming {
  expected = 1;
  /** How many bytes have come, since the session began. */
  received = 0;
  heldBytes = 0;
  /** How many frames came a second time. */
  dropped = 0;
  /** @type {Map<number, { bytes: number, first: number }>} what is not handled, by the sequence of its last frame, in that order */
  #held = new Map();
  /** @type {{ head: string, first: number, parts: Uint8Array[], bytes: number } | null} */
  #open = null;
  #reported = "";

  /** @param {number} window how many bytes may wait here @param {number} limit the longest message */
  constructor(window, limit) {
    this.window = window;
    this.granted = window;
    this.limit = limit;
  }

  get held() {
    return this.#held.size;
  }

  /** Whether a message is under way in fragments. */
  get isOpen() {
    return this.#open !== null;
  }

  /** Whether it has come before. @param {number} sequence */
  isBehind(sequence) {
    return isAfter(this.expected, sequence);
  }

  /** Whether frames would be missing where the server begins again with that one. @param {number} oldest */
  lacks(oldest) {
    return isAfter(oldest, this.expected);
  }

  /**
   * Takes one frame.
   *
   * @param {Frame} frame
   * @returns {{ payload: Uint8Array, first: number } | null} the message, when its last frame is there
   */
  add({ kind, flags, type, id, sequence, payload }) {
    if (sequence !== this.expected) throw new TomadaError(`sequence ${sequence} came, ${this.expected} was due`);
    this.expected = (sequence + 1) >>> 0;
    this.received += HEADER_BYTES + payload.length;
    if (!this.#open && !(flags & MORE)) return { payload, first: sequence };
    const head = `${kind} ${flags & ~MORE} ${type} ${id}`;
    this.#open ??= { head, first: sequence, parts: [], bytes: 0 };
    const open = this.#open;
    if (open.head !== head) throw new TomadaError("fragments of different messages were mixed");
    if (flags & MORE && payload.length < FRAGMENT_BYTES) throw new TomadaError(`a fragment of only ${payload.length} bytes came`);
    open.parts.push(payload.slice());
    open.bytes += payload.length;
    if (open.bytes > this.limit) throw new TomadaError(`a message of more than ${this.limit} bytes came`);
    if (flags & MORE) return null;
    this.#open = null;
    return { payload: joined(open.parts), first: open.first };
  }

  /** The message is not handled yet. @param {number} last @param {number} first @param {number} bytes */
  hold(last, first, bytes) {
    this.#held.set(last, { first, bytes: bytes + HEADER_BYTES });
    this.heldBytes += bytes + HEADER_BYTES;
  }

  /** It is. @param {number} last */
  release(last) {
    this.heldBytes -= this.#held.get(last)?.bytes ?? 0;
    this.#held.delete(last);
  }

  /** How many bytes of those that have come are handled: none of a message under way, which is still to be. */
  get consumed() {
    const unfinished = this.#open ? this.#open.bytes + HEADER_BYTES * this.#open.parts.length : 0;
    return this.received - this.heldBytes - unfinished;
  }

  /** More credit, where that is at least `part`. @param {number} part */
  grow(part) {
    const limit = this.consumed + this.window;
    if (limit - this.granted < part) return false;
    this.granted = limit;
    return true;
  }

  /** The sequence of the last frame that has come. */
  get last() {
    return (this.expected - 1) >>> 0;
  }

  /** How many frames came after that one. @param {number} sequence */
  since(sequence) {
    return (this.last - sequence) >>> 0;
  }

  /** Up to which sequence all has been handled, and the exceptions. @returns {[number, number[]]} */
  handled() {
    const upTo = ((this.#open ? this.#open.first : this.expected) - 1) >>> 0;
    /** @type {number[]} */
    const exceptions = [];
    for (const [last, { first }] of this.#held) {
      const count = ((last - first) >>> 0) + 1;
      if (exceptions.length + count > MOST_EXCEPTIONS) return [(first - 1) >>> 0, exceptions];
      for (let part = 0; part < count; part += 1) exceptions.push((first + part) >>> 0);
    }
    return [upTo, exceptions];
  }

  /** Whether that differs from what was asked about last. @param {[number, number[]]} handled */
  isNews(handled) {
    const text = JSON.stringify(handled);
    const isNews = text !== this.#reported;
    this.#reported = text;
    return isNews;
  }
}
