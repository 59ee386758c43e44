/**
 * The dashboard: what is around the pages, and which page is shown.
 *
 * @module
 */

// @ts-check

import { h, replace, setAttribute, setText, show } from "./app/dom.js";
import { age, clock } from "./app/format.js";
import { Feed } from "./app/feed.js";
import { History, Lines } from "./app/history.js";
import { listen } from "./app/keys.js";
import { applyTheme, isDark, setTheme } from "./app/preferences.js";
import { PAGES, linkTo, route, token } from "./app/route.js";
import { language, setLanguage, t } from "./app/texts.js";
import { iconButton } from "./parts/controls.js";
import { showKeys } from "./parts/dialogs.js";
import { icon } from "./parts/icons.js";
import { viewOf } from "./views/index.js";
import { doorView } from "./views/door.js";

/**
 * @typedef {import("./views/view.js").View} View
 * @typedef {import("./views/view.js").Context} Context
 * @typedef {import("./app/feed.js").Picture} Picture
 */

const SECOND = 1_000;

class Dashboard {
  #feed = new Feed();
  /** @type {Context} */
  #context;
  /** @type {View | null} */
  #view = null;
  #isPaused = false;
  #main = h("main", { id: "main", tabindex: -1 });
  #shell = h("div", { class: "shell" });
  #banner = h("div", { class: "banner", role: "status", hidden: true });
  /** @type {ReturnType<typeof shellParts>} */
  #parts;

  constructor() {
    this.#context = {
      feed: this.#feed, history: new History(), lines: new Lines(), picture: null, settings: {},
      changed: () => this.#view && this.#feed.watch(this.#view.watch),
    };
    this.#parts = this.#build();
    document.body.append(this.#shell);
  }

