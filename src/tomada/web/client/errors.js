// @ts-check

/** The root of all errors here. */
export class TomadaError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Nobody was reached, or somebody who is no tomada server, or who refused. */
export class ConnectFailed extends TomadaError {}

/** The connection has ended, or there is none. */
export class ConnectionLost extends TomadaError {}

/** The session could not go on; what was asked has not reached the server. */
export class SessionLost extends ConnectionLost {}

/** The session ended while an answer was waited for: whether the request was carried out is not known. */
export class OutcomeUnknown extends ConnectionLost {}

/** As much waits for the server as may; it was not sent. */
export class BufferFull extends TomadaError {}

/** No answer came in time. */
export class TimedOut extends TomadaError {}

/** What was to be sent does not fit its type; it has not been sent. */
export class MessageError extends TomadaError {}

/** The server's handler raised, or the server could not take the message. */
export class RemoteError extends TomadaError {
  /**
   * @param {string} code `"error"` for an error with fields, else `"raised"`, `"invalid"`, `"mismatch"`, `"internal"`,
   *   `"unknown type"`, `"cancelled"` or `"lost"`
   * @param {string} type the name of the error's class at the server
   * @param {string} text
   * @param {Record<string, any>} fields
   */
  constructor(code, type, text, fields = {}) {
    super(text ? `${type}: ${text}` : type);
    this.code = code;
    this.type = type;
    this.fields = fields;
  }
}
