// The token of the page, as the client asks for it: one is there at once, another one only when somebody has put it into the field.

export class Credentials {
  /** The token to show and to keep; null without one. */
  token = null;
  #given = null;
  #fresh = null;

  /** @param {string | null} token */
  put(token) {
    this.token = token;
    this.#fresh?.resolve(token);
    this.#fresh = null;
  }

  /**
   * Answers the client. Before a token expires, that very token is of no use, so the answer waits for another.
   * @param {'connect' | 'expiring' | 'refused'} why
   * @returns {string | Promise<string>}
   */
  async give(why) {
    if (why === 'expiring' && this.token === this.#given) await this.#another();
    this.#given = this.token;
    return this.token;
  }

  /** One promise for everybody who waits, however often the client asks. */
  #another() {
    this.#fresh ??= deferred();
    return this.#fresh.promise;
  }
}

function deferred() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
