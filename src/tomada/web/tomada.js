/**
 * tomada's client for browsers: typed messages over a WebSocket.
 *
 *     import { connect } from "./tomada.js";
 *
 *     const bank = await connect("wss://bank.example/");
 *     const receipt = await bank.ask("Transfer", { source: "ana", target: "rui", cents: 500 });
 *
 * Types go by name: the server describes its own in the handshake, and what is sent is checked against that before it
 * leaves. The connection outlives its WebSocket: when that is lost another one is made, and what was under way goes on. The
 * protocol is described in docs/reference/protocol.md.
 *
 * How values look here:
 *
 * - an `int` is a number, and a BigInt beyond 2⁵³ - 1; either may be given;
 * - `bytes` are a Uint8Array; an ArrayBuffer or another view may be given;
 * - a `datetime` with a zone is a Date (to the millisecond); dates, times, durations, UUIDs and Decimals are texts;
 * - lists, tuples and sets are arrays; a Set may be given;
 * - a dict is an object; a Map may be given, and must be where keys are neither texts nor numbers;
 * - messages and structures are plain objects; an enum is the value of its member.
 *
 * @module tomada
 */

// @ts-check

import { ConnectFailed, ConnectionLost } from "./client/errors.js";
import { typeText } from "./client/expressions.js";
import { Traffic } from "./client/traffic.js";

export {
  BufferFull, ConnectFailed, ConnectionLost, MessageError, OutcomeUnknown, RemoteError, SessionLost, TimedOut, TomadaError,
} from "./client/errors.js";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;
/** What a handler or a listener throws is told like any uncaught error; Node.js has no such function. @type {(error: unknown) => void} */
const tell = globalThis.reportError ?? console.error;

/**
 * @typedef {import("./client/expressions.js").Entry} Entry
 *
 * @typedef {object} ConnectOptions
 * @property {boolean} [sessions] Whether the connection goes on over a new WebSocket when its own is lost; it does by
 *   default, where the server keeps sessions.
 * @property {boolean} [renew] Begin anew, with another session, when this one cannot go on or the server stops, until
 *   `close`; by default the connection has ended then.
 * @property {number} [timeout] Milliseconds that one attempt may take; 5,000 by default.
 * @property {number} [heartbeat] After so many milliseconds of silence the server is asked for a sign, and after twice as
 *   many the WebSocket is lost; 30,000 by default, `Infinity` is never.
 * @property {number} [bufferBytes] How much of messages is held each way, 1 MiB by default: for the server, until it has
 *   handled it, before `send` and `ask` wait; and of the server's, until it is handled here. Urgent messages have a
 *   quarter of it beside.
 * @property {number} [streamBytes] How much of one stream may wait here to be taken; 256 KiB by default.
 * @property {typeof WebSocket} [WebSocket] The class to use where the platform has none, such as that of the package ws.
 *
 * @typedef {"connecting" | "open" | "resuming" | "draining" | "closed"} ConnectionState `"resuming"`: the WebSocket is
 *   lost, what is sent is kept, and another one is made; `"draining"`: one end has said goodbye, what is under way ends.
 *
 * @typedef {object} AskOptions
 * @property {number} [timeout] Milliseconds; none by default. The server is told, and stops its handler.
 * @property {AbortSignal} [signal] Gives it up; the server's handler is cancelled.
 * @property {boolean} [urgent] Whether it overtakes all that waits to be sent and is not urgent; its answer does, too.
 * @property {string} [key] By which its handler recognises it, up to 200 characters: for a request that is asked again
 *   after its outcome was unknown. By default each request has one of its own.
 * @property {AsyncIterable<any> | Iterable<any>} [upload] The parts of a request that takes any.
 *
 * @typedef {object} SendOptions
 * @property {boolean} [urgent] Whether it overtakes all that waits to be sent and is not urgent.
 *
 * @typedef {{ key: string, name: string, fields: Record<string, any> }} Undelivered
 */

/**
 * A connection to a tomada server. Got from `connect`.
 *
 * Events are `CustomEvent`s. Each is also a property, such as `oninterrupt`.
 *
 * - `interrupt`: the WebSocket is lost, `detail.reason` says why; what is under way just takes longer.
 * - `reconnect`: it goes on.
 * - `lost`, where a new session is begun (`renew`): the old one has ended, `detail.reason` says why, and
 *   `detail.undelivered` what has an unknown fate. Calls that waited have failed.
 * - `renew`: the new session is there.
 * - `close`: at the end, once, with `detail.reason`, and `detail.wasClean` where it was closed in order.
 */
export class Connection extends EventTarget {
  /** @type {((event: CustomEvent) => void) | null} */
  oninterrupt = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onreconnect = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onlost = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onrenew = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onclose = null;

