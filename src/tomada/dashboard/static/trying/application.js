/**
 * The page's own connection to the application, as any other client of it has one.
 *
 * @module
 */

// @ts-check

import { connect } from "../tomada/tomada.js";
import { addressOf } from "../app/access.js";
import { Tap } from "./tap.js";

/**
 * @typedef {import("./tap.js").Seen} Seen
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 */

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 4_000;
const TIMEOUT = 5_000;

/**
 * Events: `catalogue`, when the server has described its types, also anew; `state`; `frame`, whose detail is one;
 * `message`, what the server sends unasked, `{ name, value }`.
 */
export class Application extends EventTarget {
  /** @type {import("../tomada/tomada.js").Connection | null} */
  connection = null;
  reason = "";
  /** @type {Seen[]} its two frames, of the last one */
  handshake = [];
  #tap = new Tap((seen) => this.#frame(seen), () => this.#renewed());
  #isAtIt = false;
  /** @type {Set<string>} */
  #heard = new Set();

  get catalogue() {
    return this.#tap.theirs;
  }

  /** What the server handles. @returns {Entry[]} */
  get entries() {
    return this.catalogue.entries.filter((entry) => entry.handled && ["message", "request"].includes(entry.kind));
  }

  get isOpen() {
    return this.connection?.isOpen ?? false;
  }

  /** Connects, and again when that is lost, for as long as the page is there. */
  open() {
    if (!this.#isAtIt) this.#keepOpen();
    this.#isAtIt = true;
  }

  async #keepOpen() {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        await this.#follow();
        pause = FIRST_PAUSE;
      } catch (error) {
        this.#told(error instanceof Error ? error.message : String(error));
      }
      await new Promise((resolve) => { setTimeout(resolve, pause * (0.75 + Math.random() / 4)); });
    }
  }

  /** One connection, until it is lost. */
  async #follow() {
    // A page that is left leaves no session behind that the server would keep.
    const options = { sessions: false, timeout: TIMEOUT, WebSocket: this.#tap.WebSocket };
    const connection = await connect(addressOf("app"), options);
    this.connection = connection;
    this.#heard.clear();
    this.#listen();
    this.#told("");
    if (connection.state !== "closed") {
      await new Promise((resolve) => { connection.addEventListener("close", resolve, { once: true }); });
    }
    this.#told(connection.reason);
  }

  /** @param {string} reason why there is no connection */
  #told(reason) {
    this.reason = reason;
    this.dispatchEvent(new CustomEvent("state"));
  }

  /** @param {Seen} seen */
  #frame(seen) {
    if (seen.kind === "hello") this.handshake = [seen];
    else if (seen.kind === "welcome") this.handshake.push(seen);
    this.dispatchEvent(new CustomEvent("frame", { detail: seen }));
  }

  #renewed() {
    this.#listen();
    queueMicrotask(() => this.dispatchEvent(new CustomEvent("catalogue")));
  }

  /** To messages that the server may send by itself. */
  #listen() {
    for (const { name, kind } of this.catalogue.entries) {
      if (!this.connection || kind !== "message" || this.#heard.has(name)) continue;
      this.#heard.add(name);
      this.connection.on(name, (value) => void this.dispatchEvent(new CustomEvent("message", { detail: { name, value } })));
    }
  }
}
