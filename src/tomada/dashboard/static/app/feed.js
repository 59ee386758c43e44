/**
 * The server's pictures, for as long as the page is open: a connection that is lost is made again.
 *
 * @module
 */

// @ts-check

import { connect } from "../tomada/tomada.js";
import { access, addressOf } from "./access.js";
import { keepToken } from "./route.js";

/**
 * @typedef {{ id: string, worker: number, peer: string, kind: string, state: string, address: string, age: number,
 *   received_messages: number, sent_messages: number, received_bytes: number, sent_bytes: number,
 *   received_rate: number, sent_rate: number, waiting_bytes: number, unacknowledged_bytes: number, held_bytes: number,
 *   credit_bytes: number, round_trip: number | null, handlers: number, requests: number, resumed: number,
 *   software: string }} ConnectionRow
 * @typedef {{ at: number, is_received: boolean, kind: string, name: string, id: number, lane: string,
 *   sequence: number, size: number, count: number, is_repeated: boolean }} FrameRow
 * @typedef {{ name: string, handled: number, rate: number, failed: number, failure_rate: number,
 *   p50: number | null, p99: number | null }} TypeRow
 * @typedef {{ number: number, pid: number, seconds: number, state: string, connections: number, processor: number,
 *   memory_bytes: number, children: number }} WorkerRow
 * @typedef {{ kind: string, name: string, allowed: number, count: number, where: string, seconds_ago: number }} Strike
 * @typedef {{ number: number, time: number, level: string, text: string, worker: number }} LogLine
 * @typedef {{ connections: number, streams: number, handshakes: number, handlers: number, accepted: number,
 *   opened: number, failed: number, turned_away: Record<string, number>, received_messages: number,
 *   sent_messages: number, received_bytes: number, sent_bytes: number, received_rate: number, sent_rate: number,
 *   received_byte_rate: number, sent_byte_rate: number }} Totals
 * @typedef {{ time: number, app: string, addresses: string[], seconds: number, totals: Totals, types: TypeRow[],
 *   workers: WorkerRow[], strikes: Strike[], log: LogLine[], matching: number, connections: ConnectionRow[],
 *   looked_at: ConnectionRow | null, frames: FrameRow[], frames_passed_over: number,
 *   settings: Record<string, number | null>, may_act: boolean }} Picture
 * @typedef {{ query?: string, sort?: string, descending?: boolean, first?: number, count?: number,
 *   connection?: string, every?: number }} Watch
 * @typedef {{ phase: "connecting" | "live" | "lost" | "denied", reason: string, again: number }} FeedState `again` is
 *   when the next attempt is made, by `performance.now`; 0 while one is made.
 */

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;
/** A silent server is asked for a sign after so many milliseconds. */
const HEARTBEAT = 10_000;
const TIMEOUT = 5_000;
/** It is answered when the worker that takes the place serves, or cannot. */
const DRAIN_TIMEOUT = 65_000;
/** In seconds, while nobody looks at the page. */
const HIDDEN_PAUSE = 5;
const CHANGED = Symbol("something else is asked for");

/**
 * Events: `picture`, whose detail is `{ picture, watch, isFirst }`; `state`.
 */
export class Feed extends EventTarget {
  /** @type {FeedState} */
  state = { phase: "connecting", reason: "", again: 0 };
  /** @type {import("./access.js").Access} */
  access = { watch: false, act: false, try: false };
  /** @type {import("../tomada/tomada.js").Connection | null} */
  #connection = null;
  /** @type {Watch} */
  #watch = { count: 0 };
  #controller = new AbortController();
  #wake = () => {};

  /** Begins, and never ends. */
  async run() {
    document.addEventListener("visibilitychange", () => this.#controller.abort(CHANGED));
    let pause = FIRST_PAUSE;
    for (;;) {
      try {
        this.access = await access();
        if (!this.access.watch) await this.#denied();
        else await this.#follow(() => { pause = FIRST_PAUSE; });
      } catch (error) {
        this.#connection = null;
        await this.#lost(error instanceof Error ? error.message : String(error), pause * (0.75 + Math.random() / 4));
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
  }

  /** One connection: all pictures that come over it. @param {() => void} live is told when the first has come */
  async #follow(live) {
    const options = { sessions: false, timeout: TIMEOUT, heartbeat: HEARTBEAT };
    const connection = this.#connection = await connect(addressOf("feed"), options);
    for (;;) {
      this.#controller = new AbortController();
      const watch = this.#watch;
      let isFirst = true;
      const asked = document.hidden ? { ...watch, every: HIDDEN_PAUSE } : watch;
      try {
        for await (const picture of connection.stream("Watch", asked, { signal: this.#controller.signal })) {
          if (this.#controller.signal.aborted) break;
          live();
          this.#become({ phase: "live", reason: "", again: 0 });
          this.dispatchEvent(new CustomEvent("picture", { detail: { picture, watch, isFirst } }));
          isFirst = false;
        }
        if (!this.#controller.signal.aborted) throw new Error("the pictures ended");
      } catch (error) {
        if (error === CHANGED) continue;
        connection.close();
        throw error;
      }
    }
  }

  /** @param {string} reason @param {number} pause in milliseconds */
  async #lost(reason, pause) {
    this.#become({ phase: "lost", reason, again: performance.now() + pause });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause, undefined);
      this.#wake = () => { clearTimeout(timer); resolve(undefined); };
    });
    this.#become({ ...this.state, again: 0 });
  }

  /** Until another token is given. */
  async #denied() {
    this.#become({ phase: "denied", reason: "", again: 0 });
    await new Promise((resolve) => { this.#wake = () => resolve(undefined); });
    this.#become({ phase: "connecting", reason: "", again: 0 });
  }

  /** @param {FeedState} state */
  #become(state) {
    if (state.phase === "live" && this.state.phase === "live") return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state"));
  }

  // What the page does.

  /** From now on pictures of that. @param {Watch} watch */
  watch(watch) {
    if (JSON.stringify(watch) === JSON.stringify(this.#watch)) return;
    this.#watch = watch;
    this.#controller.abort(CHANGED);
  }

  /** Try at once. */
  tryNow() {
    this.#wake();
  }

  /** @param {string} text */
  useToken(text) {
    keepToken(text);
    this.#wake();
  }

  /** @param {string} connection its id @returns {Promise<boolean>} whether there was one */
  async close(connection) {
    return this.#ask("Close", { connection });
  }

  /** @param {number} worker its number @returns {Promise<boolean>} whether another one is in its place */
  async drain(worker) {
    return this.#ask("Drain", { worker }, DRAIN_TIMEOUT);
  }

  /** @param {string} name @param {Record<string, any>} fields @param {number} [timeout] */
  async #ask(name, fields, timeout = TIMEOUT) {
    if (!this.#connection) throw new Error(this.state.reason);
    return this.#connection.ask(name, fields, { timeout });
  }
}
