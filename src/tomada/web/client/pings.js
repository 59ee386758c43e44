/**
 * Pings, and who waits for their answers.
 *
 * @module
 */

// @ts-check

import { Kind, viewOf } from "./frames.js";

export class Pings {
  #count = 0;
  /** @type {Map<number, { begun: number, resolve: (time: number) => void, reject: (error: unknown) => void }>} */
  #waiting = new Map();

  /** @param {(kind: number, payload: Uint8Array) => void} control @returns {Promise<number>} milliseconds to the server and back */
  ping(control) {
    const number = ++this.#count >>> 0;
    const payload = new Uint8Array(4);
    viewOf(payload).setUint32(0, number);
    control(Kind.PING, payload);
    return new Promise((resolve, reject) => this.#waiting.set(number, { begun: performance.now(), resolve, reject }));
  }

  /** @param {Uint8Array} payload */
  pong(payload) {
    const number = payload.length === 4 ? viewOf(payload).getUint32(0) : 0;
    const one = this.#waiting.get(number);
    this.#waiting.delete(number);
    one?.resolve(performance.now() - one.begun);
  }

  /** @param {Error} error */
  fail(error) {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}
