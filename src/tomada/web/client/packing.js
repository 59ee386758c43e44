/**
 * MessagePack, as the protocol writes it.
 *
 * @module
 */

// @ts-check

import { Decoder, Encoder } from "../msgpack/index.mjs";

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

export const packer = new Packer();
export const unpacker = new Decoder({
  useBigInt64: true,
  mapKeyConverter: (/** @type {any} */ key) => (typeof key === "number" ? key : String(key)),
});
