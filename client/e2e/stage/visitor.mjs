// A page with a client in it, as the runner sees it.

import assert from 'node:assert/strict';
import { PATIENCE_MS } from './places.mjs';
import { until } from './until.mjs';

export class Visitor {
  /** Errors that the page told of, but for those of connections that chapters cut on purpose. */
  troubles = [];

  /** Addresses that it sent something to. */
  posts = [];

  constructor(page) {
    this.page = page;
    page.on('request', (request) => request.method() === 'POST' && this.posts.push(request.url()));
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.troubles.push(error.message));
    page.on('console', (message) => {
      const text = message.text();
      // Browsers ask for an icon by themselves.
      const icon = message.location().url.endsWith('/favicon.ico');
      if (message.type() === 'error' && !icon && !/WebSocket|net::ERR|status of 50[234]/.test(text)) this.troubles.push(text);
    });
  }

  /** Opens the page and waits for the first session. */
  static async open(context, address, wanted) {
    const visitor = await Visitor.glance(context, address, wanted);
    await visitor.state('connected');
    await visitor.subscribed();
    return visitor;
  }

  /** Opens the page and waits for nothing. With `sleeps` its clocks can be put forward. */
  static async glance(context, address, { sleeps = false } = {}) {
    const visitor = new Visitor(await context.newPage());
    if (sleeps) await visitor.page.clock.install();
    await visitor.page.goto(address);
    return visitor;
  }

  /** Runs in the page with `window.visit` as its first argument. */
  ask(question, what) {
    return this.page.evaluate(`(${question})(window.visit, ${JSON.stringify(what)})`);
  }

  state(state) {
    return until(`state ${state}`, () => this.ask('({ client }) => client.state'), (seen) => seen === state);
  }

  /** Waits until the server has answered to every subscription. */
  subscribed() {
    return this.ask('async (visit) => void (await visit.answered)');
  }

  account() {
    return this.ask('({ ledger }) => ledger.account');
  }

  fault() {
    return this.ask('({ client: { fault } }) => fault && { ...fault, message: fault.message }');
  }

  statistics() {
    return this.ask('({ client }) => client.health.statistics');
  }

  /** Waits until the number has come, whatever came before it. */
  comes(number) {
    return until(`number ${number}`, () => this.account(), (account) => account.last >= number);
  }

  /** Waits until the number has come, and holds that every one before it has come once and in order. */
  async whole(last) {
    await this.comes(last);
    assert.deepEqual(await this.account(), { count: last, last, missing: [], doubled: [], late: [] });
  }

  /** Publishes numbers from the page, each as `{[name]: number}`, without waiting for answers. */
  publishesNumbers(room, from, to, name = 'n') {
    const publish = `({ client }, [room, from, to, name]) => {
      for (let number = from; number <= to; number++) client.publish({ room, event: 'kpi:update', data: { [name]: number } }).catch(() => {});
    }`;
    return this.ask(publish, [room, from, to, name]);
  }
}