  /** @type {string} */
  #url;
  /** @type {ConnectOptions} */
  #options;
  /** @type {Traffic | null} */
  #traffic = null;
  /** @type {Map<string, Set<(message: any, parts?: any) => any>>} */
  #handlers = new Map();
  #isClosing = false;
  #reason = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Promise<void>} */
  #closed;
  #tellClosed = () => {};
  #isOver = false;

  /** @param {string} url @param {ConnectOptions} options Use `connect`, which waits until the connection is open. */
  constructor(url, options) {
    super();
    this.#url = url;
    this.#options = options;
    this.#closed = new Promise((resolve) => { this.#tellClosed = resolve; });
  }

  /** One attempt at a new session. Rejects with `ConnectFailed`. Called by `connect`. */
  async open() {
    if (!(this.#options.WebSocket ?? globalThis.WebSocket)) {
      throw new ConnectFailed("this platform has no WebSocket: give one as the option WebSocket");
    }
    const traffic = new Traffic(this.#url, this.#options, {
      message: (entry, value) => this.#message(entry, value),
      request: (entry, value, parts) => this.#request(entry, value, parts),
      interrupted: (reason) => this.#tell("interrupt", { reason }),
      resumed: () => this.#tell("reconnect", {}),
      ended: (reason, isOrderly) => this.#ended(reason, isOrderly),
    });
    await traffic.session.open();
    this.#traffic = traffic;
    this.#reason = "";
    if (this.#isClosing) traffic.session.leave();
  }

  /** Where in its life it is. @returns {ConnectionState} */
  get state() {
    const session = this.#traffic?.session;
    if (this.#isOver) return "closed";
    if (!session || session.state === "new" || session.state === "closed") return "connecting";
    if (session.isDraining) return "draining";
    return session.state === "open" ? "open" : "resuming";
  }

  /** Whether messages can be sent, be it that they are kept until there is a WebSocket again. */
  get isOpen() {
    return this.#traffic?.session.begins ?? false;
  }

  /** Why there is no connection; empty while there is one. */
  get reason() {
    return this.#traffic?.session.reason || this.#reason;
  }

  /** What the server handles: names, kinds, fields with their types, and the first lines of their documentation. */
  get types() {
    return (this.#traffic?.catalogue.entries ?? []).filter((entry) => entry.handled).map((entry) => ({
      name: entry.name,
      kind: entry.kind,
      fields: Object.fromEntries(entry.fields.map((field) => [field.name, field.text])),
      reply: entry.reply && typeText(entry.reply),
      ...(entry.items && { items: typeText(entry.items) }),
      ...(entry.parts && { parts: typeText(entry.parts) }),
      doc: entry.doc,
    }));
  }

  /**
   * The server's reply to a request.
   *
   * Rejects with `MessageError` (it does not fit its type, and has not been sent), `RemoteError` (the handler raised),
   * `TimedOut`, `OutcomeUnknown`, `SessionLost`, `ConnectionLost`, or the signal's own reason. A request that is given up
   * is cancelled at the server. While the WebSocket is lost it just takes longer.
   *
   * @param {string} name of the request's type
   * @param {Record<string, any>} [fields]
   * @param {AskOptions} [options]
   * @returns {Promise<any>}
   */
  async ask(name, fields = {}, options = {}) {
    return this.#opened().ask(name, fields, options);
  }

