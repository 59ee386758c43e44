/**
 * The form of one type, and what came of it.
 *
 * @module
 */

// @ts-check

import { h, replace, setAttribute, setText, show } from "../app/dom.js";
import { linkTo } from "../app/route.js";
import { t } from "../app/texts.js";
import { command, pill, segments } from "../parts/controls.js";
import { typeText } from "../tomada/client/expressions.js";
import { Call, FrameList } from "./call.js";
import { commandOf } from "./command.js";
import { Reader, isObject, jsonDraft } from "./draft.js";
import { Examples } from "./examples.js";
import { Form } from "./form.js";
import { valueView } from "./values.js";

/**
 * @typedef {import("./application.js").Application} Application
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 */

const MOST_EARLIER = 10;
const MOST_UNASKED = 50;
/** Linux takes 128 KiB for one word. */
const LONGEST_COMMAND = 100_000;

/** What was written stays while other pages are looked at. @type {Map<string, Record<string, any>>} */
const drafts = new Map();
const options = { key: "", timeout: "10", urgent: false };

/** @param {Entry} entry @returns {"message" | "request" | "stream" | "upload" | "duplex"} */
export function wayOf({ kind, items, parts }) {
  if (kind === "message") return "message";
  if (parts) return items ? "duplex" : "upload";
  return items ? "stream" : "request";
}

export class TryOne {
  element;
  #application;
  #entry;
  #draft;
  #addresses;
  #fields = h("div", { class: "fields" });
  /** @type {Form | null} */
  #form = null;
  #json = h("textarea", { class: "mono json", rows: 10, spellcheck: "false", "aria-label": t("json"), input: () => this.#typed() });
  #isJson = false;
  #problem = h("p", { class: "error-text", role: "alert", hidden: true });
  #command = h("div", { class: "command-place" });
  #shownCommand = "";
  #parts = h("textarea", { class: "mono growing", rows: 3, spellcheck: "false" });
  #submit;
  #result = h("div", { class: "result" });
  #earlier = h("div", { class: "earlier" });
  /** @type {Call[]} */
  #calls = [];
  #unasked = h("section", { class: "unasked", hidden: true }, h("h3", {}, t("unasked")));
  /** @param {CustomEvent} event */
  #message = (event) => this.#came(event.detail);

