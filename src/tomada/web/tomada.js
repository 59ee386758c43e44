/**
 * tomada's client for browsers: typed messages over a WebSocket.
 *
 *     import { connect } from "./tomada.js";
 *
 *     const bank = await connect("wss://bank.example/");
 *     const receipt = await bank.ask("Transfer", { source: "ana", target: "rui", cents: 500 });
 *
 * Types go by name: the server describes its own in the handshake, and what is sent is checked against that before it
 * leaves. The protocol is described in docs/reference/protocol.md.
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

import { Decoder, Encoder } from "./msgpack/index.mjs";

const SUBPROTOCOL = "tomada.1";
const HEADER_BYTES = 16;
const WELCOME_BYTES = 1_048_576;
const FRAME_BYTES = 65_536;
const MESSAGE_BYTES = 16_777_216;
const REQUESTS = 4_096;
const NORMAL = 2;
const URGENT = 1;
const MORE = 4;
const METADATA = 8;
/** A time-out of more milliseconds is not told to the server. */
const LONGEST_DEADLINE = 0xffff_ffff;
/** The platform's timers take no more milliseconds: that is 24 days. */
const LONGEST_TIMER = 0x7fff_ffff;
/** So much may wait in the browser before `ask` and `send` wait. */
const BUFFERED_BYTES = 1_048_576;
/** A WebSocket does not tell when its buffer has room: so often it is asked, in milliseconds. */
const BUFFER_CHECK = 10;
const HANDSHAKE_TIME = 5_000;
const DRAIN_TIME = 10_000;
const HEARTBEAT = 30_000;
/** A timer that is so late, in milliseconds, was held back, and so may be what has come meanwhile. */
const HELD_BACK = 1_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;
const DEEPEST_TYPE = 32;

const Kind = Object.freeze({
  HELLO: 1, WELCOME: 2, SEND: 3, ASK: 4, REPLY: 5, ERROR: 6,
  CANCEL: 9, PING: 12, PONG: 13, GOODBYE: 14, DECLARE: 15,
});

/** The root of all errors here. */
export class TomadaError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Nobody was reached, or somebody who is no tomada server, or who refused. */
export class ConnectFailed extends TomadaError {}

/** The connection ended, or there is none; whether a request was carried out is not known. */
export class ConnectionLost extends TomadaError {}

/** No answer came in time. */
export class TimedOut extends TomadaError {}

/** What was to be sent does not fit its type; it has not been sent. */
export class MessageError extends TomadaError {}

