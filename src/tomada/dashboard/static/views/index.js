/**
 * The pages by name.
 *
 * @module
 */

// @ts-check

import { ConnectionPage } from "./connection.js";
import { Connections } from "./connections.js";
import { LimitsPage } from "./limits.js";
import { Log } from "./log.js";
import { Overview } from "./overview.js";
import { Trying } from "./trying.js";
import { Types } from "./types.js";
import { Workers } from "./workers.js";

/**
 * @param {import("../app/route.js").Page} page
 * @param {string} rest
 * @param {import("./view.js").Context} context
 * @returns {import("./view.js").View}
 */
export function viewOf(page, rest, context) {
  switch (page) {
    case "connections": return rest ? new ConnectionPage(context, rest) : new Connections(context);
    case "types": return new Types(context);
    case "workers": return new Workers(context);
    case "limits": return new LimitsPage(context);
    case "log": return new Log(context);
    case "try": return new Trying(context, rest);
    default: return new Overview(context);
  }
}
