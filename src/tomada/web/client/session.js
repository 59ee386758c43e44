/**
 * The session: it outlives the WebSocket under it.
 *
 * What goes is kept in its lane until the server has handled it, and what comes is held until it is handled here; when
 * the WebSocket is lost, another one is made, the two ends tell each other where they stand, and each sends again what
 * the other lacks. This is that part; what messages mean is `traffic.js`.
 *
 * @module
 */

// @ts-check

import { ConnectFailed, ConnectionLost, TomadaError } from "./errors.js";
import { FRAME_BYTES, Kind, METADATA, MORE, NORMAL, URGENT, controlFrame, isMessage, joined, viewOf } from "./frames.js";
import { Incoming, Outgoing } from "./lanes.js";
import { packer, unpacker } from "./packing.js";
import { Pings } from "./pings.js";
import { Reports } from "./reports.js";
import { Retrying } from "./retrying.js";
import { Wire } from "./wire.js";

/**
 * @typedef {import("./frames.js").Frame} Frame
 * @typedef {import("./reports.js").Origin} Origin
 */

const SUBPROTOCOL = "tomada.1";
const MESSAGE_BYTES = 16_777_216;
const REQUESTS = 4_096;
const BUFFER_BYTES = 1_048_576;
const STREAM_BYTES = 262_144;
const LEAST_BYTES = 1_024;
/** The urgent lane has such a part of the normal lane's room, beside it. */
const URGENT_PART = 4;
/** After so many pieces of the urgent lane one of the normal lane goes. */
const URGENT_TURNS = 7;
const HANDSHAKE_TIME = 5_000;
const DRAIN_TIME = 10_000;
const HEARTBEAT = 30_000;
/** Pongs and the like that wait because the server does not read. */
const MOST_CONTROL_BYTES = 1_048_576;
/** Instead of a welcome to a session: another attempt may meet another server, or one with room. */
const ELSEWHERE = ["going away", "refused", "deadline", "failed"];
/** A goodbye after which nothing that is under way is finished. */
const AT_ONCE = ["version", "violation", "deadline", "failed", "session lost"];
/** So long a connection is made again for answers that are still to come from a server that has said goodbye. */
const DRAIN_SECONDS = 10;
const CLOSED_HERE = "the connection was closed at this end";

/**
 * @typedef {{ frame: number, message: number, requests: number, buffer: number, stream: number }} Limits
 * @typedef {object} Options
 * @property {boolean} [sessions]
 * @property {number} [timeout]
 * @property {number} [heartbeat]
 * @property {number} [bufferBytes]
 * @property {number} [streamBytes]
 * @property {typeof WebSocket} [WebSocket]
 *
 * @typedef {object} Owner
 * @property {(catalogue: any[]) => void} declared The server describes types.
 * @property {(kind: number, type: number, id: number, payload: Uint8Array, origin: Origin, metadata: any) => void} message
 * @property {(id: number, credit: number) => void} streamCredit
 * @property {() => [number, number][]} streamCredits Of what comes: they are told again after a loss.
 * @property {() => boolean} isIdle Whether no request is open.
 * @property {() => void} room There may be room.
 * @property {(reason: string) => void} interrupted
 * @property {() => void} resumed
 * @property {(reason: string, isOrderly: boolean) => void} ended
 */

export class Session {
  reason = "";
  software = "";
  /** How often it has gone on, as the server knows. */
  epoch = 0;
  /** @type {"new" | "open" | "lost" | "closed"} */
  state = "new";
  /** What the server takes. @type {Limits} */
  theirs = { frame: FRAME_BYTES, message: MESSAGE_BYTES, requests: REQUESTS, buffer: BUFFER_BYTES, stream: STREAM_BYTES };
  /** What is taken here. @type {Limits} */
  own;