/** The server's handler raised, or the server could not take the message. */
export class RemoteError extends TomadaError {
  /**
   * @param {string} code `"error"` for an error with fields, else `"raised"`, `"invalid"`, `"mismatch"`, `"internal"`,
   *   `"unknown type"` or `"cancelled"`
   * @param {string} type the name of the error's class at the server
   * @param {string} text
   * @param {Record<string, any>} fields
   */
  constructor(code, type, text, fields = {}) {
    super(text ? `${type}: ${text}` : type);
    this.code = code;
    this.type = type;
    this.fields = fields;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// MessagePack

/** What it overrides and uses is private in the library's types. @type {any} */
const OpenEncoder = Encoder;

class Packer extends OpenEncoder {
  constructor() {
    super({ useBigInt64: true, ignoreUndefined: true });
  }

  /**
   * The library writes the keys of objects only, which are texts; those of a Map may be of any type.
   *
   * @param {any} object
   * @param {number} depth
   */
  encodeObject(object, depth) {
    if (!(object instanceof Map)) {
      super.encodeObject(object, depth);
      return;
    }
    this.writeU8(0xdf); // map 32
    this.writeU32(object.size);
    for (const [key, value] of object) {
      this.doEncode(key, depth + 1);
      this.doEncode(value, depth + 1);
    }
  }
}

const packer = new Packer();
const unpacker = new Decoder({
  useBigInt64: true,
  mapKeyConverter: (/** @type {any} */ key) => (typeof key === "number" ? key : String(key)),
});

// ---------------------------------------------------------------------------------------------------------------------
// Types: expressions as they stand in the catalogue, and values of them

/**
 * @typedef {{ is: "scalar", name: string }
 *   | { is: "name", name: string }
 *   | { is: "list", of: Type }
 *   | { is: "tuple", of: Type[] }
 *   | { is: "dict", key: Type, value: Type }
 *   | { is: "literal", values: (string | number | null)[] }
 *   | { is: "union", of: Type[] }} Type
 * @typedef {{ name: string, type: Type, text: string, fallback: string | null }} Field
 * @typedef {{ name: string, kind: string, fields: Field[], reply: Type | null, handled: boolean,
 *   tag: string | number | null, keyed: boolean, doc: string, raw: any[] }} Entry
 */

const SCALARS = new Set([
  "Any", "None", "bool", "int", "float", "str", "bytes", "datetime", "date", "time", "timedelta", "UUID", "Decimal", "Ext",
]);
const TOKEN = /\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+|[\p{L}_][\p{L}\p{N}_]*|\.\.\.|\(\)|[[\],|])/uy;
const ESCAPE = /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/giu;
/** @type {Record<string, string>} */
const ESCAPED = { n: "\n", r: "\r", t: "\t" };

/** Reads one type expression. */
class ExpressionReader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    /** @type {string[]} */
    this.tokens = [];
    this.place = 0;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const found = TOKEN.exec(text);
      if (!found) throw this.wrong();
      this.tokens.push(found[1]);
    }
  }

  /** @returns {Type} */
  read() {
    const type = this.union(0);
    if (this.place < this.tokens.length) throw this.wrong();
    return type;
  }

  wrong() {
    return new TomadaError(`the server describes a type as ${this.text}, which makes no sense`);
  }

  /** @param {string} token */
  skip(token) {
    const is = this.tokens[this.place] === token;
    if (is) this.place += 1;
    return is;
  }

  /** @param {string} token */
  expect(token) {
    if (!this.skip(token)) throw this.wrong();
  }

  /** @param {number} depth @returns {Type} */
  union(depth) {
    if (depth > DEEPEST_TYPE) throw this.wrong();
    const members = [this.member(depth)];
    while (this.skip("|")) members.push(this.member(depth));
    return members.length === 1 ? members[0] : { is: "union", of: members };
  }

  /** @param {number} depth @returns {Type} */
  member(depth) {
    const name = this.tokens[this.place++];
    if (name === undefined || !/^[\p{L}_]/u.test(name)) throw this.wrong();
    if (this.tokens[this.place] !== "[") return SCALARS.has(name) ? { is: "scalar", name } : { is: "name", name };
    this.place += 1;
    const type = name === "Literal" ? this.literal() : this.container(name, depth + 1);
    this.expect("]");
    return type;
  }

  /** @param {string} name @param {number} depth @returns {Type} */
  container(name, depth) {
    if (name === "tuple" && this.skip("()")) return { is: "tuple", of: [] };
    const of = [this.union(depth)];
    while (this.skip(",")) {
      if (name === "tuple" && of.length === 1 && this.skip("...")) return { is: "list", of: of[0] };
      of.push(this.union(depth));
    }
    if (name === "tuple") return { is: "tuple", of };
    if (name === "dict" && of.length === 2) return { is: "dict", key: of[0], value: of[1] };
    if (["list", "set", "frozenset"].includes(name) && of.length === 1) return { is: "list", of: of[0] };
    throw this.wrong();
  }

  /** @returns {Type} */
  literal() {
    const values = [];
    do {
      const token = this.tokens[this.place++] ?? "";
      if (token === "None") values.push(null);
      else if (/^-?\d/.test(token)) values.push(Number(token));
      else if (/^['"]/.test(token)) values.push(unquoted(token));
      else throw this.wrong();
    } while (this.skip(","));
    return { is: "literal", values };
  }
}

/** @param {string} token a text in Python's notation */
function unquoted(token) {
  return token.slice(1, -1).replace(ESCAPE, (_, x, u, U, other) => {
    const code = x ?? u ?? U;
    return code === undefined ? (ESCAPED[other] ?? other) : String.fromCodePoint(parseInt(code, 16));
  });
}

/** @param {Type} type @returns {string} as it stands in the catalogue, or nearly */
function typeText(type) {
  switch (type.is) {
    case "list": return `list[${typeText(type.of)}]`;
    case "tuple": return `tuple[${type.of.map(typeText).join(", ")}]`;
    case "dict": return `dict[${typeText(type.key)}, ${typeText(type.value)}]`;
    case "literal": return type.values.map((value) => JSON.stringify(value)).join(" | ");
    case "union": return type.of.map(typeText).join(" | ");
    default: return type.name;
  }
}

/** @param {Type} type @returns {string[]} the names of other entries in it */
function namesIn(type) {
  switch (type.is) {
    case "name": return [type.name];
    case "list": return namesIn(type.of);
    case "dict": return [...namesIn(type.key), ...namesIn(type.value)];
    case "tuple":
    case "union": return type.of.flatMap(namesIn);
    default: return [];
  }
}

/** @param {any} value @returns {string} for the text of an error */
function shown(value) {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object") return Array.isArray(value) ? "an array" : `a ${value.constructor?.name ?? "object"}`;
  return `${typeof value} ${String(value)}`;
}

/** @param {string} where @param {Type} type @param {any} value */
function misfit(where, type, value) {
  return new MessageError(`${where} must be ${typeText(type)}, it is ${shown(value)}`);
}

/** What the server describes, and the way of values to the wire and back. */
class Catalogue {
  /** @type {Entry[]} */
  entries = [];
  /** @type {Map<string, Entry>} */
  byName = new Map();

  /** @param {any[][]} raws as they come in welcome and declare */
  add(raws) {
    for (const raw of raws) {
      const [name, kind, fields = [], reply = null, , handled = false, tag = null, keyed = false, doc = ""] = raw;
      /** @type {Entry} */
      const entry = {
        name, kind, handled, tag, keyed, doc, raw,
        fields: fields.map((/** @type {any[]} */ [field, text, fallback = null]) => ({
          name: field, text, fallback, type: new ExpressionReader(text).read(),
        })),
        reply: reply === null ? null : new ExpressionReader(reply).read(),
      };
      this.entries.push(entry);
      this.byName.set(name, entry);
    }
  }

  /**
   * The entry of `name`, which the server must handle.
   *
   * @param {string} name
   * @param {"message" | "request"} kind
   */
  handled(name, kind) {
    const entry = this.byName.get(name);
    if (entry?.handled && entry.kind === kind) return entry;
    if (entry?.handled && ["message", "request"].includes(entry.kind)) {
      throw new MessageError(`${name} is a ${entry.kind}: ${entry.kind === "request" ? "ask" : "send"} it`);
    }
    const known = this.entries.filter((one) => one.handled && one.kind === kind).map((one) => one.name);
    throw new MessageError(`the server handles no ${kind} ${name}; it handles ${known.join(", ") || "none"}`);
  }

  /** `entry` and all that it names. @param {Entry} entry @returns {Entry[]} */
  closure(entry) {
    const found = new Set([entry]);
    for (const one of found) {
      const types = [...(one.kind === "enum" ? [] : one.fields.map((field) => field.type)), ...(one.reply ? [one.reply] : [])];
      for (const name of types.flatMap(namesIn)) {
        const other = this.byName.get(name);
        if (other) found.add(other);
      }
    }
    return [...found];
  }

  // To the wire.

  /**
   * @param {any} value
   * @param {Type} type
   * @param {string} where for the text of an error
   * @returns {any} what the MessagePack library writes as a value of that type
   */
  toWire(value, type, where) {
    switch (type.is) {
      case "scalar": return scalarToWire(value, type, where);
      case "list": return this.#items(value, type, where).map((item, at) => this.toWire(item, type.of, `${where}[${at}]`));
      case "tuple": {
        const items = this.#items(value, type, where);
        if (items.length !== type.of.length) throw misfit(where, type, value);
        return items.map((item, at) => this.toWire(item, type.of[at], `${where}[${at}]`));
      }
      case "dict": return this.#dictToWire(value, type, where);
      case "literal":
        if (type.values.includes(value ?? null)) return value ?? null;
        throw misfit(where, type, value);
      case "union": return this.#unionToWire(value, type, where);
      default: return this.#namedToWire(value, type, where);
    }
  }

  /** @param {any} value @param {Type} type @param {string} where @returns {any[]} */
  #items(value, type, where) {
    if (Array.isArray(value)) return value;
    if (value instanceof Set) return [...value];
    throw misfit(where, type, value);
  }

  /** @param {any} value @param {Extract<Type, { is: "dict" }>} type @param {string} where */
  #dictToWire(value, type, where) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw misfit(where, type, value);
    const isMap = value instanceof Map;
    const numbers = !isMap && type.key.is === "scalar" && ["int", "float"].includes(type.key.name);
    return new Map(
      Array.from(isMap ? value : Object.entries(value), ([key, item]) => [
        this.toWire(numbers ? Number(key) : key, type.key, `a key of ${where}`),
        this.toWire(item, type.value, `${where}[${shown(key)}]`),
      ]),
    );
  }

  /** @param {any} value @param {Extract<Type, { is: "union" }>} type @param {string} where */
  #unionToWire(value, type, where) {
    /** @type {MessageError[]} */
    const errors = [];
    for (const member of type.of) {
      try {
        return this.toWire(value, member, where);
      } catch (error) {
        if (!(error instanceof MessageError)) throw error;
        if (member.is === "name") errors.push(error);
      }
    }
    // Where only one member is a structure, what is wrong with its fields says more.
    throw errors.length === 1 && typeof value === "object" && value !== null ? errors[0] : misfit(where, type, value);
  }

  /** @param {any} value @param {Extract<Type, { is: "name" }>} type @param {string} where */
  #namedToWire(value, type, where) {
    const entry = this.byName.get(type.name);
    if (!entry) return anyToWire(value, where);
    if (entry.kind !== "enum") return this.structureToWire(value, entry, where);
    const member = entry.fields.find((one) => same(JSON.parse(one.fallback ?? "null"), value) || one.name === value);
    if (!member) {
      throw new MessageError(`${where} must be one of ${entry.fields.map((one) => one.fallback).join(", ")}, it is ${shown(value)}`);
    }
    return anyToWire(JSON.parse(member.fallback ?? "null"), where);
  }

  /**
   * @param {any} value
   * @param {Entry} entry
   * @param {string} where
   * @returns {any} the structure in the form that the entry says
   */
  structureToWire(value, entry, where) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new MessageError(`${where} must be an object with the fields of ${entry.name}, it is ${shown(value)}`);
    }
    this.#checkNames(value, entry, where);
    const given = entry.fields.map((field) => value[field.name] !== undefined);
    const count = entry.keyed ? given.length : given.lastIndexOf(true) + 1;
    /** @type {[string, any][]} */
    const fields = [];
    entry.fields.forEach((field, at) => {
      const place = `${where}.${field.name}`;
      if (given[at]) fields.push([field.name, this.toWire(value[field.name], field.type, place)]);
      else if (field.fallback === null) throw new MessageError(`${place} (${field.text}) is missing`);
      else if (!entry.keyed && at < count) fields.push([field.name, this.#fallback(field, place)]);
    });
    if (entry.keyed) return new Map(entry.tag === null ? fields : [["type", entry.tag], ...fields]);
    return [...(entry.tag === null ? [] : [entry.tag]), ...fields.map(([, item]) => item)];
  }

  /** @param {any} value @param {Entry} entry @param {string} where */
  #checkNames(value, entry, where) {
    const names = new Set(entry.fields.map((field) => field.name));
    const isTagged = entry.tag !== null && !names.has("type") && value.type !== undefined;
    if (isTagged && value.type !== entry.tag) throw new MessageError(`${where}.type is not ${shown(entry.tag)}`);
    for (const name of Object.keys(value)) {
      if (!names.has(name) && !(isTagged && name === "type")) {
        throw new MessageError(`${where} has no field ${name}; ${entry.name} has ${[...names].join(", ") || "none"}`);
      }
    }
  }

  /** The default of a field that is left out before one that is not. @param {Field} field @param {string} place */
  #fallback(field, place) {
    try {
      return this.toWire(this.#fallbackValue(field), field.type, place);
    } catch (error) {
      throw new MessageError(`${place} must be given: its default cannot be written`, { cause: error });
    }
  }

  /** @param {Field} field @returns {any} its default, as a value here */
  #fallbackValue(field) {
    return this.fromWire(JSON.parse(field.fallback ?? "null"), field.type);
  }

  // From the wire.

  /** @param {any} value @param {Type} type @returns {any} */
  fromWire(value, type) {
    switch (type.is) {
      case "scalar": return typeof value === "string" ? fromJSON(value, type.name) : anyFromWire(value);
      case "list": return Array.isArray(value) ? value.map((item) => this.fromWire(item, type.of)) : value;
      case "tuple": return Array.isArray(value) ? value.map((item, at) => this.fromWire(item, type.of[at])) : value;
      case "dict": return isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.fromWire(item, type.value)]))
        : value;
      case "union": return this.fromWire(value, this.#memberOf(value, type));
      case "name": {
        const entry = this.byName.get(type.name);
        return entry && entry.kind !== "enum" ? this.structureFromWire(value, entry) : anyFromWire(value);
      }
      default: return anyFromWire(value);
    }
  }

  /** Members are told apart by their form, structures of one form by their tags. @param {any} value @param {Extract<Type, { is: "union" }>} type @returns {Type} */
  #memberOf(value, type) {
    const fits = type.of.filter((member) => {
      const entry = member.is === "name" ? this.byName.get(member.name) : undefined;
      if (entry && entry.kind !== "enum") {
        if (!(entry.keyed ? isObject(value) : Array.isArray(value))) return false;
        return entry.tag === null || same(entry.tag, entry.keyed ? value.type : value[0]);
      }
      return member.is === "dict" ? isObject(value) : (member.is === "list" || member.is === "tuple") && Array.isArray(value);
    });
    return fits[0] ?? { is: "scalar", name: "Any" };
  }

  /** @param {any} value @param {Entry} entry @returns {any} */
  structureFromWire(value, entry) {
    if (!(entry.keyed ? isObject(value) : Array.isArray(value))) {
      throw new TomadaError(`what came is no ${entry.name}: it is ${shown(value)}`);
    }
    const first = entry.tag === null ? 0 : 1;
    /** @type {Record<string, any>} */
    const made = {};
    entry.fields.forEach((field, at) => {
      const item = entry.keyed ? value[field.name] : value[first + at];
      const isThere = entry.keyed ? Object.hasOwn(value, field.name) : first + at < value.length;
      if (!isThere && field.fallback === null) throw new TomadaError(`${entry.name}.${field.name} is missing in what came`);
      made[field.name] = isThere ? this.fromWire(item, field.type) : this.#fallbackValue(field);
    });
    if (entry.tag !== null && !("type" in made)) made.type = entry.tag;
    return made;
  }
}

