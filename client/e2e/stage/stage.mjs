// What all chapters share: a Redis, two gateways on it, a browser and the bundled pages.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from './browser.mjs';
import { bundle } from './bundle.mjs';
import { Gateway } from './gateway.mjs';
import { BINARY, CHROMIUM, CLIENT } from './places.mjs';
import { Redis } from './redis.mjs';
import { Scene } from './scene.mjs';

/** Small tails make a resume read its pages from Redis; without leeway a token ends when it says so. */
const SETTINGS = { HUB__TAIL_BYTES_MAX: 65_536, AUTH__LEEWAY_S: 0, SESSION__REVOCATION_INTERVAL_MS: 200 };

const html = (script) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>roomcast</title>
<link rel="icon" href="data:,"><script type="module" src="${script}"></script></html>`;

const SCRIPTS = ['e2e/page/visit.ts', 'e2e/page/worker.ts', 'e2e/page/room.tsx', 'examples/vanilla.ts', 'examples/react.tsx', 'examples/worker.ts'];

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
    this.redis = await this.addRedis();
    await this.#bundle();
    this.nodes = await Promise.all([this.addNode(this.redis), this.addNode(this.redis)]);
    this.browser = await launch();
    this.#open.push(() => this.browser.close());
  }

  /** Pages stand under the names of their files, scripts with `.js` in place of their own ending. */
  async #bundle() {
    const texts = await Promise.all(SCRIPTS.map(bundle));
    SCRIPTS.forEach((file, index) => this.pages.set(`/${file.replace(/\.tsx?$/, '.js')}`, ['text/javascript', texts[index]]));
    this.pages.set('/', ['text/html', html('/e2e/page/visit.js')]);
    this.pages.set('/worker', ['text/html', html('/e2e/page/worker.js')]);
    this.pages.set('/room', ['text/html', html('/e2e/page/room.js')]);
    for (const name of ['vanilla', 'react']) {
      const page = await readFile(join(CLIENT, `examples/${name}.html`), 'utf8');
      this.pages.set(`/examples/${name}.html`, ['text/html', page.replace(/(src="[^"]*)\.tsx?"/, '$1.js"')]);
    }
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
