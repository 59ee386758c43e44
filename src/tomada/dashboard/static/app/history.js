/**
 * What was, for the charts: the last minutes, and no more of them than a chart can show.
 *
 * @module
 */

// @ts-check

/** Of one chart, in seconds. */
export const SPAN = 180;
const MOST_POINTS = 2 * SPAN + 20;
const MOST_TYPES = 300;

/** @typedef {import("./feed.js").Picture} Picture */
/** @typedef {{ time: number, values: number[] }} Point */

/** Values over time, of which the oldest are forgotten. */
export class Series {
  /** @type {Point[]} */
  points = [];

  /** @param {number} time in seconds @param {...number} values */
  add(time, ...values) {
    const last = this.points.at(-1);
    if (last && time <= last.time) {
      if (last.time - time > SPAN) this.points = []; // the server's clock was set back
      else return;
    }
    this.points.push({ time, values });
    let first = 0;
    while (this.points.length - first > MOST_POINTS || this.points[first].time < time - SPAN) first += 1;
    if (first > 0) this.points.splice(0, first);
  }
}

export class History {
  connections = new Series();
  messages = new Series();
  bytes = new Series();
  handlers = new Series();
  /** @type {Map<string, Series>} */
  types = new Map();
  /** @type {{ id: string, rates: Series, roundTrip: Series }} of the connection that is looked at */
  connection = { id: "", rates: new Series(), roundTrip: new Series() };

  /** @param {Picture} picture @param {boolean} isFirst of a connection to the feed: its rates have no past yet */
  add({ time, totals, types, looked_at: row }, isFirst) {
    this.connections.add(time, totals.connections, totals.streams);
    if (isFirst) return;
    this.messages.add(time, totals.received_rate, totals.sent_rate);
    this.bytes.add(time, totals.received_byte_rate, totals.sent_byte_rate);
    this.handlers.add(time, totals.handlers);
    for (const { name, rate } of types.slice(0, MOST_TYPES)) this.#type(name).add(time, rate);
    if (!row) return;
    if (row.id !== this.connection.id) this.connection = { id: row.id, rates: new Series(), roundTrip: new Series() };
    this.connection.rates.add(time, row.received_rate, row.sent_rate);
    if (row.round_trip !== null) this.connection.roundTrip.add(time, row.round_trip);
  }

  /** @param {string} name */
  #type(name) {
    let series = this.types.get(name);
    if (!series) {
      if (this.types.size >= MOST_TYPES) this.types.delete(this.types.keys().next().value ?? "");
      this.types.set(name, series = new Series());
    }
    return series;
  }
}

/** @typedef {import("./feed.js").LogLine} LogLine */
/** @typedef {LogLine & { key: string, missing: number }} KeptLine `missing` lines before it were passed over. */

const MOST_LINES = 1_000;

/** The last lines of the log. Each picture's stream begins with lines that are here already. */
export class Lines {
  /** @type {KeptLine[]} */
  kept = [];
  #keys = new Set();
  #last = 0;

  /** @param {LogLine[]} lines @param {boolean} isFirst of a stream of pictures: each numbers them for itself */
  add(lines, isFirst) {
    if (isFirst) this.#last = 0;
    for (const line of lines) this.#addLine(line);
    // Several processes tell theirs one after the other.
    if (lines.length > 0) this.kept.sort((one, other) => one.time - other.time);
    for (const { key } of this.kept.splice(0, Math.max(0, this.kept.length - MOST_LINES))) this.#keys.delete(key);
  }

  /** @param {LogLine} line */
  #addLine(line) {
    const key = `${line.worker}/${line.time}/${line.text}`;
    const missing = this.#last > 0 ? Math.max(0, line.number - this.#last - 1) : 0;
    this.#last = line.number;
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.kept.push({ ...line, level: line.level.toLowerCase(), key, missing });
  }
}