  #url;
  /** @type {Options} */
  #options;
  /** @type {Owner} */
  #owner;
  /** @type {Wire | null} */
  #wire = null;
  /** @type {Uint8Array[]} */
  #control = [];
  #controlBytes = 0;
  #normal = new Outgoing(NORMAL);
  #urgent = new Outgoing(URGENT);
  /** @type {Reports} */
  #reports;
  #pings = new Pings();
  #retrying = new Retrying(() => {
    if (this.state === "lost" && !this.#wire) this.#connect();
  });
  #turns = 0;
  /** @type {{ id: Uint8Array, token: Uint8Array, seconds: number } | null} */
  #session = null;
  #generation = 0;
  /** How many types the server has described. */
  #known = 0;
  /** @type {any[]} what this end has described */
  #declared = [];
  /** This end says goodbye when all before it has gone. */
  #isLeaving = false;
  #hasLeft = false;
  #peerLeft = false;
  /** @type {((error?: Error) => void) | null} */
  #opened = null;
  #lostAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #handshakeTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #drainTimer;

  /** @param {string} url @param {Options} options @param {Owner} owner */
  constructor(url, options, owner) {
    this.#url = url;
    this.#options = options;
    this.#owner = owner;
    const { bufferBytes: buffer = BUFFER_BYTES, streamBytes: stream = STREAM_BYTES } = options;
    for (const [name, value] of Object.entries({ bufferBytes: buffer, streamBytes: stream })) {
      if (Number.isSafeInteger(value) && value >= LEAST_BYTES) continue;
      throw new RangeError(`${name} is ${value}, it must be a whole number, ${LEAST_BYTES} or more`);
    }
    this.own = { frame: FRAME_BYTES, message: MESSAGE_BYTES, requests: REQUESTS, buffer, stream };
    this.#reports = new Reports(
      { normal: buffer, urgent: Math.floor(buffer / URGENT_PART), message: MESSAGE_BYTES },
      (kind, payload) => {
        if (kind !== Kind.ACKNOWLEDGE || this.#session) this.control(kind, payload);
      },
      () => this.#mayTell,
    );
  }

  // The beginning.

  /** One attempt. Rejects with `ConnectFailed`. @returns {Promise<void>} */
  open() {
    return new Promise((resolve, reject) => {
      this.#opened = (error) => (error ? reject(new ConnectFailed(`could not connect to ${this.#url}: ${error.message}`)) : resolve());
      this.#connect();
    });
  }

  #connect() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    const timeout = this.#options.timeout ?? HANDSHAKE_TIME;
    const wire = new Wire(new Socket(this.#url, [SUBPROTOCOL]), {
      opened: () => this.#hello(),
      frame: (frame) => this.#frame(frame),
      settle: () => this.#settle(),
      take: () => this.#take(),
      lost: (reason) => this.#lost(reason),
      violated: (error) => this.#violated(error),
      isWaiting: () => this.#waits,
    });
    this.#wire = wire;
    this.#handshakeTimer = setTimeout(() => wire.abandon(`no handshake within ${timeout} ms`), timeout);
  }

  #hello() {
    const { frame, message, requests, buffer, stream } = this.own;
    const isWanted = this.#options.sessions ?? true;
    let resume = null;
    if (this.#session) {
      const { id, token } = this.#session;
      resume = [id, token, this.epoch, ++this.#generation, this.#positions()];
    }
    const limits = [frame, message, requests, buffer, stream];
    const hello = ["tomada", 1, 1, "tomada (JavaScript)", limits, [], isWanted ? ["session"] : [], null, resume];
    this.control(Kind.HELLO, packer.encode(hello));
  }

  #positions() {
    const { normal, urgent } = this.#reports;
    return [
      this.#known,
      [normal.last, [], this.#normal.oldest],
      [urgent.last, [], this.#urgent.oldest],
    ];
  }

  /** @param {any[]} welcome */
  #welcome([magic, version = 1, software = "", limits = [], catalogue = [], , session = null]) {
    if (this.#isUp) throw new TomadaError("a second welcome came");
    if (magic !== "tomada" || version !== 1) throw new TomadaError(`the server speaks version ${version}, here it is 1`);
    clearTimeout(this.#handshakeTimer);
    this.software = software;
    if (this.state === "new") this.#begin(limits, catalogue, session);
    else if (!this.#goOn(session)) return;
    this.#wire?.watch(this.#options.heartbeat ?? HEARTBEAT);
    this.#owner.room();
  }

  /** @param {any[]} limits @param {any[]} catalogue @param {any} session */
  #begin(limits, catalogue, session) {
    const { frame, message, requests, buffer, stream } = this.theirs;
    const [
      theirFrame = frame, theirMessage = message, theirRequests = requests, theirBuffer = buffer, theirStream = stream,
    ] = limits.map(Number);
    this.theirs = {
      frame: Math.min(theirFrame, theirMessage), message: theirMessage, requests: theirRequests, buffer: theirBuffer, stream: theirStream,
    };
    this.#reports.theirBuffer = theirBuffer;
    this.#normal.credit = theirBuffer;
    this.#urgent.credit = Math.floor(theirBuffer / URGENT_PART);
    this.#known = catalogue.length;
    this.#owner.declared(catalogue);
    if (session) {
      const [id, token, epoch, seconds] = session;
      this.#session = { id: id.slice(), token: token.slice(), seconds: Number(seconds) };
      this.epoch = Number(epoch);
      this.#normal.retains = this.#urgent.retains = true;
    }
    this.state = "open";
    const opened = this.#opened;
    this.#opened = null;
    opened?.();
  }

  /** Whether messages travel just now. */
  get #isUp() {
    return this.state === "open";
  }

  /** Whether messages may be begun, be it that they are kept until there is a connection. */
  get begins() {
    return (this.state === "open" || this.state === "lost") && !this.#isLeaving && !this.#peerLeft;
  }

  /** Whether one end has said goodbye, or is about to. */
  get isDraining() {
    return this.#isLeaving || this.#peerLeft;
  }

  // Out.

  /** @param {number} kind @param {Uint8Array} [payload] @param {number} [id] */
  control(kind, payload, id) {
    const frame = controlFrame(kind, payload, id);
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.#wire?.wake();
  }

  /** Describe types of this end. @param {any[]} entries */
  declare(entries) {
    this.#declared.push(...entries);
    if (this.#isUp) this.control(Kind.DECLARE, packer.encode(entries));
  }

  /** @param {boolean} isUrgent */
  lane(isUrgent) {
    return isUrgent ? this.#urgent : this.#normal;
  }

  /** How much may be held for the server in a lane. @param {boolean} isUrgent */
  #bound(isUrgent) {
    return isUrgent ? Math.floor(this.own.buffer / URGENT_PART) : this.own.buffer;
  }

  /** Whether who would begin a message has to wait. @param {boolean} isUrgent */
  isFull(isUrgent) {
    return this.lane(isUrgent).isFull(this.#bound(isUrgent));
  }

  /** Whether as much is held as may be. @param {boolean} isUrgent */
  isStuffed(isUrgent) {
    return this.lane(isUrgent).kept >= this.#bound(isUrgent);
  }

  /**
   * Queue a message, in as many frames as it takes.
   *
   * @param {boolean} isUrgent
   * @param {number} kind
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} [payload]
   * @param {number} [flags] METADATA where the payload begins with them
   */
  message(isUrgent, kind, type, id, payload = new Uint8Array(0), flags = 0) {
    const lane = this.lane(isUrgent);
    const step = this.theirs.frame;
    flags |= lane.lane;
    for (let start = 0; start === 0 || start < payload.length; start += step) {
      const more = start + step < payload.length ? MORE : 0;
      lane.push({ kind, flags: flags | more, type, id, payload: payload.subarray(start, start + step) });
    }
    this.#wire?.wake();
  }

  get #waits() {
    return this.#controlBytes > 0 || (this.#isUp && this.#normal.unsent + this.#urgent.unsent > 0);
  }

  /** The next bytes for the wire. @returns {Uint8Array | null} */
  #take() {
    if (this.#controlBytes > 0) {
      const out = joined(this.#control);
      this.#control = [];
      this.#controlBytes = 0;
      return out;
    }
    if (!this.#isUp) return null;
    const isUrgentsTurn = this.#urgent.unsent > 0 && (this.#normal.unsent === 0 || this.#turns < URGENT_TURNS);
    this.#turns = isUrgentsTurn ? this.#turns + 1 : 0;
    const out = this.lane(isUrgentsTurn).take();
    if (out) {
      if (!this.#session) this.#owner.room();
      return out;
    }
    return this.#lastWord();
  }

  /** The goodbye goes behind all that was queued. */
  #lastWord() {
    if (!this.#isLeaving || this.#hasLeft) return null;
    this.#hasLeft = true;
    if (this.#peerLeft) queueMicrotask(() => this.#over(true));
    return controlFrame(Kind.GOODBYE, packer.encode(["closed", ""]));
  }

  // In.

  /** @param {Frame} frame */
  #frame(frame) {
    const { kind, flags, id, sequence, payload } = frame;
    if (!this.#isUp && kind !== Kind.WELCOME && kind !== Kind.GOODBYE) {
      throw new TomadaError("the server sent no welcome; is it a tomada server?");
    }
    if (!isMessage(kind)) {
      if (flags !== 0 || sequence !== 0) throw new TomadaError(`a control frame came in lane ${flags} with sequence ${sequence}`);
      this.#controlIn(kind, id, payload);
      return;
    }
    const isUrgent = (flags & 3) === URGENT;
    if ((!isUrgent && (flags & 3) !== NORMAL) || flags > (NORMAL | MORE | METADATA)) throw new TomadaError(`flags ${flags} mean nothing`);
    if (flags & METADATA && kind !== Kind.ASK && kind !== Kind.SEND) throw new TomadaError(`a frame of kind ${kind} came with metadata`);
    const lane = isUrgent ? this.#reports.urgent : this.#reports.normal;
    if (lane.isBehind(sequence)) {
      lane.dropped += 1;
      return;
    }
    if ((kind === Kind.SEND || kind === Kind.ASK) && !lane.isOpen) {
      if (this.#peerLeft) throw new TomadaError("the server began a message after its goodbye");
      if (lane.received >= lane.granted) throw new TomadaError(`a message was begun at ${lane.received} bytes, the credit is ${lane.granted}`);
    }
    const whole = lane.add(frame);
    if (!whole) return;
    const start = flags & METADATA ? 2 + whole.payload[0] * 256 + whole.payload[1] : 0;
    const metadata = start ? unpacker.decode(whole.payload.subarray(2, start)) : {};
    const origin = { lane, isUrgent, first: whole.first, last: sequence };
    this.#owner.message(kind, frame.type, id, whole.payload.subarray(start), origin, metadata);
  }

  /** @param {number} kind @param {number} id @param {Uint8Array} payload */
  #controlIn(kind, id, payload) {
    switch (kind) {
      case Kind.WELCOME: return this.#welcome(/** @type {any[]} */ (unpacker.decode(payload)));
      case Kind.DECLARE: {
        const entries = /** @type {any[]} */ (unpacker.decode(payload));
        this.#known += entries.length;
        return this.#owner.declared(entries);
      }
      case Kind.PING:
        if (this.#controlBytes > MOST_CONTROL_BYTES) throw new TomadaError("the server pings, and does not read the answers");
        return this.control(Kind.PONG, payload.slice());
      case Kind.PONG: return this.#pings.pong(payload);
      case Kind.CREDIT: return this.#credited(id, payload);
      case Kind.ACKNOWLEDGE: return this.#acknowledged(/** @type {any} */ (unpacker.decode(payload)));
      case Kind.GOODBYE: return this.#goodbye(/** @type {any} */ (unpacker.decode(payload)));
      default: throw new TomadaError(`a frame of kind ${kind} came, which this version does not know`);
    }
  }

  /** @param {number} id @param {Uint8Array} payload */
  #credited(id, payload) {
    if (payload.length !== (id ? 8 : 16)) throw new TomadaError(`a credit of ${payload.length} bytes came`);
    const view = viewOf(payload);
    if (id) {
      this.#owner.streamCredit(id, Number(view.getBigUint64(0)));
      return;
    }
    for (const [lane, place] of /** @type {[Outgoing, number][]} */ ([[this.#normal, 0], [this.#urgent, 8]])) {
      const credit = Number(view.getBigUint64(place));
      if (credit < lane.credit) throw new TomadaError(`the credit shrinks from ${lane.credit} to ${credit}`);
      lane.credit = credit;
    }
  }

  /** @param {[number, number[]][]} lanes */
  #acknowledged([[normal, normalHeld], [urgent, urgentHeld]]) {
    if (!this.#session) throw new TomadaError("something is acknowledged in a connection without a session");
    this.#normal.acknowledge(normal, normalHeld);
    this.#urgent.acknowledge(urgent, urgentHeld);
  }

  /** All frames that had come have been looked at. */
  #settle() {
    this.#owner.room();
    this.#reports.report();
    if (this.#peerLeft) this.#leaveToo();
  }

  // What is handled.

  /** It is not, until `release`. @param {Origin} origin @param {number} bytes */
  hold(origin, bytes) {
    this.#reports.hold(origin, bytes);
  }

  /** @param {Origin} origin */
  release(origin) {
    if (this.state === "closed") return;
    this.#reports.release(origin);
    this.#reports.report();
    if (this.#peerLeft) this.#leaveToo();
  }

  /** A server that does not read the answers to what it sends is given no more credit: they would fill this end. */
  get #mayTell() {
    if (!this.#isUp) return "no";
    return this.#normal.unsent + this.#urgent.unsent > this.own.buffer + this.theirs.message ? "later" : "yes";
  }

  /** How much more may come of a stream. @param {number} id @param {number} credit */
  tellStreamCredit(id, credit) {
    if (!this.#isUp) return; // it is told when the session goes on
    const payload = new Uint8Array(8);
    viewOf(payload).setBigUint64(0, BigInt(credit));
    this.control(Kind.CREDIT, payload, id);
  }

  // A lost connection.

  /** @param {string} reason */
  #lost(reason) {
    const hasHeard = this.#wire?.hasHeard;
    clearTimeout(this.#handshakeTimer);
    this.#wire = null;
    this.#control = [];
    this.#controlBytes = 0;
    if (this.state === "new") {
      this.#over(false, reason || (hasHeard ? "the connection was lost" : "nothing answers there, or it refused (its log says why)"));
      return;
    }
    if (!this.#session || this.#isDelivered) {
      this.#over(this.#hasLeft, this.reason || reason || "the connection was lost");
      return;
    }
    if (this.state === "open") {
      this.state = "lost";
      this.reason = reason || "the connection was lost";
      this.#lostAt = Date.now();
      this.#retrying.begin();
      this.#pings.fail(new ConnectionLost(this.reason));
      this.#owner.interrupted(this.reason);
    } else {
      this.reason = reason || "nothing answers, or it refused";
      const seconds = this.#peerLeft ? Math.min(this.#session.seconds, DRAIN_SECONDS) : this.#session.seconds;
      if (Date.now() >= this.#lostAt + 1_000 * seconds) {
        this.#over(false, `the connection could not be made again within ${seconds} s: ${this.reason}`);
        return;
      }
    }
    if (this.state === "lost") this.#retrying.later();
  }

  /** Whether all is said, and nothing is waited for. */
  get #isDelivered() {
    return this.#isLeaving && this.#normal.kept + this.#urgent.kept === 0 && this.#owner.isIdle();
  }

  /** The server has answered a hello that goes on. @param {any} welcomed @returns {boolean} */
  #goOn(welcomed) {
    const own = this.#session;
    const [id, , epoch, , positions = null] = welcomed ?? [[], [], 0];
    const disagreement = own && positions && String(id) === String(own.id)
      ? this.#disagreement(positions) : "the server does not go on with the session";
    if (disagreement) {
      this.#fail("session lost", disagreement);
      return false;
    }
    const [types, normal, urgent] = positions;
    this.epoch = Number(epoch);
    this.state = "open";
    this.reason = "";
    this.#hasLeft = this.#peerLeft = false;
    if (types < this.#declared.length) this.control(Kind.DECLARE, packer.encode(this.#declared.slice(types)));
    this.#normal.rewind(normal[0], normal[1]);
    this.#urgent.rewind(urgent[0], urgent[1]);
    this.#reports.tellCredit();
    for (const [of, credit] of this.#owner.streamCredits()) this.tellStreamCredit(of, credit);
    this.#reports.acknowledge(true);
    this.#owner.resumed();
    return true;
  }

  /** @param {any} positions of the server @returns {string} why the session cannot go on; empty if it can */
  #disagreement([types, normal, urgent]) {
    if (types > this.#declared.length) return `the server knows ${types} types of this end, which has told ${this.#declared.length}`;
    /** @type {[Outgoing, Incoming, any][]} */
    const lanes = [[this.#normal, this.#reports.normal, normal], [this.#urgent, this.#reports.urgent, urgent]];
    for (const [outgoing, incoming, [received, missing, oldest]] of lanes) {
      if (!outgoing.covers(received, missing)) return `the server has received up to ${received}, which this end cannot go on from`;
      if (incoming.lacks(oldest)) return `the server can send again from ${oldest}, this end lacks ${incoming.expected}`;
    }
    return "";
  }

  // The end.

  /** Say goodbye; what is under way ends, up to a deadline. */
  leave() {
    if (this.state === "closed" || this.#isLeaving) return;
    this.#isLeaving = true;
    if (this.state === "new" || (this.state === "lost" && this.#isDelivered)) {
      this.#over(true, CLOSED_HERE);
      return;
    }
    this.#owner.room();
    this.#wire?.wake();
    this.#drainTimer = setTimeout(() => this.#over(false, `not closed within ${DRAIN_TIME} ms`), DRAIN_TIME);
  }

  /** After the server's goodbye this end says its own, when nothing is under way any more. */
  #leaveToo() {
    if (this.#isLeaving || !this.#owner.isIdle() || this.#reports.held > 0) return;
    this.#reports.report(true);
    this.leave();
  }

  /** @param {[string, string?]} goodbye */
  #goodbye([code, text = ""]) {
    const reason = `the server said goodbye (${code})${text ? `: ${text}` : ""}`;
    if (this.state === "lost" && ELSEWHERE.includes(code)) {
      this.#wire?.abandon(reason);
      return;
    }
    this.reason = reason;
    if (!this.#isUp || AT_ONCE.includes(code)) this.#over(false);
    else if (this.#hasLeft) this.#over(true);
    else {
      this.#peerLeft = true;
      this.#owner.room();
      if (this.#isLeaving) this.#wire?.wake();
    }
  }

  /** @param {unknown} error */
  #violated(error) {
    this.#fail("violation", error instanceof Error ? error.message : String(error));
  }

  /** This end has had enough. @param {string} code @param {string} reason */
  #fail(code, reason) {
    if (this.state === "closed") return;
    this.#normal.unsent = this.#urgent.unsent = 0;
    this.control(Kind.GOODBYE, packer.encode([code, reason]));
    this.#over(false, reason, reason);
  }

  /** All has ended. @param {boolean} isOrderly @param {string} [reason] @param {string} [violation] */
  #over(isOrderly, reason, violation) {
    if (this.state === "closed") return;
    const wasNew = this.state === "new";
    this.reason = reason ?? (this.reason || CLOSED_HERE);
    this.state = "closed";
    this.#retrying.stop();
    this.#reports.stop();
    clearTimeout(this.#handshakeTimer);
    clearTimeout(this.#drainTimer);
    this.#wire?.close(violation);
    this.#wire = null;
    this.#pings.fail(new ConnectionLost(this.reason));
    if (wasNew) this.#opened?.(new ConnectionLost(this.reason));
    else this.#owner.ended(this.reason, isOrderly);
    this.#normal.clear();
    this.#urgent.clear();
  }

  // Beside.

  /** @returns {Promise<number>} milliseconds to the server and back */
  ping() {
    if (!this.#isUp) return Promise.reject(new ConnectionLost(this.reason || "the connection is not open"));
    return this.#pings.ping((kind, payload) => this.control(kind, payload));
  }

  /**
   * By which a handler at the server recognises what was sent with that sequence, counted on beyond 2³².
   *
   * @param {boolean} isUrgent
   * @param {number} number
   */
  key(isUrgent, number) {
    const id = Array.from(this.#session?.id ?? [], (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${id}.${isUrgent ? "u" : ""}${number}`;
  }

  get hasSession() {
    return this.#session !== null;
  }

  statistics() {
    const [waitingBytes, kept] = [this.#normal.unsent + this.#urgent.unsent, this.#normal.kept + this.#urgent.kept];
    return {
      waitingBytes,
      unacknowledgedBytes: kept - waitingBytes,
      heldBytes: this.#reports.normal.heldBytes + this.#reports.urgent.heldBytes,
      creditBytes: Math.max(0, this.#normal.credit - this.#normal.offset),
      resumed: this.epoch,
      duplicates: this.#reports.normal.dropped + this.#reports.urgent.dropped,
    };
  }
}
