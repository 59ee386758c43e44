/**
 * Elements. What comes from a server is only ever text in them: peers choose their names.
 *
 * @module
 */

// @ts-check

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Properties An attribute
 *   each; `true` is one without a value, `false` and null are none; a function is a listener, by its event's name.
 */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function drawn(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/**
 * @template {Element} T
 * @param {T} element
 * @param {Properties} properties
 * @param {Child[]} children
 */
function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else setAttribute(element, name, value);
  }
  element.append(...asNodes(children));
  return element;
}

/** @param {Child[]} children */
function asNodes(children) {
  const there = children.filter((child) => child !== null && child !== undefined && child !== false);
  return there.map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * The same value again touches nothing: a selection, a title that is shown, a focus stay as they are.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null | undefined} value
 */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** @param {Node} node @param {string | number} text */
export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** @param {HTMLElement | SVGElement} element @param {boolean} isShown */
export function show(element, isShown) {
  element.toggleAttribute("hidden", !isShown);
}

/** @param {Element} element @param {...Child} children */
export function replace(element, ...children) {
  element.replaceChildren(...asNodes(children));
}

/**
 * Elements for items, each made once and then brought up to date.
 *
 * @template Item
 */
export class KeyedList {
  /** @type {Map<string | number, { element: Element, update: (item: Item) => void }>} */
  #made = new Map();
  #parent;
  #keyOf;
  #make;

  /**
   * @param {Element} parent holds nothing else
   * @param {(item: Item) => string | number} keyOf
   * @param {(item: Item) => { element: Element, update: (item: Item) => void }} make
   */
  constructor(parent, keyOf, make) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#make = make;
  }

  get size() {
    return this.#made.size;
  }

  /** @param {Item[]} items in their order */
  show(items) {
    const wanted = new Set(items.map(this.#keyOf));
    for (const [key, { element }] of this.#made) {
      if (wanted.has(key)) continue;
      element.remove();
      this.#made.delete(key);
    }
    const elements = items.map((item) => {
      const key = this.#keyOf(item);
      const made = this.#made.get(key) ?? this.#make(item);
      this.#made.set(key, made);
      made.update(item);
      return made.element;
    });
    arrange(this.#parent, [...new Set(elements)]);
  }
}

/**
 * Puts the children into that order. As few as possible are moved: a moved element would lose its focus, and the text
 * selected in it.
 *
 * @param {Element} parent
 * @param {Element[]} wanted all of its children, and new ones
 */
export function arrange(parent, wanted) {
  const places = new Map([...parent.children].map((child, at) => [child, at]));
  const stays = longestRise(wanted.map((element) => places.get(element) ?? -1));
  const focused = document.activeElement;
  /** @type {Element | null} */
  let next = null;
  for (let at = wanted.length - 1; at >= 0; at -= 1) {
    if (!stays.has(at)) parent.insertBefore(wanted[at], next);
    next = wanted[at];
  }
  if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
    focused.focus({ preventScroll: true });
  }
}

/**
 * Where the longest rising sequence stands among numbers; those below 0 are not in it.
 *
 * @param {number[]} numbers
 * @returns {Set<number>}
 */
export function longestRise(numbers) {
  /** @type {number[]} the places at which the sequences of each length end */
  const ends = [];
  /** @type {number[]} */
  const before = [];
  numbers.forEach((number, at) => {
    if (number < 0) return;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[ends[middle]] < number) low = middle + 1;
      else high = middle;
    }
    before[at] = low > 0 ? ends[low - 1] : -1;
    ends[low] = at;
  });
  const found = new Set();
  for (let at = ends.at(-1) ?? -1; at >= 0; at = before[at]) found.add(at);
  return found;
}