/** @param {any} value */
function isObject(value) {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** @param {any} one @param {any} other */
function same(one, other) {
  return one === other || (typeof one !== typeof other && ["bigint", "number"].includes(typeof other) && one == other);
}

/**
 * @param {any} value
 * @param {Extract<Type, { is: "scalar" }>} type
 * @param {string} where
 */
function scalarToWire(value, type, where) {
  const kind = typeof value;
  switch (type.name) {
    case "Any": return anyToWire(value, where);
    case "None": if (value === null || value === undefined) return null; break;
    case "bool": if (kind === "boolean") return value; break;
    case "int": if (kind === "bigint" || Number.isInteger(value)) return integerToWire(value, where); break;
    case "float": if (kind === "number" || kind === "bigint") return Number(value); break;
    case "bytes": if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return bytesOf(value); break;
    case "datetime": if (kind === "string" || (value instanceof Date && !Number.isNaN(value.getTime()))) return value; break;
    case "Decimal": if (kind === "string" || kind === "number") return String(value); break;
    case "Ext": if (kind === "object" && value !== null) return value; break;
    default: if (kind === "string") return value; // str, date, time, timedelta, UUID
  }
  throw misfit(where, type, value);
}

/**
 * The library writes a number beyond 32 bits as a float, and a BigInt as an integer.
 *
 * @param {number | bigint} value
 * @param {string} where
 */
function integerToWire(value, where) {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new MessageError(`${where} is ${value}, beyond 2⁵³ - 1: give a BigInt`);
    return value > 0xffff_ffff || value < -0x8000_0000 ? BigInt(value) : value;
  }
  if (value < -(2n ** 63n) || value >= 2n ** 64n) {
    throw new MessageError(`${where} is ${value}, it must be from -2⁶³ to 2⁶⁴ - 1`);
  }
  return value;
}

