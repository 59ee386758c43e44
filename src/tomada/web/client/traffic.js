/**
 * What the messages of a session mean: requests and their answers, streams of items, one-way messages.
 *
 * @module
 */

// @ts-check

import { Catalogue } from "./catalogue.js";
import { BufferFull, ConnectionLost, MessageError, OutcomeUnknown, RemoteError, SessionLost, TimedOut, TomadaError } from "./errors.js";
import { shown } from "./expressions.js";
import { HEADER_BYTES, Kind, METADATA, MORE, joined } from "./frames.js";
import { packer, unpacker } from "./packing.js";
import { Session } from "./session.js";
import { Inflow, Outflow, pour } from "./streams.js";

/**
 * @typedef {import("./expressions.js").Entry} Entry
 * @typedef {import("./expressions.js").Type} Type
 * @typedef {import("./session.js").Origin} Origin
 *
 * @typedef {object} CallOptions
 * @property {number} [timeout] Milliseconds.
 * @property {AbortSignal} [signal]
 * @property {boolean} [urgent]
 * @property {string} [key]
 * @property {AsyncIterable<any> | Iterable<any>} [upload]
 *
 * @typedef {object} Call One request of this end.
 * @property {number} id 0 while it waits to be sent.
 * @property {Entry} entry
 * @property {boolean} isUrgent
 * @property {boolean} isOver Nobody waits for its answer any more.
 * @property {number} due
 * @property {Inflow | null} items
 * @property {Outflow | null} upload
 * @property {(value: any) => void} resolve
 * @property {(error: unknown) => void} reject
 *
 * @typedef {object} Answering One request of the server.
 * @property {Entry} entry
 * @property {boolean} isUrgent
 * @property {AbortController} controller
 * @property {Inflow | null} parts
 * @property {Outflow | null} items
 *
 * @typedef {{ start: () => void, isAsk: boolean, turn: number }} Waiting
 *
 * @typedef {object} Handlers
 * @property {(entry: Entry, value: any) => Promise<void> | boolean} message When it is handled; or whether it was.
 * @property {(entry: Entry, value: any, parts: Inflow | null) => any} request Undefined where nobody handles it.
 * @property {(reason: string) => void} interrupted
 * @property {() => void} resumed
 * @property {(reason: string, isOrderly: boolean) => void} ended
 */

/** A time-out of more milliseconds is not told to the server. */
const LONGEST_DEADLINE = 0xffff_ffff;
/** The platform's timers take no more milliseconds: that is 24 days. */
const LONGEST_TIMER = 0x7fff_ffff;
const LONGEST_KEY = 200;
/** @type {Type} */
const NOTHING = { is: "scalar", name: "None" };

/** Those who wait for room, in their order; requests have a line of their own, for the limit of open ones is theirs alone. */
class Line {
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

export class Traffic {
  catalogue = new Catalogue();
  session;
  /** @type {{ key: string, name: string, fields: any }[]} */
  undelivered = [];

  /** @type {Handlers} */
  #handlers;
  /** @type {Map<string, number>} */
  #numbers = new Map();
  /** @type {Entry[]} by their number at this end */
  #own = [];
  /** @type {Map<number, Call>} */
  #calls = new Map();
  /** @type {Map<number, Answering>} */
  #answering = new Map();
  /** @type {Set<Outflow>} what goes item by item */
  #flows = new Set();
  #lines = [new Line(), new Line()];
  #isLettingGo = false;
  #nextId = 1;

  /** @param {string} url @param {import("./session.js").Options} options @param {Handlers} handlers */
  constructor(url, options, handlers) {
    this.#handlers = handlers;
    this.session = new Session(url, options, {
      declared: (entries) => this.catalogue.add(entries),
      message: (kind, type, id, payload, origin, metadata) => this.#message(kind, type, id, payload, origin, metadata),
      streamCredit: (id, credit) => this.#streamCredit(id, credit),
      streamCredits: () => this.#streamCredits(),
      isIdle: () => this.#calls.size === 0 && this.#answering.size === 0,
      room: () => this.#letGo(),
      interrupted: handlers.interrupted,
      resumed: handlers.resumed,
      ended: (reason, isOrderly) => this.#ended(reason, isOrderly),
    });
  }

  // What the connection asks for.

