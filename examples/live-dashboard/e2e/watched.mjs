// The page as a person sees it.

/** Longest wait for anything that the page is expected to show. */
const PATIENCE_MS = 20_000;

export class Watched {
  /** Errors of the page, but for those of connections that tests cut on purpose. */
  troubles = [];
  /** Requests to anywhere but the page's own host. */
  foreign = [];

  constructor(page, address) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    const { host } = new URL(address);
    page.on('pageerror', (error) => this.troubles.push(error.message));
    page.on('console', (message) => message.type() === 'error' && !/WebSocket/.test(message.text()) && this.troubles.push(message.text()));
    page.on('request', (request) => new URL(request.url()).host !== host && this.foreign.push(request.url()));
  }

  static async open(context, address) {
    const watched = new Watched(await context.newPage(), address);
    await watched.page.goto(address);
    return watched;
  }

  state(state) {
    return this.page.waitForSelector(`.pill[data-state="${state}"]`);
  }

  async text(selector) {
    return (await this.page.textContent(selector)).trim();
  }

  tile(name) {
    return this.text(`.tile:has(h2:has-text("${name}")) .value`);
  }

  async count(name) {
    return Number((await this.text(`#count-${name}`)).replaceAll(',', ''));
  }

  cells(kind) {
    return this.page.locator(`.cells i[data-kind="${kind}"]`).count();
  }

  /** Waits until the counter is as the predicate says, which is sent to the page as text. */
  counts(name, predicate, seen = null) {
    return this.shows(`#count-${name}`, `(text, seen) => (${predicate})(Number(text.replaceAll(',', '')), seen)`, seen);
  }

  shows(selector, predicate, seen = null) {
    const holds = `(${predicate})(document.querySelector(${JSON.stringify(selector)})?.textContent.trim() ?? '', ${JSON.stringify(seen)})`;
    return this.page.waitForFunction(holds);
  }
}
