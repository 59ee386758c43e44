/**
 * A picture that can be searched, zoomed and asked: all it shows comes from the SVG that is in the page already.
 *
 * What the picture says was written by others. It is read by `textContent` and written by `textContent`, never as HTML.
 *
 * @module
 */

// @ts-check

/** What can be found, chosen and asked about. */
const THINGS = ".step, .transition, .place, .row, .state";
const LEAST = 0.1;
const MOST = 8;
const STEP = 1.25;

/** @template {Element} T @param {string} selector @returns {T} */
function one(selector) {
  const found = document.querySelector(selector);
  if (found === null) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/** @type {HTMLElement} */
const view = one("main");
/** @type {SVGSVGElement} */
const picture = one("main > svg");
/** @type {HTMLInputElement} */
const sought = one("#sought");
/** @type {HTMLOutputElement} */
const count = one("#count");
/** @type {HTMLOutputElement} */
const percent = one("#percent");
/** @type {HTMLElement} */
const side = one("aside");
/** @type {SVGGElement[]} */
const things = [...picture.querySelectorAll(THINGS)].map((each) => /** @type {SVGGElement} */ (each));
const [, , width, height] = (picture.getAttribute("viewBox") ?? "0 0 1 1").split(" ").map(Number);

/** What is known of a thing, line by line: the first is its name. @param {Element} thing */
function linesOf(thing) {
  return (thing.querySelector(":scope > title")?.textContent ?? thing.textContent ?? "").split("\n");
}

// Zoom

let scale = 1;

/** @param {number} wanted @param {number} [x] the point of the view that stays where it is @param {number} [y] */
function zoom(wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const before = scale;
  scale = Math.min(MOST, Math.max(LEAST, wanted));
  const left = ((view.scrollLeft + x) * scale) / before - x;
  const top = ((view.scrollTop + y) * scale) / before - y;
  picture.setAttribute("width", String(width * scale));
  picture.setAttribute("height", String(height * scale));
  view.scrollTo({ left, top, behavior: "instant" });
  percent.value = `${Math.round(scale * 100)} %`;
}

const fit = () => zoom(view.clientWidth / width);

/** @param {WheelEvent} event */
function wheel(event) {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const box = view.getBoundingClientRect();
  zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
}

/** Drag the picture with the mouse; fingers scroll it as they do any page. @param {PointerEvent} begin */
function drag(begin) {
  if (begin.pointerType !== "mouse" || begin.button !== 0) return;
  const { scrollLeft, scrollTop } = view;
  const end = new AbortController();
  const { signal } = end;
  addEventListener("pointermove", (event) => {
    const [x, y] = [event.clientX - begin.clientX, event.clientY - begin.clientY];
    if (Math.abs(x) + Math.abs(y) > 4) view.classList.add("held");
    if (view.classList.contains("held")) view.scrollTo({ left: scrollLeft - x, top: scrollTop - y, behavior: "instant" });
  }, { signal });
  addEventListener("pointerup", () => {
    end.abort();
    setTimeout(() => view.classList.remove("held"));
  }, { signal });
}

// Search

/** @type {SVGGElement[]} */
let hits = [];
let hit = -1;

/** What of a thing is looked at: of a transition its label, for its arrow may lead across the whole picture. @param {SVGGElement} thing */
function seen(thing) {
  return /** @type {SVGGElement} */ (thing.querySelector(":scope > g.label") ?? thing);
}

/** Put a box behind a thing. @param {SVGGElement} thing @param {DOMRect} around */
function box(thing, around) {
  if (thing.querySelector(":scope > .found")) return;
  const { x, y, width: wide, height: high } = around;
  const rectangle = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const places = { x: x - 4, y: y - 3, width: wide + 8, height: high + 6, rx: 5, class: "found" };
  for (const [name, value] of Object.entries(places)) rectangle.setAttribute(name, String(value));
  thing.prepend(rectangle);
}

/** @param {SVGGElement} thing */
function unbox(thing) {
  if (thing.classList.contains("hit") || thing.classList.contains("chosen")) return;
  thing.querySelector(":scope > .found")?.remove();
}

function search() {
  for (const thing of hits) {
    thing.classList.remove("hit", "now");
    unbox(thing);
  }
  const words = sought.value.toLowerCase().split(/\s+/).filter(Boolean);
  hits = things.filter((thing) => {
    const text = linesOf(thing).join("\n").toLowerCase();
    return words.length > 0 && words.every((word) => text.includes(word));
  });
  const places = hits.map((thing) => seen(thing).getBBox()); // all at once: each after a change would lay out anew
  hits.forEach((thing, at) => {
    thing.classList.add("hit");
    box(thing, places[at]);
  });
  hit = -1;
  go(0);
}

/** Show a hit. @param {number} wanted */
function go(wanted) {
  hits[hit]?.classList.remove("now");
  hit = hits.length ? (wanted + hits.length) % hits.length : -1;
  count.value = hits.length ? `${hit + 1} / ${hits.length}` : sought.value.trim() ? "none" : "";
  if (hit < 0) return;
  hits[hit].classList.add("now");
  show(hits[hit]);
}

/** Scroll to a thing, if it is not in view; of one that is too wide to where it begins. @param {SVGGElement} thing */
function show(thing) {
  const [box, inside] = [seen(thing).getBoundingClientRect(), view.getBoundingClientRect()];
  const [right, bottom] = [inside.left + view.clientWidth, inside.top + view.clientHeight];
  const [isTooWide, isTooHigh] = [box.width > view.clientWidth, box.height > view.clientHeight];
  if (box.left < inside.left || (isTooWide ? box.left >= right : box.right > right)) {
    view.scrollLeft += isTooWide ? box.left - inside.left - 8 : (box.left + box.right - inside.left - right) / 2;
  }
  if (box.top < inside.top || (isTooHigh ? box.top >= bottom : box.bottom > bottom)) {
    view.scrollTop += isTooHigh ? box.top - inside.top - 8 : (box.top + box.bottom - inside.top - bottom) / 2;
  }
}

// Details

/** @type {SVGGElement | null} */
let chosen = null;

/** @param {SVGGElement | null} thing */
function choose(thing) {
  const before = chosen;
  chosen = thing;
  before?.classList.remove("chosen");
  if (before) unbox(before);
  side.hidden = thing === null;
  if (thing === null) return;
  box(thing, seen(thing).getBBox());
  thing.classList.add("chosen");
  const [name, ...rest] = linesOf(thing);
  const head = document.createElement("h2");
  head.textContent = name;
  one("#told").replaceChildren(head, ...rest.map(paragraph), ...meetings(thing));
}

/** @param {string} text */
function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

/** Buttons that lead to the other ends of a step's arrows. @param {SVGGElement} thing */
function meetings(thing) {
  const step = thing.dataset.step;
  if (step === undefined) return [];
  const pairs = [...picture.querySelectorAll(".way")].flatMap((way) => (way.getAttribute("data-ends") ?? "").split(" "));
  return pairs.map((pair) => pair.split("-")).filter((pair) => pair.includes(step)).flatMap(([source, target]) => {
    const other = things.findLast((each) => each.dataset.step === (source === step ? target : source));
    return other ? [meeting(other, source === step ? "→ " : "← ")] : [];
  });
}

/** @param {SVGGElement} other @param {string} sign */
function meeting(other, sign) {
  const button = document.createElement("button");
  button.className = "meets";
  button.textContent = `${sign}${linesOf(other).slice(0, 2).join(", ")}`;
  button.addEventListener("click", () => {
    choose(other);
    show(other);
  });
  return button;
}

/** The next thing, or the one before, that is not filtered away. @param {number} way */
function next(way) {
  const shown = things.filter((thing) => !thing.classList.contains("dim"));
  const at = chosen ? shown.indexOf(chosen) : way > 0 ? -1 : shown.length;
  const wanted = shown[at + way];
  if (!wanted) return;
  choose(wanted);
  show(wanted);
}

// Lanes

function filter() {
  /** @type {NodeListOf<HTMLInputElement>} */
  const boxes = document.querySelectorAll("fieldset input");
  const off = new Set([...boxes].filter((each) => !each.checked).map((each) => each.value));
  for (const part of picture.querySelectorAll("[data-lane]")) {
    const lanes = (part.getAttribute("data-lane") ?? "").split(" ");
    part.classList.toggle("dim", lanes.some((lane) => off.has(lane)));
  }
}

// Keys

/** @type {Record<string, () => void>} */
const KEYS = {
  "/": () => sought.focus(),
  "+": () => zoom(scale * STEP),
  "=": () => zoom(scale * STEP),
  "-": () => zoom(scale / STEP),
  0: () => zoom(1),
  f: fit,
  n: () => go(hit + 1),
  N: () => go(hit - 1),
  j: () => next(1),
  k: () => next(-1),
  Escape: () => {
    choose(null);
    document.querySelector("details")?.removeAttribute("open");
  },
};

/** @param {KeyboardEvent} event */
function key(event) {
  const isWriting = event.target instanceof HTMLInputElement && event.target.type === "search";
  if (isWriting && event.key === "Enter") return go(hit + (event.shiftKey ? -1 : 1));
  if (isWriting && event.key === "Escape") return view.focus();
  if (isWriting || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

sought.addEventListener("input", search);
document.querySelector("fieldset")?.addEventListener("change", filter);
addEventListener("keydown", key);
view.addEventListener("wheel", wheel, { passive: false });
view.addEventListener("pointerdown", drag);
view.addEventListener("click", (event) => {
  if (view.classList.contains("held") || !(event.target instanceof Element)) return;
  choose(/** @type {SVGGElement | null} */ (event.target.closest(THINGS)));
});
/** @type {Record<string, () => void>} */
const BUTTONS = { "#later": KEYS.n, "#earlier": KEYS.N, "#nearer": KEYS["+"], "#farther": KEYS["-"], "#fit": fit, "#shut": KEYS.Escape };
for (const [name, act] of Object.entries(BUTTONS)) one(name).addEventListener("click", act);
