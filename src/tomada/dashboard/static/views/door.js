/**
 * Who comes without a token, where one is needed, is asked for it.
 *
 * @module
 */

// @ts-check

import { h } from "../app/dom.js";
import { token } from "../app/route.js";
import { t } from "../app/texts.js";

/** @param {import("../app/feed.js").Feed} feed @returns {import("./view.js").View} */
export function doorView(feed) {
  const input = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, maxlength: 200 });
  const form = h("form", {
    class: "door panel", submit: (event) => {
      event.preventDefault();
      feed.useToken(input.value.trim());
    },
  },
  h("h2", {}, t("denied")), h("p", {}, t(token() ? "deniedWrong" : "deniedHint")),
  h("label", { for: "token" }, t("token")),
  h("div", { class: "door-row" }, input, h("button", { class: "button primary" }, t("open"))));
  return { element: h("div", { class: "page" }, form), title: () => t("denied"), watch: { count: 0 }, update: () => {} };
}
