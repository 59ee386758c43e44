/**
 * The frame: a header of 16 bytes in network byte order, then a payload; and how sequences count.
 *
 * @module
 */

// @ts-check

export const HEADER_BYTES = 16;
export const WELCOME_BYTES = 1_048_576;
/** All declarations of one end together. */
export const DECLARED_BYTES = 262_144;
export const ACKNOWLEDGE_BYTES = 16_384;
export const CONTROL_BYTES = 4_096;
export const FRAME_BYTES = 65_536;
/** A frame that is not its message's last carries at least so much. */
export const FRAGMENT_BYTES = 1_024;
export const URGENT = 1;
export const NORMAL = 2;
export const LANES = 3;
export const MORE = 4;
export const METADATA = 8;
const HALF = 0x8000_0000;

export const Kind = Object.freeze({
  HELLO: 1, WELCOME: 2, SEND: 3, ASK: 4, REPLY: 5, ERROR: 6, ITEM: 7, END: 8, CANCEL: 9,
  CREDIT: 10, ACKNOWLEDGE: 11, PING: 12, PONG: 13, GOODBYE: 14, DECLARE: 15,
});

/** @typedef {{ kind: number, flags: number, type: number, id: number, sequence: number, payload: Uint8Array }} Frame */

/** Whether frames of that kind travel in a lane, with a sequence. @param {number} kind */
export function isMessage(kind) {
  return kind >= Kind.SEND && kind <= Kind.CANCEL;
}

/**
 * Writes a frame to `target`, from `place` on.
 *
 * @param {Uint8Array} target
 * @param {number} place
 * @param {Frame} frame
 */
export function writeFrame(target, place, { kind, flags, type, id, sequence, payload }) {
  const head = new DataView(target.buffer, target.byteOffset + place, HEADER_BYTES);
  head.setUint32(0, payload.length);
  head.setUint8(4, kind);
  head.setUint8(5, flags);
  head.setUint16(6, type);
  head.setUint32(8, id);
  head.setUint32(12, sequence);
  target.set(payload, place + HEADER_BYTES);
}

/**
 * The frame that begins at `place`, whose payload is a view. Null where it is not whole.
 *
 * @param {DataView} view
 * @param {number} place
 * @returns {Frame | null}
 */
export function readFrame(view, place) {
  const start = view.byteOffset + place + HEADER_BYTES;
  if (view.byteLength - place < HEADER_BYTES) return null;
  const length = view.getUint32(place);
  if (view.byteLength - place < HEADER_BYTES + length) return null;
  return {
    kind: view.getUint8(place + 4), flags: view.getUint8(place + 5), type: view.getUint16(place + 6),
    id: view.getUint32(place + 8), sequence: view.getUint32(place + 12),
    payload: new Uint8Array(view.buffer, start, length),
  };
}

/** A control frame. @param {number} kind @param {Uint8Array} [payload] @param {number} [id] */
export function controlFrame(kind, payload = new Uint8Array(0), id = 0) {
  const whole = new Uint8Array(HEADER_BYTES + payload.length);
  writeFrame(whole, 0, { kind, flags: 0, type: 0, id, sequence: 0, payload });
  return whole;
}

/** @param {Uint8Array} bytes */
export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param {Uint8Array[]} parts */
export function joined(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

/** Sequences count modulo 2³²: whether one is later than another (RFC 1982). @param {number} one @param {number} other */
export function isAfter(one, other) {
  const ahead = (one - other) >>> 0;
  return ahead > 0 && ahead < HALF;
}

/** A sequence, counted on beyond 2³², where `near` is one that is so counted. @param {number} sequence @param {number} near */
export function extended(sequence, near) {
  const ahead = (sequence - near) >>> 0;
  return near + (ahead >= HALF ? ahead - 2 ** 32 : ahead);
}
