// Drives the built-in page in a real Chromium against a real gateway with the embedded broker.
//
//   node tests/browser/console.mjs
//
// Needs the gateway to be built (ROOMCAST_BIN, else target/debug/roomcast) and Chromium to be installed (CHROMIUM, else
// /usr/bin/chromium). Fetches playwright-core into .cache/ once. Ends with one line of summary and, after a failure, code 1.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const BINARY = process.env.ROOMCAST_BIN ?? join(ROOT, 'target/debug/roomcast');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const CACHE = join(ROOT, '.cache/browser');
/** The last version that runs on Node 18, which Debian 12 has. */
const PLAYWRIGHT = '1.61.1';
/** Longest wait for anything that the page is expected to show. */
const PATIENCE_MS = 15_000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

class Gateway {
  constructor(port) {
    this.port = port;
    this.secret = randomBytes(32).toString('hex');
  }

  /** Starts the gateway; returns the address that it prints. A later start has the same key and port, and an empty log. */
  async start() {
    const flags = ['serve', '--dev', '--listen', `127.0.0.1:${this.port}`, '--internal-listen', '127.0.0.1:0'];
    const env = { PATH: process.env.PATH, ROOMCAST_AUTH__SECRET: this.secret };
    this.process = spawn(BINARY, flags, { env, cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    this.exited = once(this.process, 'exit');
    let output = '';
    for await (const chunk of this.process.stdout.iterator({ destroyOnReturn: false })) {
      output += chunk;
      const address = /Open\s+(http\S+)/.exec(output)?.[1];
      if (address) {
        this.process.stdout.resume();
        return address;
      }
    }
    throw new Error(`the gateway ended before it served: ${output}`);
  }

  async kill() {
    this.process?.kill('SIGKILL');
    await this.exited;
  }
}

/** What a person would read off the page. */
class Console {
  constructor(page) {
    this.page = page;
    this.troubles = [];
    this.foreign = [];
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.troubles.push(error.message));
    page.on('console', (message) => message.type() === 'error' && this.troubles.push(message.text()));
  }

  static async open(context, address) {
    const seen = new Console(await context.newPage());
    const origin = new URL(address).origin;
    seen.page.on('request', (request) => request.url().startsWith(origin) || seen.foreign.push(request.url()));
    await seen.page.goto(address);
    await seen.phase('connected');
    return seen;
  }

  phase(phase) {
    return this.page.waitForSelector(`#state[data-phase="${phase}"]`);
  }

  async subscribes(pattern) {
    await this.page.fill('#pattern', pattern);
    await this.page.click('#subscribe');
    await this.page.waitForFunction((text) => [...document.querySelectorAll('#rooms li span')].some((chip) => chip.textContent === text), pattern);
  }

  async publishes(room, data) {
    await this.page.fill('#publish-room', room);
    await this.page.fill('#publish-data', JSON.stringify(data));
    await this.page.click('#publish');
  }

  /** Waits until the counter shows the number. */
  counts(name, number) {
    return this.page.waitForFunction(([id, text]) => document.getElementById(id).textContent === text, [`count-${name}`, String(number)]);
  }

  text(selector) {
    return this.page.textContent(selector);
  }

  /** The numbers of the publications in the list, oldest first. */
  async numbers() {
    const texts = await this.page.locator('#messages .seq').allTextContents();
    return texts.map((text) => Number(text.slice(1))).reverse();
  }

  cells(kind) {
    return this.page.locator(`#strip li[data-kind="${kind}"]`).count();
  }
}

const oneTo = (last) => Array.from({ length: last }, (_, index) => index + 1);

/** Sentences in the order in which one visitor would live through them; each builds on the one before. */
const CHAPTERS = [
  ['the token of the address is used and taken out of it', async ({ alice, gateway }) => {
    assert.equal(alice.page.url(), `http://127.0.0.1:${gateway.port}/console/`);
    assert.equal(await alice.text('#user'), 'developer');
    assert.equal(await alice.text('#org'), 'demo');
    assert.match(await alice.text('#latency'), /^[\d.]+ ms$/);
  }],
  ['what is published into a subscribed room arrives, and other rooms stay out', async ({ alice }) => {
    await alice.subscribes('kpi:demo');
    await alice.publishes('kpi:demo:sales', { calls: 1 });
    await alice.counts('received', 1);
    await alice.publishes('chat:demo', { secret: true });
    await alice.counts('published', 2);
    await alice.publishes('kpi:demo:sales', { calls: 2 });
    await alice.counts('received', 2);
    assert.deepEqual(await alice.numbers(), [1, 3]);
    assert.equal(await alice.cells('elsewhere'), 1);
  }],
  ['markup in data stays text', async ({ alice }) => {
    await alice.publishes('kpi:demo:sales', { html: '<img src=x onerror="document.title=1"><b id=bold>' });
    await alice.counts('received', 3);
    await alice.page.locator('#messages summary').first().click();
    await alice.page.waitForSelector('#messages .body');
    assert.match(await alice.text('#messages .body pre'), /<img src=x/);
    assert.equal(await alice.page.locator('#messages img, #bold').count(), 0);
    assert.equal(await alice.page.title(), 'roomcast console');
  }],
  ['a mistake is said where it was made and ends nothing', async ({ alice }) => {
    await alice.page.fill('#pattern', 'nope:demo');
    await alice.page.click('#subscribe');
    await alice.page.waitForFunction(() => document.getElementById('rooms-alert').textContent.startsWith('INVALID_ROOM'));
    await alice.page.fill('#publish-data', '{"calls": ');
    await alice.page.waitForSelector('#publish-data[aria-invalid="true"]');
    await alice.phase('connected');
  }],
  ['a dropped connection comes back without hole or double', async ({ alice }) => {
    const before = await alice.text('#session');
    await alice.page.click('#drop');
    await alice.phase('waiting');
    await alice.counts('published', 9);
    await alice.phase('connected');
    await alice.counts('received', 8);
    assert.equal(await alice.text('#count-replayed'), '5');
    assert.deepEqual(await alice.numbers(), [1, 3, ...oneTo(9).slice(3)]);
    assert.equal(await alice.cells('replayed'), 5);
    assert.equal(await alice.cells('missing'), 0);
    assert.match(await alice.text('#verdict'), /^8 received, 5 of them replayed: no gap\.$/);
    assert.notEqual(await alice.text('#session'), before);
  }],
  ['a second tab is a session of its own that gets the same', async ({ alice, context }) => {
    const opened = context.waitForEvent('page');
    await alice.page.click('#second-tab');
    const bob = new Console(await opened);
    await bob.phase('connected');
    assert.ok(!bob.page.url().includes('token'));
    await bob.subscribes('kpi:demo');
    await alice.publishes('kpi:demo:sales', { calls: 3 });
    await bob.counts('received', 1);
    await alice.counts('received', 9);
    assert.deepEqual(bob.troubles, []);
    await bob.page.close();
  }],
  ['the list can be filtered and paused', async ({ alice }) => {
    await alice.page.fill('#filter', 'meanwhile');
    assert.equal(await alice.page.locator('#messages summary').count(), 5);
    await alice.page.fill('#filter', '');
    assert.equal(await alice.page.locator('#messages summary').count(), 9);
    await alice.page.click('#pause');
    await alice.publishes('kpi:demo:sales', { calls: 4 });
    await alice.counts('received', 10);
    assert.equal(await alice.page.locator('#messages summary').count(), 9);
    assert.equal(await alice.text('#pause'), 'Continue (1)');
    await alice.page.click('#pause');
    assert.equal(await alice.page.locator('#messages summary').count(), 10);
  }],
  ['a reload keeps the token', async ({ alice }) => {
    await alice.page.reload();
    await alice.phase('connected');
    await alice.subscribes('kpi:demo');
    await alice.publishes('kpi:demo:sales', { calls: 5 });
    await alice.counts('received', 1);
  }],
  ['nothing was fetched from elsewhere and nothing broke the policy', async ({ alice }) => {
    assert.deepEqual(alice.foreign, []);
    assert.deepEqual(alice.troubles, []);
  }],
  ['a node that was killed and comes back without its log is a gap, admitted once', async ({ alice, gateway }) => {
    await gateway.kill();
    await alice.phase('waiting');
    await gateway.start();
    await alice.phase('connected');
    await alice.counts('gaps', 1);
    assert.match(await alice.text('#messages [data-kind="gap"]'), /Gap \(log_lost\)/);
    assert.match(await alice.text('#verdict'), /1 gap admitted/);
    await alice.publishes('kpi:demo:sales', { calls: 6 });
    await alice.counts('received', 2);
    assert.equal(await alice.text('#count-gaps'), '1');
    assert.equal(await alice.cells('missing'), 1);
  }],
  ['unsubscribing ends it, signing out forgets', async ({ alice }) => {
    await alice.page.click('#rooms button');
    await alice.page.waitForFunction(() => document.querySelectorAll('#rooms li').length === 0);
    await alice.page.click('#sign-out');
    await alice.phase('idle');
    assert.equal(await alice.text('#position'), '–');
    await alice.page.fill('#token', 'not.a.token');
    await alice.page.click('#connect');
    await alice.phase('refused');
    assert.match(await alice.text('#session-alert'), /^AUTH_FAILED/);
  }],
];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Playwright's driver, without any browser of its own. */
function playwright() {
  const wanted = join(CACHE, 'node_modules/playwright-core/package.json');
  const require = createRequire(join(CACHE, 'from-here.js'));
  if (!existsSync(wanted) || require(wanted).version !== PLAYWRIGHT) {
    const flags = ['install', '--prefix', CACHE, '--no-save', '--no-audit', '--no-fund', '--loglevel', 'error', `playwright-core@${PLAYWRIGHT}`];
    execFileSync('npm', flags, { stdio: 'inherit' });
  }
  return require('playwright-core');
}

async function main() {
  for (const [what, path] of [['the gateway (cargo build)', BINARY], ['Chromium (apt-get install chromium)', CHROMIUM]]) {
    if (!existsSync(path)) throw new Error(`${what} is needed at ${path}`);
  }
  const { chromium } = playwright();
  const gateway = new Gateway(await freePort());
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  let passed = 0;
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const alice = await Console.open(context, await gateway.start());
    for (const [sentence, live] of CHAPTERS) {
      console.log(`  ${sentence}`);
      await live({ alice, gateway, context });
      passed += 1;
    }
  } finally {
    await browser.close();
    await gateway.kill();
    console.log(`browser: ${passed} of ${CHAPTERS.length} passed`);
  }
}

await main();
