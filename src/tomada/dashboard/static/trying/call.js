/**
 * One call: it is made, and its outcome and its frames are shown.
 *
 * @module
 */

// @ts-check

import { h, replace, setText, show } from "../app/dom.js";
import { bytes, took, whole } from "../app/format.js";
import { t } from "../app/texts.js";
import { copyButton } from "../parts/controls.js";
import { hexView, jsonText, valueView } from "./values.js";

/**
 * @typedef {import("./tap.js").Seen} Seen
 * @typedef {import("../tomada/client/expressions.js").Entry} Entry
 * @typedef {{ timeout?: number, urgent?: boolean, key?: string, upload?: any[] }} Options
 */

const MOST_ITEMS = 200;
const MOST_FRAMES = 300;

export class Call {
  element;
  /** @type {"running" | "okay" | "failed" | "stopped"} */
  state = "running";
  #application;
  #entry;
  #controller = new AbortController();
  #begun = performance.now();
  #status = h("span", { class: "call-status running", role: "status" }, t("underWay"));
  #time = h("span", { class: "call-time" });
  #outcome = h("div", { class: "outcome" });
  #frames = new FrameList();
  #stop;
  #count = 0;
  /** @type {any} */
  #value;
  /** @param {CustomEvent} event */
  #seen = (event) => this.#frames.add([event.detail]);

  /**
   * @param {import("./application.js").Application} application
   * @param {Entry} entry
   * @param {() => void} ended
   */
  constructor(application, entry, ended) {
    this.#application = application;
    this.#entry = entry;
    this.ended = ended;
    this.#stop = h("button", { type: "button", class: "button slim", click: () => this.stop() }, t("stop"));
    const copy = copyButton(() => jsonText(this.#value) ?? "");
    this.element = h("div", { class: "call" },
      h("div", { class: "call-head" }, this.#status, this.#time, this.#stop, copy),
      this.#outcome, this.#frames.element);
    application.addEventListener("frame", /** @type {any} */ (this.#seen));
  }

  /** @param {any} value @param {Options} options */
  async run(value, options) {
    const connection = this.#application.connection;
    const { name, kind, items } = this.#entry;
    const all = { ...options, signal: this.#controller.signal };
    try {
      if (!connection) throw new Error(this.#application.reason);
      if (kind === "message") await connection.send(name, value, all);
      else if (items) await this.#follow(connection.stream(name, value, all));
      else this.#show(await connection.ask(name, value, all));
      this.#end("okay", t(kind === "message" ? "accepted_" : "okay"));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {AsyncIterable<any>} stream */
  async #follow(stream) {
    const rows = h("ol", { class: "stream-items" });
    const note = h("p", { class: "quiet", role: "status" });
    replace(this.#outcome, note, rows);
    this.#value = [];
    for await (const item of stream) {
      this.#count += 1;
      this.#value.push(item);
      rows.append(h("li", {}, h("span", { class: "at" }, took(this.#elapsed())), valueView(item)));
      if (this.#count > MOST_ITEMS) {
        rows.firstElementChild?.remove();
        this.#value.shift();
      }
      const dropped = this.#count > MOST_ITEMS ? ` · ${t("itemsDropped", { count: MOST_ITEMS })}` : "";
      setText(note, t("itemsCame", { count: this.#count }) + dropped);
    }
    setText(note, t("itemsCame", { count: this.#count }));
  }

  /** @param {any} value */
  #show(value) {
    this.#value = value;
    const type = this.#entry.reply && h("span", { class: "value-type" }, nameOf(this.#entry));
    replace(this.#outcome, h("div", { class: "json-value" }, type, valueView(value)));
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#controller.signal.aborted) {
      this.#end("stopped", t("cancelled"));
      return;
    }
    const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
    const fields = error instanceof Error && "fields" in error ? error.fields : {};
    const type = error instanceof Error && "type" in error ? String(error.type) : name;
    const hasFields = typeof fields === "object" && fields !== null && Object.keys(fields).length > 0;
    this.#value = hasFields ? { error: type, ...fields } : { error: type, message };
    const text = message.startsWith(`${type}: `) ? message.slice(type.length + 2) : message;
    const told = h("div", { class: "failure" }, h("strong", {}, type), hasFields ? valueView(fields) : h("p", {}, text));
    this.#outcome.append(told);
    this.#end("failed", t("failed_"));
  }

  #elapsed() {
    return (performance.now() - this.#begun) / 1000;
  }

  /** @param {"okay" | "failed" | "stopped"} state @param {string} text */
  #end(state, text) {
    this.state = state;
    setText(this.#status, text);
    this.#status.className = `call-status ${state}`;
    setText(this.#time, took(this.#elapsed()));
    show(this.#stop, false);
    this.ended();
  }

  /** Nobody wants the answer any more. */
  stop() {
    if (this.state === "running") this.#controller.abort(new Error(t("cancelled")));
  }

  /** No more frames are its own: another call begins, or the page is left. */
  leave() {
    this.#application.removeEventListener("frame", /** @type {any} */ (this.#seen));
  }
}

/** @param {Entry} entry */
function nameOf({ reply }) {
  return reply?.is === "name" ? reply.name : "";
}

/** Frames, each of which can be opened. */
export class FrameList {
  element;
  #rows = h("ol", { class: "wire-frames" });
  #count = h("span", { class: "count" });
  #first = -1;
  #size = 0;

  /** @param {string} [title] */
  constructor(title = t("frames")) {
    this.element = h("section", { class: "wire", "aria-label": title, hidden: true }, h("h3", {}, title, this.#count), this.#rows);
  }

  /** @param {Seen[]} frames */
  add(frames) {
    for (const seen of frames) {
      if (this.#first < 0) this.#first = seen.at;
      this.#size += 1;
      if (this.#size <= MOST_FRAMES) this.#rows.append(this.#made(seen));
    }
    const left = this.#size > MOST_FRAMES ? ` · ${t("framesLeft", { count: MOST_FRAMES })}` : "";
    setText(this.#count, `${whole(this.#size)}${left}`);
    show(this.element, this.#size > 0);
  }

  /** @param {Seen} seen */
  #made(seen) {
    const body = h("div", { class: "frame-body" });
    const details = h("details", { class: `wire-frame ${seen.isReceived ? "received" : "sent"} ${seen.lane}`, toggle: () => {
      if (body.childElementCount === 0) replace(body, decodedView(seen), hexView(seen.bytes, seen.size));
    } }, h("summary", {},
      h("span", { class: "at" }, `+${took((seen.at - this.#first) / 1000)}`),
      h("span", { class: "way", "aria-label": t(seen.isReceived ? "received" : "sent") }, seen.isReceived ? "←" : "→"),
      h("span", { class: "kind" }, seen.kind), h("span", { class: "name" }, seen.name),
      seen.id ? h("span", { class: "number" }, `#${seen.id}`) : null,
      seen.lane === "urgent" ? h("span", { class: "lane-mark" }, t("lane.urgent")) : null,
      h("span", { class: "size" }, bytes(seen.size))), body);
    return h("li", {}, details);
  }
}

/** @param {Seen} seen */
function decodedView(seen) {
  try {
    return h("div", { class: "json-value" }, valueView(seen.decoded()));
  } catch (error) {
    return h("p", { class: "quiet" }, error instanceof Error ? error.message : String(error));
  }
}
