/**
 * Questions, help and short notices.
 *
 * @module
 */

// @ts-check

import { h, setText } from "../app/dom.js";
import { t } from "../app/texts.js";

const NOTICE_TIME = 5_000;

/**
 * Whether the viewer agrees.
 *
 * @param {string} title
 * @param {string} text
 * @param {string} agree the button's word
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, agree) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h("div", { class: "dialog-buttons" },
        h("button", { type: "button", class: "button", click: () => dialog.close("") }, t("cancel")),
        h("button", { type: "button", class: "button danger", click: () => dialog.close("yes") }, agree)));
    opened(dialog, () => resolve(dialog.returnValue === "yes"));
  });
}

/** @param {HTMLDialogElement} dialog @param {() => void} closed */
function opened(dialog, closed) {
  const focused = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (focused instanceof HTMLElement && focused.isConnected) focused.focus();
    closed();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close("");
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** What the keys do. */
export function showKeys() {
  /** @type {[string[], string][]} */
  const rows = [
    [["/"], t("keySearch")],
    [["j", "k"], t("keyRows")],
    [["Enter"], t("keyOpen")],
    [["Esc"], t("keyBack")],
    [["1", "…", "7"], t("keyPages")],
    [["p"], t("keyPause")],
    [["Ctrl", "Enter"], t("keySend")],
    [["?"], t("keyHelp")],
  ];
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, t("keysTitle")),
    h("dl", { class: "keys" }, ...rows.flatMap(([keys, what]) => [
      h("dt", {}, ...keys.map((key) => (key === "…" ? "…" : h("kbd", {}, key)))), h("dd", {}, what),
    ])),
    h("div", { class: "dialog-buttons" },
      h("button", { type: "button", class: "button", click: () => dialog.close() }, t("close"))));
  opened(dialog, () => {});
}

const notices = h("div", { class: "notices", role: "status", "aria-live": "polite" });

/** Say something, for a moment. @param {string} text @param {"good" | "bad"} [tone] */
export function notice(text, tone = "good") {
  if (!notices.isConnected) document.body.append(notices);
  const element = h("div", { class: `notice ${tone}` });
  notices.append(element);
  setText(element, text);
  setTimeout(() => element.remove(), NOTICE_TIME);
}

/** Do something that may be refused, and say so. @param {() => Promise<void>} act */
export async function attempted(act) {
  try {
    await act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const isRefused = error instanceof Error && "type" in error && error.type === "NotAllowed";
    notice(t(isRefused ? "notAllowed" : "failedAction", { reason }), "bad");
  }
}