  /**
   * The items that answer a request: an async iterator. To leave its loop cancels the server's handler.
   *
   *     for await (const tick of bank.stream("Watch", { account: "ana" })) show(tick);
   *
   * The request goes at once; the server sends as much ahead as `streamBytes` says. Throws `MessageError`, and what `ask`
   * rejects with.
   *
   * @param {string} name of the request's type
   * @param {Record<string, any>} [fields]
   * @param {AskOptions} [options] `timeout` is for the whole of it
   * @returns {AsyncIterableIterator<any, undefined>}
   */
  stream(name, fields = {}, options = {}) {
    return /** @type {any} */ (this.#opened().stream(name, fields, options));
  }

  /**
   * Sends a one-way message; resolves when it is accepted: then it is kept until the server has handled it. Waits only
   * while as much is held for the server as may be. Rejects with `MessageError`, `ConnectionLost` or the signal's reason.
   *
   * @param {string} name of the message's type
   * @param {Record<string, any>} [fields]
   * @param {SendOptions & { signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  async send(name, fields = {}, options = {}) {
    return this.#opened().send(name, fields, options);
  }

  /**
   * As `send`, where that need not wait; throws `BufferFull` where it would have to, and nothing was sent.
   *
   * @param {string} name
   * @param {Record<string, any>} [fields]
   * @param {SendOptions} [options]
   */
  sendNowait(name, fields = {}, options = {}) {
    this.#opened().sendNowait(name, fields, options);
  }

  /**
   * Calls `handler` with each message `name` that the server sends. The message is handled when what the handler
   * returns, if that is a promise, has settled: a server that sends more than the page handles is slowed down.
   *
   * Where the server asks (`name` is a request), what the handler returns, or its promise, is the reply; an error that it
   * throws goes back; `request.signal` tells when the answer is not wanted any more. A request that items answer takes an
   * async generator; one with parts gives them as a second argument, an async iterator.
   *
   * @param {string} name
   * @param {(message: any, parts?: any) => any} handler
   * @returns {() => void} takes it back
   */
  on(name, handler) {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /** The time to the server and back, in milliseconds. Rejects with `ConnectionLost`, also where the WebSocket is lost. */
  async ping() {
    return this.#opened().session.ping();
  }

  /**
   * After the end of a session: the messages and requests of this page whose fate is not known. They were sent, and the
   * server has not said that they were handled, or were never sent.
   *
   * @returns {Undelivered[]}
   */
  undelivered() {
    return [...(this.#traffic?.undelivered ?? [])];
  }

  /**
   * What waits and what has happened in the present session: `waitingBytes` here to be sent, `unacknowledgedBytes` sent
   * and not handled by the server, `heldBytes` not handled here, `creditBytes` that the server takes before it has
   * handled more, `resumed` and `duplicates`, `ownRequests` and `serverRequests` that are open.
   */
  statistics() {
    return this.#opened(true).statistics();
  }

  /**
   * Says goodbye, lets what is under way end (for up to ten seconds), and closes. All that was sent goes first, if need be
   * over a new WebSocket; what could not be delivered is in `undelivered()`.
   */
  async close() {
    if (!this.#isClosing) {
      this.#isClosing = true;
      clearTimeout(this.#timer);
      if (this.#traffic && this.#traffic.session.state !== "closed") this.#traffic.session.leave();
      else this.#end(this.#reason || "the connection was closed at this end");
    }
    return this.#closed;
  }

  /** @param {boolean} [always] also when it has ended */
  #opened(always = false) {
    const traffic = this.#traffic;
    if (!traffic || !(always || traffic.session.begins)) throw new ConnectionLost(this.reason || "the connection is not open");
    return traffic;
  }

  /** @param {Entry} entry @param {any} value @returns {Promise<void> | boolean} */
  #message(entry, value) {
    const handlers = [...(this.#handlers.get(entry.name) ?? [])];
    const pending = handlers.map((handler) => {
      // One that throws is told like any uncaught error, and the others run.
      try {
        const outcome = handler(value);
        return typeof outcome?.then === "function" ? Promise.resolve(outcome).catch(tell) : null;
      } catch (error) {
        tell(error);
        return null;
      }
    }).filter((outcome) => outcome !== null);
    if (pending.length > 0) return Promise.all(pending).then(() => {});
    return handlers.length > 0;
  }

  /** @param {Entry} entry @param {any} value @param {any} parts */
  #request(entry, value, parts) {
    const [handler] = this.#handlers.get(entry.name) ?? [];
    return handler && Promise.resolve().then(() => (parts ? handler(value, parts) : handler(value)));
  }

  /** @param {string} reason @param {boolean} isOrderly */
  #ended(reason, isOrderly) {
    this.#reason = reason;
    if (this.#isClosing || !this.#options.renew) {
      this.#end(reason, isOrderly);
      return;
    }
    this.#tell("lost", { reason, undelivered: this.undelivered() });
    this.#again(FIRST_PAUSE);
  }

  /** Try again after a pause, longer each time, by chance shorter: or all clients of a server would come at once. @param {number} pause */
  #again(pause) {
    this.#timer = setTimeout(async () => {
      try {
        await this.open();
      } catch (error) {
        this.#reason = error instanceof Error ? error.message : String(error);
        if (this.#isClosing) this.#end(this.#reason);
        else this.#again(Math.min(2 * pause, LONGEST_PAUSE));
        return;
      }
      if (!this.#isClosing) this.#tell("renew", {});
    }, pause * (0.5 + Math.random() / 2));
  }

  /** @param {string} reason @param {boolean} [isOrderly] */
  #end(reason, isOrderly = true) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reason = reason;
    this.#tellClosed();
    this.#tell("close", { reason, wasClean: isOrderly });
  }

  /** @param {"interrupt" | "reconnect" | "lost" | "renew" | "close"} name @param {any} detail */
  #tell(name, detail) {
    const event = new CustomEvent(name, { detail });
    try {
      this[`on${name}`]?.(event);
    } catch (error) {
      tell(error);
    }
    this.dispatchEvent(event);
  }
}

/**
 * A connection to the tomada server at `url`, when it is open. Rejects with `ConnectFailed`.
 *
 * @param {string | URL} url such as `ws://127.0.0.1:4477/` or `wss://bank.example/`
 * @param {ConnectOptions} [options]
 * @returns {Promise<Connection>}
 */
export async function connect(url, options = {}) {
  const connection = new Connection(String(url), options);
  await connection.open();
  return connection;
}
