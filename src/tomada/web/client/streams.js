/**
 * The items of one request, each way: each counts its payload and a header, and nobody sends more than the other end
 * has given credit for.
 *
 * @module
 */

// @ts-check

import { TomadaError } from "./errors.js";
import { HEADER_BYTES } from "./frames.js";

/** Credit is granted when such a part of the window has been used up. */
const GRANTS = 4;

/** What comes. An async iterator, which gives each item once. */
export class Inflow {
  #offset = 0;
  #used = 0;
  #credit;
  #window;
  /** @type {(type: number, payload: Uint8Array) => any} */
  #read;
  /** @type {(credit: number) => void} */
  #grant;
  /** @type {(reason: unknown) => void} */
  #leave;
  /** @type {{ type: number, payload: Uint8Array }[]} */
  #items = [];
  /** @type {{ resolve: (result: IteratorResult<any, undefined>) => void, reject: (error: unknown) => void }[]} */
  #waiting = [];
  #isOver = false;
  /** @type {{ error: unknown } | null} */
  #failure = null;

  /**
   * @param {number} window how many bytes may wait here
   * @param {(type: number, payload: Uint8Array) => any} read an item
   * @param {(credit: number) => void} grant tells the other end
   * @param {(reason: unknown) => void} leave nobody wants the rest
   */
  constructor(window, read, grant, leave) {
    this.#window = window;
    this.#credit = window;
    this.#read = read;
    this.#grant = grant;
    this.#leave = leave;
  }

  get credit() {
    return this.#credit;
  }

  /** An item has come. @param {number} type @param {Uint8Array} payload a view */
  push(type, payload) {
    if (this.#offset >= this.#credit) throw new TomadaError(`an item came beyond its credit of ${this.#credit} bytes`);
    this.#offset += HEADER_BYTES + payload.length;
    if (this.#isOver) this.#consume(payload.length); // nobody waits for it
    else {
      this.#items.push({ type, payload: payload.slice() });
      this.#give();
    }
  }

  /** There are no more, or it has failed: then the error comes behind what is here. @param {{ error: unknown }} [failure] */
  end(failure) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure ?? null;
    this.#give();
  }

  #give() {
    while (this.#waiting.length > 0 && (this.#items.length > 0 || this.#isOver)) {
      const { resolve, reject } = /** @type {any} */ (this.#waiting.shift());
      const item = this.#items.shift();
      const failure = this.#failure;
      if (!item) {
        this.#failure = null; // it is told once
        if (failure) reject(failure.error);
        else resolve({ done: true, value: undefined });
        continue;
      }
      this.#consume(item.payload.length);
      try {
        resolve({ done: false, value: this.#read(item.type, item.payload) });
      } catch (error) {
        reject(error);
        this.#drop(error);
      }
    }
  }

  /** @param {number} size */
  #consume(size) {
    this.#used += HEADER_BYTES + size;
    if (this.#used + this.#window - this.#credit < Math.floor(this.#window / GRANTS)) return;
    this.#credit = this.#used + this.#window;
    this.#grant(this.#credit);
  }

  /** @param {unknown} reason */
  #drop(reason) {
    const wasOver = this.#isOver;
    this.#isOver = true;
    this.#failure = null;
    for (const { payload } of this.#items.splice(0)) this.#consume(payload.length);
    this.#give();
    if (!wasOver) this.#leave(reason);
  }

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  next() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#give();
    });
  }

  /** Leaves: the rest is not wanted, and the other end is told. @param {any} [value] @returns {Promise<IteratorResult<any, any>>} */
  async return(value) {
    this.#drop(new TomadaError("the stream was left"));
    return { done: true, value };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** What goes: as much as the other end has given credit for. */
export class Outflow {
  offset = 0;
  credit;
  isStopped = false;
  /** Called when nothing more is to go. */
  onstop = () => {};
  /** @type {(() => void) | null} */
  #wake = null;
  /** @type {() => boolean} */
  #isStuffed;

  /** @param {number} credit the first @param {() => boolean} isStuffed whether as much waits in all as may */
  constructor(credit, isStuffed) {
    this.credit = credit;
    this.#isStuffed = isStuffed;
  }

  /** Whether the next item may go; resolves when it may, or none may any more. @returns {Promise<boolean>} */
  async room() {
    while (!this.isStopped && (this.offset >= this.credit || this.#isStuffed())) {
      await new Promise((resolve) => { this.#wake = () => resolve(undefined); });
    }
    return !this.isStopped;
  }

  /** Look again. */
  wake() {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  stop() {
    this.isStopped = true;
    this.onstop();
    this.wake();
  }
}

/**
 * Gives `put` what `source` yields, as fast as there is room. Rejects with what the source throws. When it is stopped
 * the source is told, as by the end of a loop over it.
 *
 * @param {Outflow} flow
 * @param {any} source an iterable, async or not
 * @param {(item: any) => void} put
 * @returns {Promise<boolean>} whether it came to its end
 */
export async function pour(flow, source, put) {
  /** @type {AsyncIterator<any> | Iterator<any>} */
  const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]();
  const leave = () => Promise.resolve(iterator.return?.()).catch(() => {}); // its own end was asked for
  while (await flow.room()) {
    const next = await new Promise((resolve, reject) => {
      flow.onstop = () => resolve(null);
      Promise.resolve(iterator.next()).then(resolve, reject);
    });
    if (!next || flow.isStopped) break;
    if (next.done) return true;
    try {
      put(next.value);
    } catch (error) {
      leave();
      throw error;
    }
  }
  leave();
  return false;
}
