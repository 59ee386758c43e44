/**
 * Control frames in words: which place in their arrays means what.
 *
 * @module
 */

// @ts-check

import { Kind } from "../tomada/client/frames.js";

/** @type {Record<string, string>} */
const METADATA = { d: "deadline (ms)", k: "key" };
const LIMITS = ["frame_bytes", "message_bytes", "requests", "buffer_bytes", "stream_bytes"];

/** @param {number} kind @param {any[]} said @returns {any} */
export function described(kind, said) {
  switch (kind) {
    case Kind.HELLO: {
      const [protocol, oldest, newest, software, limits, types, wishes, , resume] = said;
      return { protocol, versions: `${oldest}–${newest}`, software, limits: named(LIMITS, limits), types: typesOf(types), wishes, resume };
    }
    case Kind.WELCOME: {
      const [protocol, version, software, limits, types, features, session] = said;
      return { protocol, version, software, limits: named(LIMITS, limits), types: typesOf(types), features, session };
    }
    case Kind.DECLARE: return { types: typesOf(said) };
    case Kind.ACKNOWLEDGE: return { normal: handled(said[0]), urgent: handled(said[1]) };
    case Kind.GOODBYE: return named(["code", "reason"], said);
    default: return said;
  }
}

/** What a request says beside itself. @param {Record<string, any>} metadata */
export function metadataOf(metadata) {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [METADATA[name] ?? name, value]));
}

/** @param {string[]} names @param {any[]} values */
function named(names, values) {
  return Object.fromEntries((values ?? []).map((value, at) => [names[at] ?? String(at), value]));
}

/** One line for each: `Transfer(source: str, …) → Receipt`. @param {any[][]} types */
function typesOf(types) {
  return (types ?? []).map(([name, kind, fields = [], reply = null, , , , , , items = null]) => {
    const inside = kind === "enum" ? fields.map((/** @type {any[]} */ [member]) => member)
      : fields.map((/** @type {any[]} */ [field, type]) => `${field}: ${type}`);
    return `${name}(${inside.join(", ")})${reply ? ` → ${reply}` : ""}${items ? ` → ${items} …` : ""}`;
  });
}

/** @param {any} lane */
function handled([upTo, exceptions] = [0, []]) {
  return exceptions?.length > 0 ? { up_to: upTo, except: exceptions } : { up_to: upTo };
}