/** @param {any} value @param {string} where @returns {any} */
function anyToWire(value, where) {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return integerToWire(value, where);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return bytesOf(value);
  if (Array.isArray(value) || value instanceof Set) return Array.from(value, (item) => anyToWire(item, where));
  if (value instanceof Map || isObject(value)) {
    return new Map(Array.from(value instanceof Map ? value : Object.entries(value), ([key, item]) => [
      anyToWire(key, where), anyToWire(item, where),
    ]));
  }
  if (typeof value === "function" || typeof value === "symbol") throw new MessageError(`${where} cannot be ${shown(value)}`);
  return value;
}

/** Bytes and instants are texts in a default, which is JSON; on the wire they are none. @param {string} value @param {string} name */
function fromJSON(value, name) {
  if (name === "bytes") return Uint8Array.from(atob(value), (char) => char.charCodeAt(0));
  if (name === "datetime" && /(Z|[+-]\d\d:\d\d)$/.test(value)) return new Date(value);
  return value;
}

/** @param {any} value @returns {any} */
function anyFromWire(value) {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (Array.isArray(value)) return value.map(anyFromWire);
  if (value instanceof Uint8Array) return value.slice(); // a view of all that came with it would keep that alive
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, anyFromWire(item)]));
  return value;
}

/** @param {ArrayBuffer | ArrayBufferView} value */
function bytesOf(value) {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

// ---------------------------------------------------------------------------------------------------------------------
// The link: one WebSocket, from its handshake to its end

/**
 * @typedef {{ resolve: (value: any) => void, reject: (error: unknown) => void, reply: Type, id: number,
 *   isOver: boolean, due: number }} Call
 * @typedef {{ head: string, payload: Uint8Array[], bytes: number }} Fragments
 * @typedef {{ message: (link: Link, entry: Entry, value: any) => boolean,
 *   request: (link: Link, entry: Entry, value: any) => Promise<any> | undefined,
 *   lost: (link: Link, reason: string, isOrderly: boolean) => void }} Owner
 */

class Link {
  theirs = new Catalogue();
  /** @type {"greeting" | "open" | "leaving" | "left" | "closed"} */
  state = "greeting";
  reason = "";
  software = "";

  /** @type {WebSocket} */
  #socket;
  /** @type {Owner} */
  #owner;
  /** @type {Map<string, number>} */
  #numbers = new Map();
  /** @type {Map<number, Call>} */
  #calls = new Map();
  /** @type {Map<number, AbortController>} */
  #answering = new Map();
  /** @type {Map<number, () => void>} */
  #pings = new Map();
  /** @type {(() => void)[]} */
  #waiting = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #queue = [];
  #queued = 0;
  #isScheduled = false;
  #check = 0;
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #beat;
  #rest = new Uint8Array(0);
  #nextId = 1;
  #pingCount = 0;
  #sent = 0;
  #received = [0, 0, 0];
  /** @type {(Fragments | null)[]} */
  #fragments = [null, null, null];
  #limits = [FRAME_BYTES, MESSAGE_BYTES, REQUESTS];
  /** @type {(() => void)} */
  #opened = () => {};

  /** @param {WebSocket} socket @param {Owner} owner */
  constructor(socket, owner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#hello();
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event);
  }

  /** Resolves when messages can be sent. @param {number} timeout @param {string} url @returns {Promise<void>} */
  open(url, timeout) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(`no handshake within ${timeout} ms`), timeout);
      this.#opened = () => {
        clearTimeout(timer);
        if (this.state === "open") resolve();
        else reject(new ConnectFailed(`could not connect to ${url}: ${this.reason}`));
      };
    });
  }

  /**
   * Asks a server that is silent for `interval` milliseconds for a sign, and gives it up where it gives none for as long
   * again.
   *
   * @param {number} interval
   */
  watch(interval) {
    if (!(interval < Infinity)) return;
    let isAsked = false;
    let due = 0;
    /** @param {number} pause */
    const lookIn = (pause) => {
      due = performance.now() + pause;
      this.#beat = setTimeout(look, pause);
    };
    const look = () => {
      const now = performance.now();
      const left = this.#heardAt + interval - now;
      if (left > 0) {
        isAsked = false;
        lookIn(left);
      } else if (!isAsked) {
        isAsked = true;
        this.#control(Kind.PING);
        lookIn(interval);
      } else if (now - due > HELD_BACK) lookIn(HELD_BACK);
      else this.#fail(`the server gave no sign of life for ${2 * interval} ms`);
    };
    this.#heardAt = performance.now();
    lookIn(interval);
  }

  #hello() {
    const limits = [FRAME_BYTES, MESSAGE_BYTES, REQUESTS];
    this.#put(Kind.HELLO, 0, 0, 0, 0, packer.encode(["tomada", 1, 1, "tomada (JavaScript)", limits, []]));
  }

  // Out.

  /**
   * @param {number} kind
   * @param {number} flags
   * @param {number} type
   * @param {number} id
   * @param {number} sequence
   * @param {Uint8Array} payload
   */
  #put(kind, flags, type, id, sequence, payload) {
    const frame = new Uint8Array(HEADER_BYTES + payload.length);
    const head = new DataView(frame.buffer);
    head.setUint32(0, payload.length);
    head.setUint8(4, kind);
    head.setUint8(5, flags);
    head.setUint16(6, type);
    head.setUint32(8, id);
    head.setUint32(12, sequence);
    frame.set(payload, HEADER_BYTES);
    this.#queue.push(frame);
    this.#queued += frame.length;
    if (this.#queued >= FRAME_BYTES) this.#flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(() => this.#flush());
    }
  }

  /** What was queued in one turn goes as one message. */
  #flush() {
    this.#isScheduled = false;
    if (this.#queued === 0 || this.#socket.readyState !== 1) return;
    const [out] = this.#queue.length === 1 ? this.#queue : [joined(this.#queue)];
    this.#queue = [];
    this.#queued = 0;
    this.#socket.send(out);
  }

  /** @param {number} kind @param {Uint8Array} [payload] @param {number} [id] */
  #control(kind, payload = new Uint8Array(0), id = 0) {
    this.#put(kind, 0, 0, id, 0, payload);
  }

  /**
   * @param {number} kind
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @param {number} [flags] the lane's, and METADATA where the payload begins with them
   */
  #message(kind, type, id, payload, flags = NORMAL) {
    const [frameBytes] = this.#limits;
    for (let start = 0; ; start += frameBytes) {
      const part = payload.subarray(start, start + frameBytes);
      const isLast = start + frameBytes >= payload.length;
      this.#sent = (this.#sent + 1) >>> 0;
      this.#put(kind, isLast ? flags : flags | MORE, type, id, this.#sent, part);
      if (isLast) return;
    }
  }

  /** This end's number of `entry`, which is declared with what it names when it is first used. @param {Entry} entry */
  #number(entry) {
    const known = this.#numbers.get(entry.name);
    if (known !== undefined) return known;
    const added = this.theirs.closure(entry).filter((one) => !this.#numbers.has(one.name));
    for (const one of added) this.#numbers.set(one.name, this.#numbers.size + 1);
    // Word for word, but for `handled` (place 5): that is about the other end.
    this.#control(Kind.DECLARE, packer.encode(added.map(({ raw }) => raw.map((item, at) => (at === 5 ? false : item)))));
    return /** @type {number} */ (this.#numbers.get(entry.name));
  }

  /** @param {any} wire @param {string} what */
  #packed(wire, what) {
    const payload = packer.encode(wire);
    if (payload.length > this.#limits[1]) {
      throw new MessageError(`${what} has ${payload.length} bytes, and the server takes ${this.#limits[1]}`);
    }
    return payload;
  }

  // Room.

  /** Run `start` when there is room for one more message or request, at once if there is. @param {() => void} start */
  whenRoom(start) {
    if (this.#waiting.length === 0 && this.#hasRoom()) start();
    else {
      this.#waiting.push(start);
      this.#checkLater();
    }
  }

  #hasRoom() {
    return this.#socket.bufferedAmount + this.#queued <= BUFFERED_BYTES && this.#calls.size < this.#limits[2];
  }

  #checkLater() {
    if (this.#check === 0 && this.#waiting.length > 0 && this.#calls.size < this.#limits[2]) {
      this.#check = /** @type {any} */ (setTimeout(() => {
        this.#check = 0;
        this.#letStart();
      }, BUFFER_CHECK));
    }
  }

  #letStart() {
    while (this.#waiting.length > 0 && (this.state !== "open" || this.#hasRoom())) this.#waiting.shift()?.();
    this.#checkLater();
  }

  // What the connection asks for.

  /** @param {string} name @param {any} fields @returns {Promise<void>} */
  send(name, fields) {
    const entry = this.theirs.handled(name, "message");
    const payload = this.#packed(this.theirs.structureToWire(fields, entry, name), name);
    return new Promise((resolve, reject) => {
      this.whenRoom(() => {
        if (this.state !== "open") {
          reject(new ConnectionLost(this.reason));
          return;
        }
        this.#message(Kind.SEND, this.#number(entry), 0, payload);
        resolve();
      });
    });
  }

  /**
   * @param {string} name
   * @param {any} fields
   * @param {{ timeout?: number, signal?: AbortSignal }} options
   * @returns {Promise<any>}
   */
  ask(name, fields, { timeout, signal }) {
    signal?.throwIfAborted();
    const entry = this.theirs.handled(name, "request");
    const payload = this.#packed(this.theirs.structureToWire(fields, entry, name), name);
    return new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const aborted = () => this.#giveUp(call, signal?.reason);
      const done = () => {
        call.isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
      /** @type {Call} */
      const call = {
        id: 0, isOver: false, reply: entry.reply ?? { is: "scalar", name: "None" },
        due: timeout === undefined ? Infinity : performance.now() + timeout,
        resolve: (value) => { done(); resolve(value); },
        reject: (error) => { done(); reject(error); },
      };
      signal?.addEventListener("abort", aborted);
      if (timeout !== undefined) {
        timer = setTimeout(() => this.#giveUp(call, new TimedOut(`no reply to ${name} within ${timeout} ms`)), timeout);
      }
      this.whenRoom(() => this.#begin(call, entry, payload));
    });
  }

  /** @param {Call} call @param {Entry} entry @param {Uint8Array} payload */
  #begin(call, entry, payload) {
    if (call.isOver) return;
    if (this.state !== "open") {
      call.reject(new ConnectionLost(this.reason));
      return;
    }
    while (this.#calls.has(this.#nextId)) this.#nextId = (this.#nextId + 2) >>> 0;
    call.id = this.#nextId;
    this.#nextId = (this.#nextId + 2) >>> 0;
    this.#calls.set(call.id, call);
    const within = this.#withDeadline(payload, call.due - performance.now());
    this.#message(Kind.ASK, this.#number(entry), call.id, within ?? payload, within ? NORMAL | METADATA : NORMAL);
  }

  /**
   * The request behind its metadata: for how long the answer is waited for. Null where that is too much to be told.
   *
   * @param {Uint8Array} payload
   * @param {number} left in milliseconds
   */
  #withDeadline(payload, left) {
    if (!(left <= LONGEST_DEADLINE)) return null;
    const map = packer.encode({ d: Math.max(0, Math.ceil(left)) });
    const whole = joined([new Uint8Array([map.length >> 8, map.length & 255]), map, payload]);
    return whole.length <= this.#limits[1] ? whole : null;
  }

  /** The request stays open until it is answered: the server still does. @param {Call} call @param {unknown} error */
  #giveUp(call, error) {
    if (call.isOver) return;
    call.reject(error);
    if (call.id !== 0) this.#control(Kind.CANCEL, undefined, call.id);
  }

  /** @returns {Promise<number>} milliseconds to the server and back */
  ping() {
    const begun = performance.now();
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, ++this.#pingCount);
    this.#control(Kind.PING, payload);
    return new Promise((resolve, reject) => {
      this.#pings.set(this.#pingCount, () => {
        if (this.state === "closed") reject(new ConnectionLost(this.reason));
        else resolve(performance.now() - begun);
      });
    });
  }

  /** Say goodbye; what is under way ends, up to a deadline. */
  leave() {
    if (this.state === "greeting") this.#fail("the connection was closed at this end");
    if (this.state !== "open" && this.state !== "left") return;
    const isLast = this.state === "left";
    this.#control(Kind.GOODBYE, packer.encode(["closed", ""]));
    this.reason ||= "the connection was closed at this end";
    this.state = isLast ? "closed" : "leaving";
    this.#letStart();
    if (isLast) this.#end();
    else setTimeout(() => this.#end(), DRAIN_TIME);
  }

  #end() {
    this.#flush();
    this.#socket.close(1000);
  }

  /** This end has had enough: the server broke the protocol, or is late. @param {string} reason */
  #fail(reason) {
    if (this.state === "closed") return;
    this.reason = reason;
    if (this.state !== "greeting") this.#control(Kind.GOODBYE, packer.encode(["violation", reason]));
    this.#flush();
    this.#socket.close(4000, new TextDecoder().decode(new TextEncoder().encode(reason).subarray(0, 100)).replace(/\ufffd$/, ""));
    this.#over(false);
  }

  /** @param {CloseEvent} event */
  #closed(event) {
    if (!this.reason) {
      if (event.reason || (event.code !== 1006 && event.code !== 1000)) this.reason = `closed with ${event.code} ${event.reason}`.trim();
      else if (this.state === "greeting") this.reason = "nothing answers there, or it refused (its log says why)";
      else this.reason = "the connection was lost";
    }
    this.#over(this.state === "closed" || this.state === "leaving");
  }

  /** All that waits fails. @param {boolean} isOrderly */
  #over(isOrderly) {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    const wasOpen = this.state !== "greeting";
    this.state = "closed";
    for (const call of this.#calls.values()) if (!call.isOver) call.reject(new ConnectionLost(this.reason));
    this.#calls.clear();
    for (const controller of this.#answering.values()) controller.abort(new ConnectionLost(this.reason));
    for (const pong of this.#pings.values()) pong();
    clearTimeout(this.#check);
    clearTimeout(this.#beat);
    this.#letStart();
    this.#opened();
    if (wasOpen) this.#owner.lost(this, this.reason, isOrderly);
  }

  // In.

  /** @param {ArrayBuffer | string} data */
  #receive(data) {
    if (typeof data === "string") {
      this.#fail("the server sent text, and this protocol is binary");
      return;
    }
    this.#heardAt = performance.now();
    let bytes = new Uint8Array(data);
    if (this.#rest.length > 0) bytes = joined([this.#rest, bytes]);
    try {
      this.#rest = bytes.slice(this.#frames(bytes));
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
    this.#settle();
  }

  /** Act on every complete frame. @param {Uint8Array} bytes @returns {number} where the first incomplete one begins */
  #frames(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let place = 0;
    while (bytes.length - place >= HEADER_BYTES && this.state !== "closed") {
      const length = view.getUint32(place);
      if (length > (this.state === "greeting" ? WELCOME_BYTES : Math.max(FRAME_BYTES, 262_144))) {
        throw new TomadaError(`the server sent a frame of ${length} bytes, which is too long`);
      }
      const stop = place + HEADER_BYTES + length;
      if (stop > bytes.length) break;
      const payload = bytes.subarray(place + HEADER_BYTES, stop);
      this.#frame(view.getUint8(place + 4), view.getUint8(place + 5), view.getUint16(place + 6),
        view.getUint32(place + 8), view.getUint32(place + 12), payload);
      place = stop;
    }
    return place;
  }

  /**
   * @param {number} kind
   * @param {number} flags
   * @param {number} type
   * @param {number} id
   * @param {number} sequence
   * @param {Uint8Array} payload
   */
  #frame(kind, flags, type, id, sequence, payload) {
    const isMessage = kind >= Kind.SEND && kind <= Kind.ERROR;
    if (this.state === "greeting" && kind !== Kind.WELCOME && kind !== Kind.GOODBYE) {
      throw new TomadaError("the server sent no welcome; is it a tomada server?");
    }
    if (!isMessage) {
      this.#controlFrame(kind, id, payload);
      return;
    }
    const lane = flags & 3;
    if ((lane !== NORMAL && lane !== URGENT) || flags & ~(3 | MORE | METADATA)) throw new TomadaError(`flags ${flags} mean nothing`);
    this.#received[lane] = (this.#received[lane] + 1) >>> 0;
    if (sequence !== this.#received[lane]) throw new TomadaError(`sequence ${sequence} came, ${this.#received[lane]} was due`);
    const whole = this.#assembled(kind, flags, type, id, payload);
    if (!whole) return;
    const start = flags & METADATA ? 2 + whole[0] * 256 + whole[1] : 0;
    const { d: deadline } = start ? /** @type {any} */ (unpacker.decode(whole.subarray(2, start))) : {};
    this.#messageFrame(kind, type, id, whole.subarray(start), deadline);
  }

  /**
   * @param {number} kind
   * @param {number} flags
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @returns {Uint8Array | null} the message, when its last fragment is there
   */
  #assembled(kind, flags, type, id, payload) {
    const lane = flags & 3;
    const head = `${kind} ${flags & ~MORE} ${type} ${id}`;
    const open = this.#fragments[lane];
    if (!open && !(flags & MORE)) return payload;
    const fragments = open ?? { head, payload: [], bytes: 0 };
    fragments.payload.push(payload.slice());
    fragments.bytes += payload.length;
    if (fragments.head !== head) throw new TomadaError("fragments of different messages were mixed");
    if (fragments.bytes > MESSAGE_BYTES) throw new TomadaError(`a message of more than ${MESSAGE_BYTES} bytes came`);
    this.#fragments[lane] = flags & MORE ? fragments : null;
    return flags & MORE ? null : joined(fragments.payload);
  }

  /** @param {number} kind @param {number} id @param {Uint8Array} payload */
  #controlFrame(kind, id, payload) {
    switch (kind) {
      case Kind.WELCOME: return this.#welcome(unpacker.decode(payload));
      case Kind.DECLARE: return this.theirs.add(/** @type {any[]} */ (unpacker.decode(payload)));
      case Kind.PING: return this.#control(Kind.PONG, payload.slice());
      case Kind.PONG: {
        const number = payload.length === 4 ? new DataView(payload.buffer, payload.byteOffset).getUint32(0) : 0;
        this.#pings.get(number)?.();
        this.#pings.delete(number);
        return;
      }
      case Kind.CANCEL: return this.#answering.get(id)?.abort(new TomadaError("the server does not want the answer any more"));
      case Kind.GOODBYE: return this.#goodbye(unpacker.decode(payload));
      default: throw new TomadaError(`a frame of kind ${kind} came, which this version does not know`);
    }
  }

  /** @param {any} welcome */
  #welcome(welcome) {
    const [magic, version = 1, software = "", limits = [], catalogue = []] = welcome;
    if (this.state !== "greeting") throw new TomadaError("a second welcome came");
    if (magic !== "tomada" || version !== 1) throw new TomadaError(`the server speaks version ${version}, here it is 1`);
    this.theirs.add(catalogue);
    this.software = software;
    this.#limits = this.#limits.map((limit, at) => Number(limits[at] ?? limit));
    this.state = "open";
    this.#opened();
  }

  /** @param {any} goodbye */
  #goodbye([code, text = ""]) {
    this.reason = `the server said goodbye (${code})${text ? `: ${text}` : ""}`;
    if (this.state === "greeting" || ["version", "violation", "deadline"].includes(code)) {
      this.#socket.close(1000);
      this.#over(false);
    } else if (this.state === "leaving") {
      this.state = "closed";
      this.#end();
    } else {
      this.state = "left";
      this.#letStart();
    }
  }

  /** After the server's goodbye this end says its own, when nothing is under way any more. */
  #settle() {
    if (this.state === "left" && this.#calls.size === 0 && this.#answering.size === 0) this.leave();
  }

  /**
   * @param {number} kind
   * @param {number} type
   * @param {number} id
   * @param {Uint8Array} payload
   * @param {number | bigint | null} [deadline] for how many milliseconds the server waits for the answer
   */
  #messageFrame(kind, type, id, payload, deadline) {
    if (kind === Kind.REPLY || kind === Kind.ERROR) {
      this.#answer(kind, type, id, payload);
      return;
    }
    const entry = this.theirs.entries[type - 1];
    /** @type {any} */
    let value;
    try {
      if (!entry) throw new TomadaError(`the server sent a type of the number ${type}, which it has not described`);
      value = this.theirs.structureFromWire(unpacker.decode(payload), entry);
    } catch (error) {
      this.#refuse(id, ["invalid", entry?.name ?? "", String(error)]);
      return;
    }
    if (kind === Kind.SEND) {
      if (!this.#owner.message(this, entry, value)) this.#refuse(0, ["unknown type", entry.name, `nobody handles ${entry.name} here`]);
      return;
    }
    const controller = new AbortController();
    const answer = this.#owner.request(this, entry, Object.defineProperty(value, "signal", { value: controller.signal }));
    if (!answer) {
      this.#refuse(id, ["unknown type", entry.name, `nobody handles ${entry.name} here`]);
      return;
    }
    this.#answering.set(id, controller);
    const isTimed = deadline != null && deadline <= LONGEST_TIMER;
    const late = isTimed ? new TimedOut(`no reply within the ${deadline} ms that the server gave it`) : null;
    const timer = isTimed ? setTimeout(() => controller.abort(late), Number(deadline)) : 0;
    answer
      .then((reply) => this.#reply(id, entry, reply))
      .catch((error) => {
        if (late && controller.signal.reason === late) this.#refuse(id, ["deadline", "", late.message]);
        else if (controller.signal.aborted) this.#refuse(id, ["cancelled", "", ""]);
        else this.#refuse(id, ["raised", error?.name ?? "Error", error?.message ?? String(error)]);
      })
      .finally(() => {
        clearTimeout(timer);
        this.#answering.delete(id);
        this.#settle();
      });
  }

  /** @param {number} id @param {string[]} failure */
  #refuse(id, failure) {
    if (this.state !== "closed") this.#message(Kind.ERROR, 0, id, packer.encode(failure));
  }

  /** @param {number} id @param {Entry} entry @param {any} reply */
  #reply(id, entry, reply) {
    const type = entry.reply ?? { is: "scalar", name: "None" };
    const wire = this.theirs.toWire(reply, type, `the reply to ${entry.name}`);
    const message = type.is === "name" ? this.theirs.byName.get(type.name) : undefined;
    const number = message?.kind === "message" ? this.#number(message) : 0;
    const payload = this.#packed(wire, `the reply to ${entry.name}`);
    if (this.state !== "closed") this.#message(Kind.REPLY, number, id, payload);
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
    if (!call.isOver) {
      try {
        if (kind === Kind.ERROR) call.reject(this.#remoteError(type, payload));
        else call.resolve(this.#replyValue(call, type, payload));
      } catch (error) {
        call.reject(error);
      }
    }
    this.#letStart();
  }

  /** @param {Call} call @param {number} type @param {Uint8Array} payload */
  #replyValue(call, type, payload) {
    const value = unpacker.decode(payload);
    const entry = type === 0 ? undefined : this.theirs.entries[type - 1];
    return entry ? this.theirs.structureFromWire(value, entry) : this.theirs.fromWire(value, call.reply);
  }

  /** @param {number} type @param {Uint8Array} payload @returns {RemoteError | TimedOut} */
  #remoteError(type, payload) {
    const value = /** @type {any} */ (unpacker.decode(payload));
    const entry = type === 0 ? undefined : this.theirs.entries[type - 1];
    if (entry) {
      const fields = this.theirs.structureFromWire(value, entry);
      const text = Object.entries(fields).map(([name, item]) => `${name}=${shown(item)}`).join(", ");
      return new RemoteError("error", entry.name, text, fields);
    }
    const [code, name = "", text = ""] = value;
    if (code === "deadline") return new TimedOut(text);
    return new RemoteError(code, name || code, text);
  }
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

