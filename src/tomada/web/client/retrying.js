/**
 * When a lost connection is tried again.
 *
 * @module
 */

// @ts-check

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;

/** Pauses that grow and are, by chance, shorter: or all clients of a server would come at once. */
export class Retrying {
  #pause = FIRST_PAUSE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt;

  /** @param {() => void} attempt */
  constructor(attempt) {
    this.#attempt = attempt;
  }

  /** From now on pauses are short again. */
  begin() {
    this.#pause = FIRST_PAUSE;
  }

  /** Try after a pause; at once, where the network is back, or somebody looks at the page. */
  later() {
    this.#timer = setTimeout(this.#now, this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    globalThis.addEventListener?.("online", this.#now);
    globalThis.addEventListener?.("pageshow", this.#now);
    globalThis.document?.addEventListener("visibilitychange", this.#now);
  }

  #now = () => {
    this.stop();
    this.#attempt();
  };

  stop() {
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#now);
    globalThis.removeEventListener?.("pageshow", this.#now);
    globalThis.document?.removeEventListener("visibilitychange", this.#now);
  }
}