  /** @param {Application} application @param {Entry} entry @param {string[]} addresses of the server */
  constructor(application, entry, addresses) {
    this.#application = application;
    this.#entry = entry;
    this.#addresses = addresses;
    this.#draft = drafts.get(entry.name) ?? new Examples(application.catalogue).structure(entry);
    drafts.set(entry.name, this.#draft);
    const word = t(entry.kind === "message" ? "send" : entry.items ? "stream" : "ask");
    this.#submit = h("button", { class: "button primary" }, word, h("kbd", { "aria-hidden": "true" }, "Ctrl ⏎"));
    this.element = h("div", { class: "try-one" }, this.#head(), h("div", { class: "try-columns" }, this.#formPanel(), this.#resultPanel()));
    this.#application.addEventListener("message", /** @type {any} */ (this.#message));
    this.#fill();
  }

  #head() {
    const { name, doc, reply, items, parts } = this.#entry;
    const word = pill("way");
    word.update(wayOf(this.#entry));
    setText(word.element, t(`${wayOf(this.#entry)}Kind`));
    const answers = [[t("replies"), reply], [t("items"), items], [t("parts"), parts]].filter(([, type]) => type);
    return h("div", { class: "try-head" },
      h("a", { class: "to-list", href: linkTo("try") }, `‹ ${t("types")}`),
      h("h2", {}, name, word.element), doc ? h("p", { class: "doc" }, doc) : null,
      h("p", { class: "answers" }, ...answers.map(([what, type]) => h("span", {}, `${what} `, h("code", {}, typeText(/** @type {any} */ (type)))))));
  }

  #formPanel() {
    const modes = segments(t("fields"), [["form", t("form")], ["json", t("json")]], "form", (name) => {
      this.#isJson = name === "json";
      this.#fill();
    });
    const reset = h("button", { type: "button", class: "button slim", click: () => this.#reset() }, t("reset"));
    return h("form", {
      class: "panel try-form", novalidate: true, "aria-label": this.#entry.name,
      submit: (event) => { event.preventDefault(); this.#run(); },
      keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.#run(); } },
    },
    h("div", { class: "form-head" }, modes, reset), this.#fields, this.#entry.parts && this.#partsField(),
    this.#optionFields(), this.#problem, h("div", { class: "form-foot" }, this.#submit),
    h("div", { class: "same" }, h("h3", {}, t("commandLine")), this.#command));
  }

  #partsField() {
    const example = new Examples(this.#application.catalogue);
    if (this.#entry.parts) this.#parts.value = [1, 2].map(() => JSON.stringify(example.value(/** @type {any} */ (this.#entry.parts), "word"))).join("\n");
    this.#parts.id = "parts";
    return h("div", { class: "field" }, h("label", { for: "parts" }, t("partsJson"), h("span", { class: "type" }, typeText(/** @type {any} */ (this.#entry.parts)))), this.#parts);
  }

  #optionFields() {
    const changed = () => { options.timeout = timeout.value; options.key = key.value; options.urgent = urgent.checked; this.#showCommand(); };
    const timeout = h("input", { type: "number", min: 0, step: "any", id: "timeout", class: "short", input: changed });
    const key = h("input", { type: "text", id: "key", maxlength: 200, autocomplete: "off", class: "short", title: t("requestKeyHint"), input: changed });
    const urgent = h("input", { type: "checkbox", id: "urgent", change: changed });
    timeout.value = options.timeout;
    key.value = options.key;
    urgent.checked = options.urgent;
    const isAnswered = this.#entry.kind !== "message";
    return h("details", { class: "options" }, h("summary", {}, t("options")), h("div", { class: "option-row" },
      isAnswered && h("label", { for: "timeout" }, t("timeout"), timeout),
      isAnswered && h("label", { for: "key" }, t("requestKey"), key),
      h("label", { for: "urgent", class: "check", title: t("urgentHint") }, urgent, t("urgent"))));
  }

  #resultPanel() {
    const handshake = new FrameList(t("handshakeFrames"));
    handshake.add(this.#application.handshake);
    replace(this.#result, h("p", { class: "quiet" }, t("noResult")));
    return h("section", { class: "panel try-result", "aria-label": t("result") },
      h("h2", {}, t("result")), this.#result, this.#unasked, this.#earlier, h("div", { class: "handshake" }, handshake.element));
  }

  #reset() {
    this.#draft = new Examples(this.#application.catalogue).structure(this.#entry);
    drafts.set(this.#entry.name, this.#draft);
    this.#fill();
  }

  #fill() {
    this.#form = null;
    if (this.#isJson) {
      this.#json.value = JSON.stringify(this.#draft, null, 2);
      replace(this.#fields, this.#json);
    } else {
      this.#form = new Form(this.#application.catalogue, this.#entry, this.#draft, () => this.#changed());
      replace(this.#fields, this.#form.element);
    }
    this.#tell([]);
    this.#showCommand();
  }

  #changed() {
    if (this.#problem.textContent) this.#read();
    this.#showCommand();
  }

  /** The form keeps what it had while this is not an object. */
  #typed() {
    const draft = jsonDraft(this.#json.value);
    if (isObject(draft)) {
      this.#draft = draft;
      drafts.set(this.#entry.name, draft);
      this.#showCommand();
    }
    this.#read();
  }

  /** The value of the form; null where something is wrong with it, which is told. */
  #read() {
    const reader = new Reader(this.#application.catalogue);
    const draft = this.#isJson ? jsonDraft(this.#json.value) : this.#draft;
    const value = reader.structure(draft, this.#entry, "");
    this.#tell(reader.problems);
    return reader.problems.length > 0 ? null : value;
  }

  /** @param {import("../trying/draft.js").Problem[]} problems */
  #tell(problems) {
    this.#form?.showProblems(problems);
    const [first] = problems;
    show(this.#problem, problems.length > 0);
    const more = problems.length > 1 ? ` (${t("isInvalid", { count: problems.length })})` : "";
    setText(this.#problem, first ? `${first.path ? `${first.path}: ` : ""}${first.text}${more}` : "");
  }

  /** @param {string[]} addresses */
  showAddresses(addresses) {
    if (addresses.join() === this.#addresses.join()) return;
    this.#addresses = addresses;
    this.#showCommand();
  }

  #showCommand() {
    const text = this.#entry.parts ? "" : commandOf(this.#addresses, this.#entry, this.#draft, { key: options.key, timeout: options.timeout === "10" ? "" : options.timeout });
    if (text === this.#shownCommand && this.#command.childElementCount > 0) return;
    this.#shownCommand = text;
    const isLong = text.length > LONGEST_COMMAND;
    replace(this.#command, text && !isLong ? command(text) : h("p", { class: "quiet" }, t(isLong ? "longCommand" : "noCommand")));
  }

  // Calls.

  #run() {
    const value = this.#read();
    if (value === null) return;
    /** @type {import("../trying/call.js").Options} */
    const how = { urgent: options.urgent };
    if (this.#entry.kind !== "message") {
      if (Number(options.timeout) > 0 && !this.#entry.items) how.timeout = 1000 * Number(options.timeout);
      if (options.key) how.key = options.key;
    }
    if (this.#entry.parts) {
      const parts = this.#readParts(this.#entry.parts);
      if (!parts) return;
      how.upload = parts;
    }
    this.#begin(value, how);
  }

  /** @param {any} value @param {import("../trying/call.js").Options} how */
  #begin(value, how) {
    const [before] = this.#calls;
    before?.leave();
    const call = new Call(this.#application, this.#entry, () => this.#showBusy());
    this.#calls.unshift(call);
    for (const forgotten of this.#calls.splice(MOST_EARLIER)) forgotten.stop();
    if (before) {
      this.#earlier.prepend(before.element);
      while (this.#earlier.childElementCount >= MOST_EARLIER) this.#earlier.lastElementChild?.remove();
    }
    replace(this.#result, call.element);
    this.#showBusy();
    call.run(value, how);
  }

  #showBusy() {
    setAttribute(this.#submit, "aria-busy", this.#calls[0]?.state === "running" ? "true" : null);
  }

  /** @param {import("../tomada/client/expressions.js").Type} type */
  #readParts(type) {
    const reader = new Reader(this.#application.catalogue);
    try {
      const lines = this.#parts.value.split("\n").filter((line) => line.trim());
      const parts = lines.map((line, at) => reader.value(JSON.parse(line), type, `${at + 1}`));
      this.#tell(reader.problems);
      return reader.problems.length > 0 ? null : parts;
    } catch (error) {
      this.#tell([{ path: t("partsJson"), text: error instanceof Error ? error.message : String(error) }]);
      return null;
    }
  }

  /** @param {{ name: string, value: any }} message */
  #came({ name, value }) {
    show(this.#unasked, true);
    this.#unasked.append(h("div", { class: "json-value" }, h("span", { class: "value-type" }, name), valueView(value)));
    if (this.#unasked.childElementCount > MOST_UNASKED) this.#unasked.children[1]?.remove();
  }

  dispose() {
    this.#application.removeEventListener("message", /** @type {any} */ (this.#message));
    for (const call of this.#calls) {
      call.stop();
      call.leave();
    }
  }
}