  /**
   * @param {string} name
   * @param {any} fields
   * @param {{ urgent?: boolean, signal?: AbortSignal }} options
   * @returns {Promise<void>}
   */
  send(name, fields, { urgent = false, signal }) {
    signal?.throwIfAborted();
    const { entry, payload } = this.#packedMessage(name, fields);
    return new Promise((resolve, reject) => {
      let isOver = false;
      const aborted = () => { isOver = true; reject(signal?.reason); };
      signal?.addEventListener("abort", aborted, { once: true });
      this.#whenRoom(urgent, false, () => {
        if (isOver) return;
        signal?.removeEventListener("abort", aborted);
        if (!this.session.begins) reject(this.#gone());
        else resolve(this.session.message(urgent, Kind.SEND, this.#number(entry), 0, payload));
      });
    });
  }

  /** @param {string} name @param {any} fields @param {{ urgent?: boolean }} options */
  sendNowait(name, fields, { urgent = false }) {
    const { entry, payload } = this.#packedMessage(name, fields);
    if (this.#lines[Number(urgent)].has(false) || this.session.isFull(urgent)) {
      throw new BufferFull("as much waits for the server as may: `await send()` waits for room");
    }
    this.session.message(urgent, Kind.SEND, this.#number(entry), 0, payload);
  }

  /** @param {string} name @param {any} fields */
  #packedMessage(name, fields) {
    const entry = this.catalogue.handled(name, "send");
    return { entry, payload: this.#packed(this.catalogue.structureToWire(fields, entry, name), name) };
  }

  /**
   * @param {string} name
   * @param {any} fields
   * @param {CallOptions} options
   * @returns {Promise<any>}
   */
  ask(name, fields, options) {
    options.signal?.throwIfAborted();
    const entry = this.catalogue.handled(name, "ask");
    return new Promise((resolve, reject) => this.#call(entry, fields, options, resolve, reject));
  }

  /**
   * @param {string} name
   * @param {any} fields
   * @param {CallOptions} options
   * @returns {Inflow}
   */
  stream(name, fields, options) {
    options.signal?.throwIfAborted();
    const entry = this.catalogue.handled(name, "stream");
    const call = this.#call(entry, fields, options, () => items.end(), (error) => items.end({ error }));
    const items = call.items = new Inflow(
      this.session.own.stream,
      (type, payload) => this.#value(entry.items ?? NOTHING, type, payload, true),
      (credit) => {
        if (this.#calls.get(call.id) === call) this.session.tellStreamCredit(call.id, credit);
      },
      (reason) => this.#giveUp(call, reason),
    );
    return items;
  }

  /**
   * @param {Entry} entry
   * @param {any} fields
   * @param {CallOptions} options
   * @param {(value: any) => void} resolve
   * @param {(error: unknown) => void} reject
   * @returns {Call}
   */
  #call(entry, fields, { timeout, signal, urgent = false, key, upload }, resolve, reject) {
    const { name } = entry;
    if (key !== undefined && key.length > LONGEST_KEY) throw new MessageError(`the key has ${key.length} characters, at most ${LONGEST_KEY} are allowed`);
    if (upload && !entry.parts) throw new MessageError(`${name} takes no upload`);
    if (entry.parts && !upload) throw new MessageError(`${name} takes parts: give them as the option upload`);
    const payload = this.#packed(this.catalogue.structureToWire(fields, entry, name), name);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const aborted = () => this.#giveUp(call, signal?.reason);
    const done = () => {
      call.isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      call.upload?.stop();
    };
    /** @type {Call} */
    const call = {
      id: 0, entry, isUrgent: urgent, isOver: false, items: null, upload: null,
      due: timeout === undefined ? Infinity : performance.now() + timeout,
      resolve: (value) => { done(); resolve(value); },
      reject: (error) => { done(); reject(error); },
    };
    signal?.addEventListener("abort", aborted);
    if (timeout !== undefined) {
      timer = setTimeout(() => this.#giveUp(call, new TimedOut(`no reply to ${name} within ${timeout} ms`)), timeout);
    }
    this.#whenRoom(urgent, true, () => this.#begin(call, payload, key, upload));
    return call;
  }

  /**
   * @param {Call} call
   * @param {Uint8Array} payload
   * @param {string | undefined} key
   * @param {any} upload
   */
  #begin(call, payload, key, upload) {
    if (call.isOver) return;
    const { session } = this;
    /** @type {Uint8Array | null} */
    let whole;
    try {
      if (!session.begins) throw this.#gone();
      whole = this.#withMetadata(payload, call.due - performance.now(), key);
    } catch (error) {
      queueMicrotask(() => call.reject(error)); // it may be made in this moment
      return;
    }
    while (this.#calls.has(this.#nextId) || this.#nextId > 0xffff_ffff) this.#nextId = this.#nextId > 0xffff_ffff ? 1 : this.#nextId + 2;
    call.id = this.#nextId;
    this.#nextId += 2;
    session.message(call.isUrgent, Kind.ASK, this.#number(call.entry), call.id, whole ?? payload, whole ? METADATA : 0);
    this.#calls.set(call.id, call);
    if (!upload) return;
    const flow = call.upload = this.#outflow(call.isUrgent);
    const { parts } = call.entry;
    this.#pour(call.id, call.isUrgent, flow, upload, parts ?? NOTHING, `a part of ${call.entry.name}`)
      .then((isWhole) => isWhole && !flow.isStopped && session.message(call.isUrgent, Kind.END, 0, call.id))
      .catch((error) => this.#giveUp(call, error));
  }

  /**
   * The request behind its metadata: for how long the answer is waited for, and its key. Null where there is nothing to
   * be told.
   *
   * @param {Uint8Array} payload
   * @param {number} left in milliseconds
   * @param {string | undefined} key
   */
  #withMetadata(payload, left, key) {
    /** @type {{ d?: number, k?: string }} */
    const metadata = {};
    if (left <= LONGEST_DEADLINE) metadata.d = Math.max(0, Math.ceil(left));
    if (key !== undefined) metadata.k = key;
    if (metadata.d === undefined && metadata.k === undefined) return null;
    const map = packer.encode(metadata);
    const whole = joined([new Uint8Array([map.length >> 8, map.length & 255]), map, payload]);
    if (whole.length <= this.session.theirs.message) return whole;
    if (key === undefined) return null;
    throw new MessageError(`the message has ${whole.length} bytes with its key, and the server takes ${this.session.theirs.message}`);
  }

  /** The request stays open until it is answered: the server still does. @param {Call} call @param {unknown} error */
  #giveUp(call, error) {
    if (call.isOver) return;
    call.reject(error);
    if (call.id !== 0 && this.session.state !== "closed") this.session.message(call.isUrgent, Kind.CANCEL, 0, call.id);
  }

  #gone() {
    return new ConnectionLost(this.session.reason || "the connection was closed at this end");
  }

  // Room.

  /**
   * Run `start` when there is room for one more message or request, at once if there is.
   *
   * @param {boolean} isUrgent
   * @param {boolean} isAsk
   * @param {() => void} start
   */
  #whenRoom(isUrgent, isAsk, start) {
    const line = this.#lines[Number(isUrgent)];
    const isFree = !this.session.isFull(isUrgent) && !(isAsk && this.#isCrowded);
    if (!this.session.begins || (isFree && !line.has(isAsk))) start();
    else line.add(start, isAsk);
  }

  /** Whether as many requests are open as the server takes. */
  get #isCrowded() {
    return this.#calls.size >= this.session.theirs.requests;
  }

  #letGo() {
    if (this.#isLettingGo) return;
    this.#isLettingGo = true;
    for (const isUrgent of [true, false]) {
      const line = this.#lines[Number(isUrgent)];
      while (!this.session.begins || !this.session.isFull(isUrgent)) {
        const start = line.take(!this.#isCrowded || !this.session.begins);
        if (!start) break;
        start();
      }
    }
    this.#isLettingGo = false;
    for (const flow of this.#flows) flow.wake();
  }

  /**
   * Send what `source` yields as the items of a request. Rejects with what it throws.
   *
   * @param {number} id
   * @param {boolean} isUrgent
   * @param {Outflow} flow
   * @param {any} source
   * @param {Type} type
   * @param {string} what
   * @returns {Promise<boolean>} whether it came to its end
   */
  async #pour(id, isUrgent, flow, source, type, what) {
    this.#flows.add(flow);
    try {
      return await pour(flow, source, (item) => this.#item(id, isUrgent, flow, type, item, what));
    } finally {
      this.#flows.delete(flow);
    }
  }

  /** @param {boolean} isUrgent */
  #outflow(isUrgent) {
    return new Outflow(this.session.theirs.stream, () => this.session.isStuffed(isUrgent));
  }

  // To the wire.

  /** This end's number of `entry`, which is declared with what it names when it is first used. @param {Entry} entry */
  #number(entry) {
    const known = this.#numbers.get(entry.name);
    if (known !== undefined) return known;
    const added = this.catalogue.closure(entry).filter((one) => !this.#numbers.has(one.name));
    for (const one of added) this.#numbers.set(one.name, this.#own.push(one));
    // Word for word, but for `handled` (place 5): that is about the other end.
    this.session.declare(added.map(({ raw }) => raw.map((item, at) => (at === 5 ? false : item))));
    return /** @type {number} */ (this.#numbers.get(entry.name));
  }

  /** @param {any} wire @param {string} what */
  #packed(wire, what) {
    return this.#checked(packer.encode(wire), what);
  }

  /** @param {Uint8Array} payload @param {string} what */
  #checked(payload, what) {
    const { message } = this.session.theirs;
    if (payload.length > message) throw new MessageError(`${what} has ${payload.length} bytes, and the server takes ${message}`);
    return payload;
  }

  /**
   * @param {number} id
   * @param {boolean} isUrgent
   * @param {Outflow} flow
   * @param {Type} type
   * @param {any} item
   * @param {string} what
   */
  #item(id, isUrgent, flow, type, item, what) {
    const { wire, entry } = this.catalogue.answerToWire(item, type, what);
    const payload = isBytes(type) ? this.#checked(wire, what) : this.#packed(wire, what);
    this.session.message(isUrgent, Kind.ITEM, entry ? this.#number(entry) : 0, id, payload);
    flow.offset += HEADER_BYTES + payload.length;
  }

  // What comes.

  /**
   * @param {number} kind
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @param {Origin} origin
   * @param {{ d?: number | bigint, k?: string }} metadata
   */
  #message(kind, type, id, payload, origin, metadata) {
    switch (kind) {
      case Kind.SEND: return this.#sent(type, id, payload, origin);
      case Kind.ASK: return this.#asked(type, id, payload, origin, metadata);
      case Kind.ITEM: return this.#itemCame(type, id, payload);
      case Kind.CANCEL:
        if (id % 2 === 1) throw new TomadaError(`the server gives up request ${id}, which is not its own`);
        return this.#stop(id, new TomadaError("the server does not want the answer any more"));
      default: // reply, error, end
        if (kind === Kind.END && id % 2 === 0) this.#answering.get(id)?.parts?.end();
        else this.#answer(kind, type, id, payload);
    }
  }

  /** @param {number} type @param {Uint8Array} payload @param {number} id @returns {{ entry: Entry, value: any } | null} */
  #read(type, id, payload) {
    const entry = this.catalogue.entries[type - 1];
    try {
      if (!entry) throw new TomadaError(`the server sent a type of the number ${type}, which it has not described`);
      return { entry, value: this.catalogue.structureFromWire(unpacker.decode(payload), entry) };
    } catch (error) {
      this.#refuse(id, false, ["invalid", entry?.name ?? "", String(error)]);
      return null;
    }
  }

