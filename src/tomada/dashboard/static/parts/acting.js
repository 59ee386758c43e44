/**
 * What can be done to the server, after a question.
 *
 * @module
 */

// @ts-check

import { t } from "../app/texts.js";
import { attempted, confirmed, notice } from "./dialogs.js";

/**
 * @param {import("../app/feed.js").Feed} feed
 * @param {{ id: string, peer: string }} connection
 */
export async function closeAsked(feed, { id, peer }) {
  if (!(await confirmed(t("closeQuestion", { peer }), t("closeText"), t("closeConnection")))) return;
  await attempted(async () => notice(t((await feed.close(id)) ? "closeDone" : "closeNone", { peer })));
}

/**
 * @param {import("../app/feed.js").Feed} feed
 * @param {number} number
 */
export async function drainAsked(feed, number) {
  if (!(await confirmed(t("drainQuestion", { number }), t("drainText"), t("drain")))) return;
  await attempted(async () => notice(t((await feed.drain(number)) ? "drainDone" : "drainNone", { number })));
}