  start() {
    token();
    document.documentElement.lang = language();
    applyTheme();
    listen({ help: showKeys, pause: () => this.#pause(!this.#isPaused), back: () => this.#back() });
    addEventListener("hashchange", () => {
      if (location.hash.includes("token=")) {
        token();
        location.reload(); // whatever is open was opened with another one
      } else this.#enter();
    });
    this.#feed.addEventListener("picture", (event) => this.#came(/** @type {CustomEvent} */ (event).detail));
    this.#feed.addEventListener("state", () => this.#stateChanged());
    setInterval(() => this.#tick(), SECOND);
    this.#enter();
    this.#feed.run();
  }

  #build() {
    const parts = shellParts({
      pause: () => this.#pause(!this.#isPaused),
      language: () => this.#speak(language() === "en" ? "pt-BR" : "en"),
      theme: () => this.#paint(),
    });
    replace(this.#shell, parts.skip, parts.side, h("div", { class: "content" }, parts.top, this.#banner, this.#main));
    return parts;
  }

  #paint() {
    setTheme(isDark() ? "light" : "dark");
    replace(this.#parts.theme, icon(isDark() ? "light" : "dark"));
  }

  /** All texts anew. @param {import("./app/texts.js").Language} name */
  #speak(name) {
    setLanguage(name);
    this.#parts = this.#build();
    this.#pause(this.#isPaused);
    this.#enter();
    this.#stateChanged();
    this.#parts.language.focus();
  }

  // Which page.

  #enter() {
    const { page, rest } = route();
    this.#view?.dispose?.();
    this.#view = this.#feed.state.phase === "denied" ? doorView(this.#feed) : viewOf(page, rest, this.#context);
    this.#view.pause?.(this.#isPaused);
    const wasInside = this.#main.contains(document.activeElement);
    replace(this.#main, this.#view.element);
    if (wasInside) this.#main.focus({ preventScroll: true }); // else the next Tab would begin at the list of pages
    this.#feed.watch(this.#view.watch);
    const { picture } = this.#context;
    // What the last picture tells of all is shown at once; what it does not, when the next one has come.
    if (picture) this.#view.update(picture, {});
    this.#showTitle();
    for (const [name, link] of this.#parts.links) setAttribute(link, "aria-current", name === page ? "page" : null);
    this.#parts.links.get(page)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    scrollTo(0, 0);
  }

  #back() {
    this.#view?.back?.();
  }

  #showTitle() {
    const title = this.#view?.title() ?? "";
    const app = this.#context.picture?.app ?? "tomada";
    document.title = `${title} · ${app}`;
    setText(this.#parts.title, this.#view?.heading?.() ?? title);
  }

  // What comes.

  /** @param {{ picture: Picture, watch: import("./app/feed.js").Watch, isFirst: boolean }} came */
  #came({ picture, watch, isFirst }) {
    const { history, lines, settings } = this.#context;
    history.add(picture, isFirst);
    lines.add(picture.log, isFirst);
    if (Object.keys(picture.settings).length > 0) Object.assign(settings, picture.settings);
    this.#view?.came?.(picture, watch);
    if (this.#isPaused) return;
    this.#context.picture = picture;
    this.#showFigures(picture);
    this.#view?.update(picture, watch);
    this.#showTitle();
  }

  /** @param {Picture} picture */
  #showFigures({ app, seconds, totals, strikes, may_act: mayAct }) {
    setText(this.#parts.app, app);
    setText(this.#parts.uptime, t("uptime", { age: age(seconds) }));
    this.#parts.badge("connections", totals.connections + totals.streams);
    this.#parts.badge("limits", strikes.length);
    show(this.#parts.readOnly, !mayAct);
  }

  /** @param {boolean} isPaused */
  #pause(isPaused) {
    this.#isPaused = isPaused;
    this.#view?.pause?.(isPaused);
    replace(this.#parts.pause, icon(isPaused ? "play" : "pause"), h("span", {}, t(isPaused ? "goOn" : "pause")));
    setAttribute(this.#parts.pause, "aria-pressed", String(isPaused));
    this.#showState();
  }

  #stateChanged() {
    const isDenied = this.#feed.state.phase === "denied";
    if (isDenied !== (this.#view?.title() === t("denied"))) this.#enter();
    this.#showState();
    this.#tick();
  }

  #showState() {
    const { phase } = this.#feed.state;
    const shown = phase === "live" && this.#isPaused ? "paused" : phase;
    setAttribute(this.#parts.state, "class", `live-state ${shown}`);
    setText(this.#parts.stateText, t(shown));
  }

  /** The seconds until the next attempt pass. */
  #tick() {
    const { phase, reason, again } = this.#feed.state;
    show(this.#banner, phase === "lost");
    if (phase !== "lost") return;
    const seconds = Math.ceil((again - performance.now()) / SECOND);
    const when = again > 0 && seconds > 0 ? t("again", { seconds }) : t("againNow");
    const { picture } = this.#context;
    const text = t("lostBanner", { reason, when }) + (picture ? ` ${t("stale", { time: clock(picture.time).slice(0, 8) })}` : "");
    if (this.#banner.childElementCount === 0) {
      replace(this.#banner, icon("warning"), h("span", {}), h("button", { type: "button", class: "button", click: () => this.#feed.tryNow() }, t("tryNow")));
    }
    setText(this.#banner.children[1], text);
  }
}

/**
 * What stands around each page.
 *
 * @param {{ pause: () => void, language: () => void, theme: () => void }} act
 */
function shellParts(act) {
  /** @type {Map<string, HTMLAnchorElement>} */
  const links = new Map();
  /** @type {Map<string, HTMLElement>} */
  const badges = new Map();
  for (const page of PAGES) {
    const badge = h("span", { class: "badge", hidden: true });
    badges.set(page, badge);
    links.set(page, h("a", { href: linkTo(page) }, icon(page), h("span", {}, t(page)), badge));
  }
  const app = h("span", { class: "app" }, "tomada");
  const uptime = h("span", { class: "uptime" });
  const theme = iconButton(isDark() ? "light" : "dark", t("switchTheme"), act.theme);
  const switchLanguage = h("button", { type: "button", class: "language", lang: language() === "en" ? "pt-BR" : "en", click: act.language }, t("switchLanguage"));
  const side = h("aside", { class: "side" },
    h("a", { class: "brand", href: linkTo("overview") }, h("img", { src: "icon.svg", alt: "", width: 26, height: 26 }), h("span", {}, "tomada")),
    h("nav", { "aria-label": t("pages") }, ...links.values()),
    h("div", { class: "switches" }, switchLanguage, theme, iconButton("help", t("help"), showKeys)));
  const stateText = h("span", {}, t("connecting"));
  const state = h("span", { class: "live-state connecting", role: "status" }, h("i", { "aria-hidden": "true" }), stateText);
  const readOnly = h("span", { class: "pill read-only", title: t("readOnlyHint"), hidden: true }, t("readOnly"));
  const title = h("h1", {});
  const pause = h("button", { type: "button", class: "button", title: t("pauseHint"), click: act.pause });
  const top = h("header", { class: "top" }, title, h("div", { class: "who" }, app, uptime), readOnly, state, pause);
  const skip = h("a", { class: "skip", href: "#main", click: (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  } }, t("skip"));
  replace(pause, icon("pause"), h("span", {}, t("pause")));
  return {
    skip, side, top, links, app, uptime, language: switchLanguage, theme, state, stateText, readOnly, title, pause,
    /** @param {string} page @param {number} count */
    badge(page, count) {
      const badge = badges.get(page);
      if (!badge) return;
      show(badge, count > 0);
      setText(badge, count > 9_999 ? `${Math.floor(count / 1000)}k` : count);
    },
  };
}

new Dashboard().start();