  /** @param {number} type @param {number} id @param {Uint8Array} payload @param {Origin} origin */
  #sent(type, id, payload, origin) {
    if (id) throw new TomadaError(`a one-way message carries the request id ${id}`);
    const read = this.#read(type, 0, payload);
    if (!read) return;
    const outcome = this.#handlers.message(read.entry, read.value);
    if (outcome === false) this.#refuse(0, false, ["unknown type", read.entry.name, `nobody handles ${read.entry.name} here`]);
    if (typeof outcome === "boolean") return;
    this.session.hold(origin, payload.length);
    outcome.finally(() => this.session.release(origin));
  }

  /**
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @param {Origin} origin
   * @param {{ d?: number | bigint }} metadata
   */
  #asked(type, id, payload, origin, { d: deadline }) {
    if (id === 0 || id % 2 === 1 || this.#answering.has(id)) throw new TomadaError(`the server asks with the id ${id}, which it may not use`);
    if (this.#answering.size >= this.session.own.requests) throw new TomadaError(`more than ${this.session.own.requests} requests of the server are open`);
    const { isUrgent } = origin;
    const read = this.#read(type, id, payload);
    if (!read) return;
    const { entry, value } = read;
    const controller = new AbortController();
    /** @type {Answering} */
    const answering = { entry, isUrgent, controller, parts: this.#parts(id, entry), items: null };
    const answer = this.#handlers.request(entry, Object.defineProperty(value, "signal", { value: controller.signal }), answering.parts);
    if (answer === undefined) {
      this.#refuse(id, isUrgent, ["unknown type", entry.name, `nobody handles ${entry.name} here`]);
      return;
    }
    this.#answering.set(id, answering);
    this.session.hold(origin, payload.length);
    const isTimed = deadline != null && deadline <= LONGEST_TIMER;
    const late = isTimed ? new TimedOut(`no reply within the ${deadline} ms that the server gave it`) : null;
    const timer = isTimed ? setTimeout(() => this.#stop(id, late), Number(deadline)) : 0;
    answer
      .then((/** @type {any} */ reply) => this.#reply(id, answering, reply))
      .catch((/** @type {any} */ error) => {
        if (late && controller.signal.reason === late) this.#refuse(id, isUrgent, ["deadline", "", late.message]);
        else if (controller.signal.aborted) this.#refuse(id, isUrgent, ["cancelled", "", ""]);
        else this.#refuse(id, isUrgent, ["raised", error?.name ?? "Error", error?.message ?? String(error)]);
      })
      .finally(() => {
        clearTimeout(timer);
        answering.parts?.end({ error: new TomadaError("the request was answered") });
        this.#answering.delete(id);
        this.session.release(origin);
      });
  }

  /** @param {number} id @param {Entry} entry */
  #parts(id, entry) {
    const type = entry.parts;
    if (!type) return null;
    return new Inflow(
      this.session.own.stream,
      (number, payload) => this.#value(type, number, payload, true),
      (credit) => {
        if (this.#answering.has(id)) this.session.tellStreamCredit(id, credit);
      },
      () => {},
    );
  }

  /** Nobody wants the server's request answered any more. @param {number} id @param {unknown} reason */
  #stop(id, reason) {
    const answering = this.#answering.get(id);
    if (!answering || answering.controller.signal.aborted) return;
    answering.controller.abort(reason);
    answering.items?.stop();
    answering.parts?.end({ error: reason });
  }

  /** @param {number} id @param {boolean} isUrgent @param {string[]} failure */
  #refuse(id, isUrgent, failure) {
    if (this.session.state !== "closed") this.session.message(isUrgent, Kind.ERROR, 0, id, packer.encode(failure));
  }

  /** @param {number} id @param {Answering} answering @param {any} reply */
  async #reply(id, answering, reply) {
    const { entry, isUrgent } = answering;
    const { session } = this;
    if (!entry.items) {
      const what = `the reply to ${entry.name}`;
      const { wire, entry: message } = this.catalogue.answerToWire(reply, entry.reply ?? NOTHING, what);
      const payload = this.#packed(wire, what);
      if (session.state !== "closed") session.message(isUrgent, Kind.REPLY, message ? this.#number(message) : 0, id, payload);
      return;
    }
    const { items, name } = entry;
    if (!reply?.[Symbol.asyncIterator] && !reply?.[Symbol.iterator]) {
      throw new MessageError(`the handler of ${name} must give an async iterable of items, it gave ${shown(reply)}`);
    }
    const flow = answering.items = this.#outflow(isUrgent);
    if (answering.controller.signal.aborted) flow.stop();
    const isWhole = await this.#pour(id, isUrgent, flow, reply, items, `an item of ${name}`);
    if (!isWhole) throw answering.controller.signal.reason;
    if (session.state !== "closed") session.message(isUrgent, Kind.END, 0, id);
  }

  /** @param {number} type @param {number} id @param {Uint8Array} payload */
  #itemCame(type, id, payload) {
    if (id % 2 === 0) {
      this.#answering.get(id)?.parts?.push(type, payload); // or it crossed the answer on its way
      return;
    }
    const call = this.#calls.get(id);
    if (!call) throw new TomadaError(`an item of request ${id} came, which is not open`);
    if (call.isOver) return;
    if (!call.items) throw new TomadaError(`an item of ${call.entry.name} came, which has a reply`);
    call.items.push(type, payload);
  }

  /** @param {number} kind @param {number} type @param {number} id @param {Uint8Array} payload */
  #answer(kind, type, id, payload) {
    const call = this.#calls.get(id);
    if (!call) {
      if (kind !== Kind.ERROR || id !== 0) throw new TomadaError(`an answer to request ${id} came, which is not open`);
      console.warn("tomada: the server refused a message:", this.#remoteError(type, payload).message);
      return;
    }
    this.#calls.delete(id);
    if (call.isOver) return;
    try {
      if (kind === Kind.ERROR) call.reject(this.#remoteError(type, payload));
      else if (kind === Kind.REPLY) call.resolve(this.#value(call.entry.reply ?? NOTHING, type, payload, false));
      else call.resolve(undefined);
    } catch (error) {
      call.reject(error);
    }
  }

  /** @param {Type} expected @param {number} type @param {Uint8Array} payload @param {boolean} isItem bytes are raw there */
  #value(expected, type, payload, isItem) {
    if (isItem && isBytes(expected)) return payload.slice();
    const value = unpacker.decode(payload);
    const entry = type === 0 ? undefined : this.catalogue.entries[type - 1];
    return entry ? this.catalogue.structureFromWire(value, entry) : this.catalogue.fromWire(value, expected);
  }

  /** @param {number} type @param {Uint8Array} payload @returns {RemoteError | TimedOut} */
  #remoteError(type, payload) {
    const value = /** @type {any} */ (unpacker.decode(payload));
    const entry = type === 0 ? undefined : this.catalogue.entries[type - 1];
    if (entry) {
      const fields = this.catalogue.structureFromWire(value, entry);
      const text = Object.entries(fields).map(([name, item]) => `${name}=${shown(item)}`).join(", ");
      return new RemoteError("error", entry.name, text, fields);
    }
    const [code, name = "", text = ""] = value;
    if (code === "deadline") return new TimedOut(text);
    return new RemoteError(code, name || code, text);
  }

  /** @param {number} id @param {number} credit */
  #streamCredit(id, credit) {
    const flow = this.#calls.get(id)?.upload ?? this.#answering.get(id)?.items;
    if (!flow) return;
    if (credit < flow.credit) throw new TomadaError(`the credit of request ${id} shrinks from ${flow.credit} to ${credit}`);
    flow.credit = credit;
    flow.wake();
  }