// ---------------------------------------------------------------------------------------------------------------------
// The connection, as programs see it

/**
 * @typedef {object} ConnectOptions
 * @property {boolean} [reconnect] Connect again when the connection is lost, until `close`; by default it stays lost.
 * @property {number} [timeout] Milliseconds that one attempt may take; 5,000 by default.
 * @property {number} [heartbeat] After so many milliseconds of silence the server is asked for a sign, and after twice as
 *   many the connection is lost; 30,000 by default, `Infinity` is never.
 * @property {typeof WebSocket} [WebSocket] The class to use where the platform has none, such as that of the package ws.
 */

/**
 * A connection to a tomada server. Got from `connect`.
 *
 * Events, which are `CustomEvent`s whose `detail.reason` says why: `lost` (it will be tried again), `reconnected`, and
 * at the end, once, `close`. Each is also the property `onlost`, `onreconnected`, `onclose`.
 */
export class Connection extends EventTarget {
  /** @type {((event: CustomEvent) => void) | null} */
  onclose = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onlost = null;
  /** @type {((event: CustomEvent) => void) | null} */
  onreconnected = null;

  /** @type {string} */
  #url;
  /** @type {ConnectOptions} */
  #options;
  /** @type {Link | null} */
  #link = null;
  /** @type {Map<string, Set<(message: any) => any>>} */
  #handlers = new Map();
  #isClosing = false;
  #reason = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Promise<void>} */
  #closed;
  #tellClosed = () => {};

