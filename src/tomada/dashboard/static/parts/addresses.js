/**
 * The addresses where a server listens, to be copied; and a first command for one of them.
 *
 * @module
 */

// @ts-check

import { KeyedList, h, setText } from "../app/dom.js";
import { copyButton } from "./controls.js";

export function addressList() {
  const element = h("ul", { class: "addresses" });
  /** @type {KeyedList<string>} */
  const list = new KeyedList(element, (address) => address, (address) => {
    const code = h("code", {}, address);
    return { element: h("li", {}, code, copyButton(() => address)), update: () => setText(code, address) };
  });
  return {
    element,
    /** @param {string[]} addresses */
    update: (addresses) => list.show(addresses),
  };
}

/** As the command line takes it for short. @param {string[]} addresses */
export function shortAddress(addresses) {
  const address = addresses.find((one) => /^(tcp|ws|unix):/.test(one)) ?? addresses[0] ?? "ADDRESS";
  return address.replace(/^tcp:\/\/(127\.0\.0\.1|localhost)?:/, ":").replace(/^tcp:\/\//, "");
}

/** A command that a server with nobody connected may be tried with. @param {import("../app/feed.js").Picture} picture */
export function firstCommand(picture) {
  return `tomada types ${shortAddress(picture.addresses)}`;
}
