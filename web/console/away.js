// A transport that can be dropped on purpose: to the client it looks as if the server had closed and asked it to stay away.
// page-client.js carries its messages over one; nothing here reads them.

/** In the range that says "come back" (docs/protocol.md, section 8). */
const COME_BACK = 4_000;

export class Droppable {
  #transport;
  #drop = () => {};

  /** @param {import('../../client/src/types.js').Transport} transport what really carries */
  constructor(transport) {
    this.#transport = transport;
  }

  get name() {
    return this.#transport.name;
  }

  supported() {
    return this.#transport.supported();
  }

  open(url, events) {
    let over = false;
    const end = (code, reason) => {
      if (over) return;
      over = true;
      events.onClose(code, reason);
    };
    const carrier = this.#transport.open(url, {
      onOpen: () => over || events.onOpen(),
      onMessage: (text) => over || events.onMessage(text),
      onClose: end,
    });
    this.#drop = (reason) => {
      carrier.close(1_000);
      end(COME_BACK, reason);
    };
    return carrier;
  }

  /** Ends the connection that was opened last, for `awayMs` at least. `code` stands in the reason, where servers put theirs. */
  drop(awayMs, code) {
    this.#drop(JSON.stringify({ code, retry_after_ms: awayMs }));
  }
}
