/**
 * The line of those who wait for room.
 *
 * @module
 */

// @ts-check

/** @typedef {{ start: () => void, isAsk: boolean, turn: number }} Waiting */

/** Those who wait for room, in their order; requests have a line of their own, for the limit of open ones is theirs alone. */
export class Line {
  /** @type {Waiting[][]} */
  #lines = [[], []];
  #places = [0, 0];
  #turn = 0;

  /** @param {() => void} start @param {boolean} isAsk */
  add(start, isAsk) {
    this.#lines[Number(isAsk)].push({ start, isAsk, turn: this.#turn++ });
  }

  /** Whether one of these waits. @param {boolean} isAsk */
  has(isAsk) {
    return this.#head(Number(isAsk)) !== undefined;
  }

  /** @param {number} at */
  #head(at) {
    return this.#lines[at][this.#places[at]];
  }

  /** The first, or the first that is no request. @param {boolean} mayAsk @returns {(() => void) | null} */
  take(mayAsk) {
    const [message, ask] = [this.#head(0), mayAsk ? this.#head(1) : undefined];
    const first = message && ask ? (message.turn < ask.turn ? message : ask) : (message ?? ask);
    if (!first) return null;
    const at = Number(first.isAsk);
    this.#places[at] += 1;
    if (this.#places[at] * 2 > this.#lines[at].length) {
      this.#lines[at] = this.#lines[at].slice(this.#places[at]);
      this.#places[at] = 0;
    }
    return first.start;
  }
}
