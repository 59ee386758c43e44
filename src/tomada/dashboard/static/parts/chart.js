/**
 * Lines over the last minutes.
 *
 * @module
 */

// @ts-check

import { drawn, h, setAttribute, setText, show } from "../app/dom.js";
import { age, ceiling, clock } from "../app/format.js";
import { SPAN } from "../app/history.js";
import { t } from "../app/texts.js";

const WIDTH = 600;
const HEIGHT = 100;
/** Points that are further apart, in seconds, are not joined: nobody looked in between. */
const GAP = 12;
/** A chart that has just begun is not all empty. */
const SHORTEST = 30;

/** @typedef {import("../app/history.js").Series} Series */
/** @typedef {{ label: string, tone: string }} Line */

export class Chart {
  element;
  #lines;
  #format;
  #isSmall;
  /** @type {{ area: SVGPathElement, line: SVGPathElement }[]} */
  #paths;
  #top = h("span", { class: "chart-top" });
  #cursor = h("span", { class: "chart-cursor", hidden: true });
  #tip = h("span", { class: "chart-tip", hidden: true });
  /** @type {Series | null} */
  #series = null;
  #now = 0;
  #max = 1;
  #span = SPAN;
  #from = h("span", { class: "chart-from" });

  /**
   * @param {string} label
   * @param {Line[]} lines
   * @param {(value: number) => string} format
   * @param {boolean} [isSmall] without scale and cursor
   */
  constructor(label, lines, format, isSmall = false) {
    this.#lines = lines;
    this.#format = format;
    this.#isSmall = isSmall;
    this.#paths = lines.map(({ tone }) => ({
      area: drawn("path", { class: `area ${tone}` }), line: drawn("path", { class: `line ${tone}` }),
    }));
    const picture = drawn("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label,
    }, ...this.#paths.flatMap(({ area, line }) => [area, line]));
    this.element = h("div", { class: isSmall ? "chart small" : "chart" }, picture);
    if (!isSmall) this.#addScale();
  }

  #addScale() {
    const plot = this.element;
    plot.append(
      this.#top, this.#cursor, this.#tip,
      this.#from, h("span", { class: "chart-to" }, t("now")),
    );
    plot.addEventListener("pointermove", (event) => this.#point(event));
    plot.addEventListener("pointerleave", () => {
      show(this.#cursor, false);
      show(this.#tip, false);
    });
  }

  /** @param {Series} series @param {number} now the end of the scale */
  update(series, now) {
    this.#series = series;
    this.#now = now;
    const first = series.points[0]?.time ?? now;
    this.#span = Math.min(SPAN, Math.max(SHORTEST, Math.round(now - first)));
    setText(this.#from, t("ago", { age: age(this.#span) }));
    const highest = Math.max(0, ...series.points.flatMap(({ values }) => values));
    this.#max = this.#isSmall ? Math.max(highest, 1e-9) : ceiling(highest);
    if (!this.#isSmall) setText(this.#top, this.#format(this.#max));
    this.#paths.forEach(({ area, line }, at) => {
      const runs = this.#runs(at);
      setAttribute(line, "d", runs.map((run) => `M${run.join("L")}`).join(""));
      setAttribute(area, "d", runs.map((run) => `M${xOf(run[0])} ${HEIGHT}L${run.join("L")}L${xOf(run[run.length - 1])} ${HEIGHT}Z`).join(""));
    });
  }

  /** The joined points of one line, as texts. @param {number} at */
  #runs(at) {
    /** @type {string[][]} */
    const runs = [];
    let before = -Infinity;
    for (const { time, values } of this.#series?.points ?? []) {
      const x = WIDTH * (1 - (this.#now - time) / this.#span);
      const y = HEIGHT - 2 - (HEIGHT - 6) * ((values[at] ?? 0) / this.#max);
      if (time - before > GAP) runs.push([]);
      runs[runs.length - 1].push(`${x.toFixed(1)} ${y.toFixed(1)}`);
      before = time;
    }
    return runs;
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const box = this.element.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    const wanted = this.#now - this.#span * (1 - part);
    const points = this.#series?.points ?? [];
    if (points.length === 0) return;
    const near = points.reduce((best, point) => (Math.abs(point.time - wanted) < Math.abs(best.time - wanted) ? point : best));
    const place = 1 - (this.#now - near.time) / this.#span;
    const values = this.#lines.map(({ label }, at) => `${this.#format(near.values[at] ?? 0)} ${label}`).join(" · ");
    setText(this.#tip, `${clock(near.time).slice(0, 8)}  ${values}`);
    show(this.#cursor, true);
    show(this.#tip, true);
    this.#cursor.style.left = `${100 * place}%`;
    this.#tip.style.left = `${100 * place}%`;
    this.#tip.classList.toggle("left", place > 0.5);
  }
}

/** @param {string} point */
function xOf(point) {
  return point.split(" ", 1)[0];
}

/**
 * A figure with its chart.
 *
 * @param {string} title
 * @param {Line[]} lines
 * @param {(value: number) => string} format
 */
export function chartTile(title, lines, format) {
  const chart = new Chart(title, lines, format);
  const figures = lines.map(({ label, tone }) => {
    const value = h("strong", {});
    return { value, element: h("span", { class: `figure ${tone}` }, value, h("span", { class: "figure-label" }, label)) };
  });
  const note = h("span", { class: "tile-note" });
  const element = h("section", { class: "tile", "aria-label": title },
    h("h2", {}, title, note), h("div", { class: "figures" }, ...figures.map((figure) => figure.element)), chart.element);
  return {
    element,
    /** @param {Series} series @param {number} now @param {string} [more] */
    update(series, now, more = "") {
      const last = series.points.at(-1)?.values ?? [];
      figures.forEach(({ value }, at) => setText(value, format(last[at] ?? 0)));
      setText(note, more);
      chart.update(series, now);
    },
  };
}
