/**
 * Buttons, pills, bars and the like.
 *
 * @module
 */

// @ts-check

import { h, setAttribute, setText } from "../app/dom.js";
import { maybe, t } from "../app/texts.js";
import { icon } from "./icons.js";

const COPIED_TIME = 1_500;

/**
 * A button with a drawing only; its name is what a screen reader says, and its title.
 *
 * @param {import("./icons.js").Icon} name
 * @param {string} label
 * @param {() => void} act
 * @param {string} [tone]
 */
export function iconButton(name, label, act, tone = "") {
  return h("button", { type: "button", class: `icon-button ${tone}`, "aria-label": label, title: label, click: act }, icon(name));
}

/**
 * @param {string} label
 * @param {() => void} act
 * @param {{ tone?: string, icon?: import("./icons.js").Icon }} [options]
 */
export function button(label, act, options = {}) {
  const drawing = options.icon && icon(options.icon);
  return h("button", { type: "button", class: `button ${options.tone ?? ""}`, click: act }, drawing, h("span", {}, label));
}

/** A button that copies the text of that moment. @param {() => string} text */
export function copyButton(text) {
  const made = iconButton("copy", t("copy"), async () => {
    await copyText(text());
    made.classList.add("done");
    setAttribute(made, "aria-label", t("copied"));
    setTimeout(() => {
      made.classList.remove("done");
      setAttribute(made, "aria-label", t("copy"));
    }, COPIED_TIME);
  });
  return made;
}

/** @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a page that is not from this machine, nor over TLS, has no clipboard
    const area = h("textarea", { class: "away" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A command, to be copied. @param {string} text */
export function command(text) {
  return h("div", { class: "command" }, h("code", {}, text), copyButton(() => text));
}

/** A word in a tone; the states and kinds of the server have texts. @param {string} family such as "state" */
export function pill(family) {
  const element = h("span", { class: "pill" });
  return {
    element,
    /** @param {string} word */
    update(word) {
      setText(element, maybe(`${family}.${word}`, word));
      setAttribute(element, "class", `pill ${family}-${word.replace(/[^a-z]/g, "")}`);
    },
  };
}

/**
 * Which part of a whole is used, as a bar.
 *
 * @param {string} label what a screen reader says it is
 * @param {string} [tone]
 */
export function bar(label, tone = "") {
  const fill = h("span", { class: "fill" });
  const element = h("span", { class: `bar ${tone}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  return {
    element,
    /** @param {number} part from 0 to 1 @param {string} text */
    update(part, text) {
      const share = Math.min(1, Math.max(0, Number.isFinite(part) ? part : 0));
      const width = `${share > 0 ? Math.max(3, Math.round(100 * share)) : 0}%`;
      if (fill.style.width !== width) fill.style.width = width;
      element.classList.toggle("high", share > 0.8);
      setAttribute(element, "aria-valuenow", Math.round(100 * share));
      setAttribute(element, "aria-valuetext", text);
      setAttribute(element, "title", `${label}: ${text}`);
    },
  };
}

/**
 * Where there is nothing: why, and what to do about it.
 *
 * @param {string} title
 * @param {...import("../app/dom.js").Child} hints
 */
export function empty(title, ...hints) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), ...hints.map((hint) => (
    typeof hint === "string" ? h("p", {}, hint) : hint
  )));
}

/**
 * @param {string} label
 * @param {(text: string) => void} changed
 */
export function searchField(label, changed) {
  const input = h("input", {
    type: "search", placeholder: label, "aria-label": label, autocomplete: "off", spellcheck: "false", maxlength: 200,
    input: () => changed(input.value),
  });
  const element = h("div", { class: "search" }, icon("search"), input, h("kbd", { "aria-hidden": "true" }, "/"));
  return { element, input };
}

/**
 * One of several, as buttons side by side.
 *
 * @template {string} Name
 * @param {string} label
 * @param {[Name, string][]} choices
 * @param {Name} chosen
 * @param {(name: Name) => void} changed
 */
export function segments(label, choices, chosen, changed) {
  const buttons = choices.map(([name, text]) => h("button", {
    type: "button", "aria-pressed": name === chosen ? "true" : "false", click: () => {
      buttons.forEach((one, at) => setAttribute(one, "aria-pressed", choices[at][0] === name ? "true" : "false"));
      changed(name);
    },
  }, text));
  return h("div", { class: "segments", role: "group", "aria-label": label }, ...buttons);
}

/** @param {string} title @param {...import("../app/dom.js").Child} children */
export function panel(title, ...children) {
  return h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), ...children);
}
