/**
 * What the page sends and asks over a session, and the answers. What the server sends and asks is `answers.js`.
 *
 * @module
 */

// @ts-check

import { Answers } from "./answers.js";
import { BufferFull, ConnectionLost, MessageError, OutcomeUnknown, SessionLost, TimedOut, TomadaError } from "./errors.js";
import { Kind, METADATA, MORE, joined } from "./frames.js";
import { Line } from "./line.js";
import { packer, unpacker } from "./packing.js";
import { Session } from "./session.js";
import { NOTHING, Speech } from "./speech.js";
import { Inflow, Outflow } from "./streams.js";

/**
 * @typedef {import("./expressions.js").Entry} Entry
 * @typedef {import("./reports.js").Origin} Origin
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
 * @typedef {object} Told
 * @property {(reason: string) => void} interrupted
 * @property {() => void} resumed
 * @property {(reason: string, isOrderly: boolean) => void} ended
 *
 * @typedef {import("./answers.js").Handlers & Told} Handlers
 */

/** A time-out of more milliseconds is not told to the server. */
const LONGEST_DEADLINE = 0xffff_ffff;
const LONGEST_KEY = 200;

export class Traffic {
  session;
  /** @type {{ key: string, name: string, fields: any }[]} */
  undelivered = [];

  /** @type {Handlers} */
  #handlers;
  /** @type {Speech} */
  #speech;
  /** @type {Answers} */
  #answers;
  /** @type {Map<number, Call>} */
  #calls = new Map();
  #lines = [new Line(), new Line()];
  #isLettingGo = false;
  #nextId = 1;

  /** @param {string} url @param {import("./session.js").Options} options @param {Handlers} handlers */
  constructor(url, options, handlers) {
    this.#handlers = handlers;
    this.session = new Session(url, options, {
      declared: (entries) => this.#speech.catalogue.add(entries),
      message: (kind, type, id, payload, origin, metadata) => this.#message(kind, type, id, payload, origin, metadata),
      streamCredit: (id, credit) => this.#streamCredit(id, credit),
      streamCredits: () => this.#streamCredits(),
      isIdle: () => this.#calls.size === 0 && this.#answers.size === 0,
      room: () => this.#letGo(),
      interrupted: handlers.interrupted,
      resumed: handlers.resumed,
      ended: (reason, isOrderly) => this.#ended(reason, isOrderly),
    });
    this.#speech = new Speech(this.session);
    this.#answers = new Answers(this.session, this.#speech, handlers);
  }

  /** What the server describes. */
  get catalogue() {
    return this.#speech.catalogue;
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
        else resolve(this.session.message(urgent, Kind.SEND, this.#speech.number(entry), 0, payload));
      });
    });
  }

  /** @param {string} name @param {any} fields @param {{ urgent?: boolean }} options */
  sendNowait(name, fields, { urgent = false }) {
    const { entry, payload } = this.#packedMessage(name, fields);
    if (this.#lines[Number(urgent)].has(false) || this.session.isFull(urgent)) {
      throw new BufferFull("as much waits for the server as may: `await send()` waits for room");
    }
    this.session.message(urgent, Kind.SEND, this.#speech.number(entry), 0, payload);
  }

  /** @param {string} name @param {any} fields */
  #packedMessage(name, fields) {
    const entry = this.catalogue.handled(name, "send");
    return { entry, payload: this.#speech.packed(this.catalogue.structureToWire(fields, entry, name), name) };
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
      (type, payload) => this.#speech.value(entry.items ?? NOTHING, type, payload, true),
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
    if (key !== undefined && key.length > LONGEST_KEY) {
      throw new MessageError(`the key has ${key.length} characters, at most ${LONGEST_KEY} are allowed`);
    }
    if (upload && !entry.parts) throw new MessageError(`${name} takes no upload`);
    if (upload && !(Symbol.asyncIterator in Object(upload) || Symbol.iterator in Object(upload))) {
      throw new MessageError(`the upload of ${name} must be an iterable, async or not`);
    }
    if (entry.parts && !upload) throw new MessageError(`${name} takes parts: give them as the option upload`);
    const payload = this.#speech.packed(this.catalogue.structureToWire(fields, entry, name), name);
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
    session.message(call.isUrgent, Kind.ASK, this.#speech.number(call.entry), call.id, whole ?? payload, whole ? METADATA : 0);
    this.#calls.set(call.id, call);
    if (!upload) return;
    const flow = call.upload = this.#speech.outflow(call.isUrgent);
    const { parts } = call.entry;
    this.#speech.pour(call.id, call.isUrgent, flow, upload, parts ?? NOTHING, `a part of ${call.entry.name}`)
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
    this.#speech.wake();
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
      case Kind.SEND: return this.#answers.sent(type, id, payload, origin);
      case Kind.ASK: return this.#answers.asked(type, id, payload, origin, metadata);
      case Kind.ITEM: return this.#itemCame(type, id, payload);
      case Kind.CANCEL:
        if (id % 2 === 1) throw new TomadaError(`the server gives up request ${id}, which is not its own`);
        return this.#answers.stop(id, new TomadaError("the server does not want the answer any more"));
      default: // reply, error, end
        if (kind === Kind.END && id % 2 === 0) this.#answers.get(id)?.parts?.end();
        else this.#answer(kind, type, id, payload);
    }
  }

  /** @param {number} type @param {number} id @param {Uint8Array} payload */
  #itemCame(type, id, payload) {
    if (id % 2 === 0) {
      this.#answers.get(id)?.parts?.push(type, payload); // or it crossed the answer on its way
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
      console.warn("tomada: the server refused a message:", this.#speech.remoteError(type, payload).message);
      return;
    }
    this.#calls.delete(id);
    if (call.isOver) return;
    try {
      if (kind === Kind.ERROR) call.reject(this.#speech.remoteError(type, payload));
      else if (kind === Kind.REPLY) call.resolve(this.#speech.value(call.entry.reply ?? NOTHING, type, payload, false));
      else call.resolve(undefined);
    } catch (error) {
      call.reject(error);
    }
  }

  /** @param {number} id @param {number} credit */
  #streamCredit(id, credit) {
    const flow = this.#calls.get(id)?.upload ?? this.#answers.get(id)?.items;
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
      ...Array.from(this.#answers.entries(), ([id, { parts }]) => /** @type {[number, Inflow | null]} */ ([id, parts])),
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
    for (const [id] of this.#answers.entries()) this.#answers.stop(id, new ConnectionLost(reason));
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
    const entry = this.#speech.own(type);
    const fields = this.catalogue.structureFromWire(unpacker.decode(whole.subarray(start)), entry);
    this.undelivered.push({ key: k, name: entry.name, fields });
  }

  statistics() {
    return { ...this.session.statistics(), ownRequests: this.#calls.size, serverRequests: this.#answers.size };
  }
}
