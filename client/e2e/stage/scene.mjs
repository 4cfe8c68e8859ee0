// What one chapter has for itself: an org with a log, a front, visitors, and a backend that publishes numbers.

import { join } from 'node:path';
import { Front } from './front.mjs';
import { mint } from './token.mjs';
import { until } from './until.mjs';
import { Visitor } from './visitor.mjs';

/** Publications that are sent to Redis in one go. */
const BATCH = 1_000;

export class Scene {
  #last = 0;
  #contexts = [];

  /** What the page's backend does when asked for a token: `why` is the client's reason, the answer a token. */
  issue = () => this.token();

  constructor(stage, org, { redis = stage.redis, nodes = stage.nodes } = {}) {
    this.stage = stage;
    this.org = org;
    this.redis = redis;
    this.nodes = nodes;
    this.room = `kpi:${org}:sales`;
    this.front = new Front((url) => this.#page(url));
  }

  async open() {
    await this.front.open();
    this.front.target = this.nodes[0];
    this.front.nodes = this.nodes;
    return this;
  }

  token(claims = {}) {
    return mint(this.stage.secret, { sub: 'alice', org: this.org, grants: [`subscribe:*:${this.org}:**`, `publish:*:${this.org}:**`], ...claims });
  }

  /** The address of the page, with what it is to do. */
  address({ rooms = [this.room], keep = false, fallback = false, binary = false, options = {} } = {}, page = '/') {
    const wanted = new URLSearchParams(rooms.map((room) => ['room', room]));
    if (keep) wanted.set('keep', '');
    if (fallback) wanted.set('fallback', '');
    if (binary) wanted.set('binary', '');
    wanted.set('options', JSON.stringify(options));
    return `${this.front.origin}${page}?${wanted}`;
  }

  async context(options) {
    const context = await this.stage.browser.newContext(options);
    this.#contexts.push(context);
    return context;
  }

  async visitor(wanted) {
    return Visitor.open(await this.context(), this.address(wanted), wanted);
  }

  /** Has a backend publish the next so many numbers; answers with the last of them. */
  async publish(count, { bytes = 0, room = this.room } = {}) {
    const filling = 'x'.repeat(bytes);
    const end = this.#last + count;
    while (this.#last < end) {
      const numbers = Array.from({ length: Math.min(BATCH, end - this.#last) }, () => ++this.#last);
      await this.redis.all(numbers.map((n) => this.#command(room, { n, filling })));
    }
    return end;
  }

  /** Has a backend publish one thing. */
  says(room, data) {
    return this.redis.call(...this.#command(room, data));
  }

  /** Publishes what no ledger counts. */
  async aside(count) {
    await this.redis.all(Array.from({ length: count }, (_, n) => this.#command(`chat:${this.org}:lobby`, { aside: n })));
  }

  #command(room, data) {
    return ['FCALL', 'roomcast_publish', 1, `rc:{${this.org}}`, room, 'kpi:update', JSON.stringify(data)];
  }

  /** The data of everything in the org's log, the oldest first. */
  async logged() {
    const entries = await this.redis.call('XRANGE', `rc:{${this.org}}:log`, '-', '+');
    return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('d') + 1]));
  }

  /** Waits until the log has so many entries, and answers with them. */
  logs(count) {
    return until(`${count} log entries`, () => this.logged(), (entries) => entries.length >= count);
  }

  /** The rooms that sessions of the org are subscribed to on the whole cluster, but for those that every session has. */
  async subscriptions() {
    const service = this.token({ sub: 'backend', scope: 'roomcast:connections' });
    const { connections } = await this.nodes[1].rest('GET', `/api/ws/connections?organization_id=${this.org}`, service);
    return connections.flatMap(({ subscriptions }) => subscriptions).filter((room) => !/^(org|user):/.test(room));
  }

  /** Keeps a picture of the page where somebody asked for pictures (E2E_PICTURES names the folder). */
  async picture({ page }, name) {
    const folder = process.env.E2E_PICTURES;
    if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
  }

  async #page(url) {
    if (url.pathname === '/token') return ['text/plain', await this.issue(url.searchParams.get('why'))];
    return this.stage.pages.get(url.pathname);
  }

  async close() {
    for (const context of this.#contexts) await context.close();
    await this.front.close();
  }
}
