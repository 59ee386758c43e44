/**
 * The catalogue of a server: what it describes, and the way of values to the wire and back.
 *
 * @module
 */

// @ts-check

import { MessageError, TomadaError } from "./errors.js";
import { ExpressionReader, misfit, namesIn, shown } from "./expressions.js";

/**
 * @typedef {import("./expressions.js").Type} Type
 * @typedef {import("./expressions.js").Field} Field
 * @typedef {import("./expressions.js").Entry} Entry
 */

/** @param {string | null | undefined} text */
function typeOf(text) {
  return text == null ? null : new ExpressionReader(text).read();
}

/** How each is used, for the text of an error. */
const RIGHT = {
  send: { what: "message", say: "send it" },
  ask: { what: "request", say: "ask it" },
  stream: { what: "request with a stream of items", say: "stream it" },
};

/** @param {Entry} entry @returns {"send" | "ask" | "stream" | null} */
function wayOf(entry) {
  if (entry.kind === "message") return "send";
  if (entry.kind !== "request") return null;
  return entry.items ? "stream" : "ask";
}

/** What the server describes, and the way of values to the wire and back. */
export class Catalogue {
  /** @type {Entry[]} */
  entries = [];
  /** @type {Map<string, Entry>} */
  byName = new Map();

  /** @param {any[][]} raws as they come in welcome and declare */
  add(raws) {
    for (const raw of raws) {
      const [name, kind, fields = [], reply = null, , handled = false, tag = null, keyed = false, doc = "", items, parts] = raw;
      /** @type {Entry} */
      const entry = {
        name, kind, handled, tag, keyed, doc, raw,
        fields: fields.map((/** @type {any[]} */ [field, text, fallback = null]) => ({
          name: field, text, fallback, type: new ExpressionReader(text).read(),
        })),
        reply: typeOf(reply), items: typeOf(items), parts: typeOf(parts),
      };
      this.entries.push(entry);
      this.byName.set(name, entry);
    }
  }

  /**
   * The entry of `name`, which the server must handle, and which is to be used in that way.
   *
   * @param {string} name
   * @param {"send" | "ask" | "stream"} way
   */
  handled(name, way) {
    const entry = this.byName.get(name);
    const right = entry?.handled ? wayOf(entry) : null;
    if (entry && right === way) return entry;
    if (right) throw new MessageError(`${name} is a ${RIGHT[right].what}: ${RIGHT[right].say}`);
    const known = this.entries.filter((one) => one.handled && wayOf(one) === way).map((one) => one.name);
    throw new MessageError(`the server handles no ${RIGHT[way].what} ${name}; it handles ${known.join(", ") || "none"}`);
  }

  /**
   * A reply, or an item or a part of a stream, as it goes; and its type's entry, where that is a message: then the
   * frame carries its number.
   *
   * @param {any} value
   * @param {Type} type
   * @param {string} where
   * @returns {{ wire: any, entry: Entry | null }}
   */
  answerToWire(value, type, where) {
    if (type.is === "union") {
      for (const member of type.of) {
        if (!this.#messageOf(member)) continue;
        try {
          return this.answerToWire(value, member, where);
        } catch (error) {
          if (!(error instanceof MessageError)) throw error;
        }
      }
    }
    return { wire: this.toWire(value, type, where), entry: this.#messageOf(type) };
  }

  /** @param {Type} type */
  #messageOf(type) {
    const entry = type.is === "name" ? this.byName.get(type.name) : undefined;
    return entry?.kind === "message" ? entry : null;
  }

  /** `entry` and all that it names. @param {Entry} entry @returns {Entry[]} */
  closure(entry) {
    const found = new Set([entry]);
    for (const one of found) {
      const types = [...(one.kind === "enum" ? [] : one.fields.map((field) => field.type)), one.reply, one.items, one.parts];
      for (const name of types.flatMap((type) => (type ? namesIn(type) : []))) {
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