  /** @param {string} url @param {ConnectOptions} options Use `connect`, which waits until the connection is open. */
  constructor(url, options) {
    super();
    this.#url = url;
    this.#options = options;
    this.#closed = new Promise((resolve) => { this.#tellClosed = resolve; });
  }

  /** One attempt. Rejects with `ConnectFailed`. Called by `connect`. */
  async open() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) throw new ConnectFailed("this platform has no WebSocket: give one as the option WebSocket");
    const link = new Link(new Socket(this.#url, [SUBPROTOCOL]), {
      message: (_link, entry, value) => this.#message(entry, value),
      request: (_link, entry, value) => this.#request(entry, value),
      lost: (lost, reason, isOrderly) => this.#lost(lost, reason, isOrderly),
    });
    await link.open(this.#url, this.#options.timeout ?? HANDSHAKE_TIME);
    this.#link = link;
    this.#reason = "";
    link.watch(this.#options.heartbeat ?? HEARTBEAT);
    if (this.#isClosing) link.leave();
  }

  /** Whether messages can be sent at this moment. */
  get isOpen() {
    return this.#link?.state === "open";
  }

  /** Why there is no connection; empty while there is one. */
  get reason() {
    return this.#link?.reason || this.#reason;
  }

  /** What the server handles: names, kinds, fields with their types, and the first lines of their documentation. */
  get types() {
    return (this.#link?.theirs.entries ?? []).filter((entry) => entry.handled).map((entry) => ({
      name: entry.name,
      kind: entry.kind,
      fields: Object.fromEntries(entry.fields.map((field) => [field.name, field.text])),
      reply: entry.reply && typeText(entry.reply),
      doc: entry.doc,
    }));
  }

  /**
   * The server's reply to a request.
   *
   * Rejects with `MessageError` (it does not fit its type, and has not been sent), `RemoteError` (the handler raised),
   * `TimedOut`, `ConnectionLost`, or the signal's own reason. A request that is given up is cancelled at the server.
   *
   * @param {string} name of the request's type
   * @param {Record<string, any>} [fields]
   * @param {{ timeout?: number, signal?: AbortSignal }} [options] the time-out in milliseconds; none by default
   * @returns {Promise<any>}
   */
  async ask(name, fields = {}, options = {}) {
    return this.#opened().ask(name, fields, options);
  }

  /**
   * Sends a one-way message; resolves when the browser has taken it. Rejects with `MessageError` or `ConnectionLost`.
   *
   * @param {string} name of the message's type
   * @param {Record<string, any>} [fields]
   * @returns {Promise<void>}
   */
  async send(name, fields = {}) {
    return this.#opened().send(name, fields);
  }

  /**
   * Calls `handler` with each message `name` that the server sends, also after a reconnect. Where the server asks
   * (`name` is a request), what the handler returns, or its promise, is the reply; an error that it throws goes back;
   * `request.signal` tells when the answer is not wanted any more.
   *
   * @param {string} name
   * @param {(message: any) => any} handler
   * @returns {() => void} takes it back
   */
  on(name, handler) {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /** The time to the server and back, in milliseconds. Rejects with `ConnectionLost`. */
  async ping() {
    return this.#opened().ping();
  }

  /** Says goodbye, lets what is under way end (for up to ten seconds), and closes. */
  async close() {
    if (!this.#isClosing) {
      this.#isClosing = true;
      clearTimeout(this.#timer);
      if (this.#link && this.#link.state !== "closed") this.#link.leave();
      else this.#end(this.#reason || "the connection was closed at this end");
    }
    return this.#closed;
  }

  #opened() {
    if (this.#link?.state !== "open") throw new ConnectionLost(this.reason || "the connection is not open");
    return this.#link;
  }

  /** @param {Entry} entry @param {any} value */
  #message(entry, value) {
    const handlers = this.#handlers.get(entry.name);
    for (const handler of handlers ?? []) {
      // One that throws is told like any uncaught error, and the others run.
      try {
        handler(value);
      } catch (error) {
        reportError(error);
      }
    }
    return Boolean(handlers?.size);
  }

  /** @param {Entry} entry @param {any} value */
  #request(entry, value) {
    const [handler] = this.#handlers.get(entry.name) ?? [];
    return handler && Promise.resolve(value).then(handler);
  }

  /** @param {Link} link @param {string} reason @param {boolean} isOrderly */
  #lost(link, reason, isOrderly) {
    if (link !== this.#link) return;
    this.#reason = reason;
    if (this.#isClosing || !this.#options.reconnect) {
      this.#end(reason, isOrderly);
      return;
    }
    this.#tell("lost", { reason });
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
      if (!this.#isClosing) this.#tell("reconnected", { reason: "" });
    }, pause * (0.5 + Math.random() / 2));
  }

  /** @param {string} reason @param {boolean} [isOrderly] */
  #end(reason, isOrderly = true) {
    this.#reason = reason;
    this.#tellClosed();
    this.#tell("close", { reason, wasClean: isOrderly });
  }

  /** @param {"close" | "lost" | "reconnected"} name @param {{ reason: string, wasClean?: boolean }} detail */
  #tell(name, detail) {
    const event = new CustomEvent(name, { detail });
    this[`on${name}`]?.(event);
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