  /** @returns {[number, number][]} */
  #streamCredits() {
    /** @type {[number, Inflow | null][]} */
    const flows = [
      ...Array.from(this.#calls, ([id, { items }]) => /** @type {[number, Inflow | null]} */ ([id, items])),
      ...Array.from(this.#answering, ([id, { parts }]) => /** @type {[number, Inflow | null]} */ ([id, parts])),
    ];
    return flows.flatMap(([id, flow]) => (flow ? [/** @type {[number, number]} */ ([id, flow.credit])] : []));
  }

  // The end.

  /** @param {string} reason @param {boolean} isOrderly */
  #ended(reason, isOrderly) {
    const { hasSession } = this.session;
    const unsent = this.#collect();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) {
      if (call.isOver) continue;
      if (!hasSession) call.reject(new ConnectionLost(reason));
      else call.reject(unsent.has(call.id) ? new SessionLost(reason) : new OutcomeUnknown(reason));
    }
    for (const id of [...this.#answering.keys()]) this.#stop(id, new ConnectionLost(reason));
    this.#letGo();
    if (this.undelivered.length > 0) {
      console.warn(`tomada: ${reason}; the fate of ${this.undelivered.length} messages is not known: undelivered() has them`);
    }
    this.#handlers.ended(reason, isOrderly);
  }

  /** Find what was not delivered. @returns {Set<number>} the requests that the server cannot have got */
  #collect() {
    const unsent = new Set();
    for (const isUrgent of [true, false]) {
      /** @type {Uint8Array[]} */
      let parts = [];
      for (const { kind, flags, type, id, payload, isSent, number } of this.session.lane(isUrgent).frames()) {
        if (kind === Kind.ASK && !isSent) unsent.add(id);
        if (!this.session.hasSession || (kind !== Kind.SEND && !(kind === Kind.ASK && this.#calls.has(id)))) continue;
        parts.push(payload);
        if (flags & MORE) continue;
        this.#unknown(isUrgent, number, type, flags, joined(parts));
        parts = [];
      }
    }
    return unsent;
  }

  /** @param {boolean} isUrgent @param {number} number @param {number} type @param {number} flags @param {Uint8Array} whole */
  #unknown(isUrgent, number, type, flags, whole) {
    const start = flags & METADATA ? 2 + whole[0] * 256 + whole[1] : 0;
    const { k = this.session.key(isUrgent, number) } = start ? /** @type {any} */ (unpacker.decode(whole.subarray(2, start))) : {};
    const entry = this.#own[type - 1];
    const fields = this.catalogue.structureFromWire(unpacker.decode(whole.subarray(start)), entry);
    this.undelivered.push({ key: k, name: entry.name, fields });
  }

  statistics() {
    return { ...this.session.statistics(), ownRequests: this.#calls.size, serverRequests: this.#answering.size };
  }
}

/** @param {Type} type */
function isBytes(type) {
  return type.is === "scalar" && type.name === "bytes";
}
