// What all chapters share: a Redis, two gateways on it, a browser and the bundled pages.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { launch } from './browser.mjs';
import { bundle } from './bundle.mjs';
import { Gateway } from './gateway.mjs';
import { BINARY, CHROMIUM, CLIENT } from './places.mjs';
import { Redis } from './redis.mjs';
import { Scene } from './scene.mjs';

/** Small tails make a resume read its pages from Redis; without leeway a token ends when it says so. */
const SETTINGS = { HUB__TAIL_BYTES_MAX: 65_536, AUTH__LEEWAY_S: 0, SESSION__REVOCATION_INTERVAL_MS: 200 };

const html = (script) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>roomcast</title><body><div id="root"></div><script type="module" src="${script}"></script></body></html>`;

export class Stage {
  /** Whatever is started, ended in the opposite order. */
  #open = [];
  #orgs = 0;

  secret = randomBytes(32).toString('hex');
  pages = new Map();

  static async set() {
    const needed = [
      ['the gateway (cargo build, or ROOMCAST_BIN)', BINARY],
      ['Chromium (apt-get install chromium, or CHROMIUM)', CHROMIUM],
      ['the built client (npm run build)', `${CLIENT}/dist/index.js`],
    ];
    for (const [what, path] of needed) {
      if (!existsSync(path)) throw new Error(`${what} is needed at ${path}`);
    }
    const stage = new Stage();
    try {
      await stage.#prepare();
    } catch (error) {
      await stage.strike();
      throw error;
    }
    return stage;
  }

  async #prepare() {
    const [redis, visit, react, worker] = await Promise.all([
      this.addRedis(),
      bundle('page/visit.ts'),
      bundle('page/react.tsx'),
      bundle('page/worker.ts'),
    ]);
    this.redis = redis;
    for (const [path, script] of [['visit', visit], ['react', react], ['worker', worker]]) this.pages.set(`/${path}.js`, ['text/javascript', script]);
    this.pages.set('/', ['text/html', html('/visit.js')]);
    this.pages.set('/react', ['text/html', html('/react.js')]);
    this.nodes = await Promise.all([this.addNode(redis), this.addNode(redis)]);
    this.browser = await launch();
    this.#open.push(() => this.browser.close());
  }

  async addRedis() {
    const redis = await Redis.start();
    this.#open.push(() => redis.close());
    return redis;
  }

  async addNode(redis, settings = {}) {
    const node = new Gateway(BINARY, { redisUrl: redis.url, secret: this.secret, settings: { ...SETTINGS, ...settings } });
    this.#open.push(() => node.kill());
    return node.start();
  }

  /** An org, a front and visitors for one chapter. */
  async scene(servers) {
    return new Scene(this, `org${++this.#orgs}`, servers).open();
  }

  async strike() {
    for (const end of this.#open.reverse()) await end();
  }
}
