// Where the client runs besides a plain page: the examples, each as it stands.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { CLIENT } from '../stage/places.mjs';
import { Program } from '../stage/program.mjs';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

/** Waits until the page shows the text. */
const shows = (visitor, text) => visitor.page.waitForFunction((wanted) => document.body.innerText.includes(wanted), text);

export const CHAPTERS = [
  ['the plain page shows the number, keeps it over a killed node, and publishes', async (scene) => {
    const page = new Visitor(await (await scene.context()).newPage());
    await page.page.goto(`${scene.front.origin}/examples/vanilla.html?room=${scene.room}`);
    await shows(page, 'connected');
    await until('a subscription', () => scene.subscriptions(), (rooms) => rooms.length === 1);
    await scene.says(scene.room, { waiting: 7 });
    await shows(page, '7 calls are waiting');
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    await scene.says(scene.room, { waiting: 9 });
    await shows(page, '9 calls are waiting');
    await page.page.click('#answer');
    await shows(page, '8 calls are waiting');
    assert.deepEqual(page.troubles, []);
  }],
  ['the React page under StrictMode shows moving numbers by one connection and one subscription', async (scene) => {
    const page = new Visitor(await (await scene.context({ viewport: { width: 1_280, height: 800 } })).newPage());
    await page.page.goto(`${scene.front.origin}/examples/react.html`);
    await page.page.waitForSelector('ul[aria-busy="false"]', { state: 'attached' });
    const queues = ['sales:support', 'sales:orders', 'service:billing', 'technical:first-line'];
    for (const [index, queue] of queues.entries()) await scene.says(`kpi:${scene.org}:${queue}`, { waiting: index + 1 });
    await shows(page, '10 calls are waiting');
    assert.equal(scene.front.arrivals, 1);
    assert.deepEqual(await until('a subscription', () => scene.subscriptions(), (rooms) => rooms.length > 0), [`kpi:${scene.org}`]);
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    await scene.says(`kpi:${scene.org}:sales:support`, { waiting: 31 });
    await shows(page, '40 calls are waiting');
    await scene.picture(page, 'react-desktop');
    await page.page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await page.page.evaluate(() => document.documentElement.scrollWidth), 360);
    await scene.picture(page, 'react-phone');
    assert.deepEqual(page.troubles, []);
  }],
  ['a client in a worker is as whole as one in a page', async (scene) => {
    const page = new Visitor(await (await scene.context()).newPage());
    await page.page.goto(scene.address({}, '/worker'));
    await until('a connection', () => page.ask('({ states }) => states.at(-1)'), (state) => state === 'connected');
    await until('a subscription', () => scene.subscriptions(), (rooms) => rooms.length === 1);
    await page.whole(await scene.publish(100));
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    const busy = page.ask('(visit, ms) => { for (const end = performance.now() + ms; performance.now() < end; ); }', 1_000);
    const last = await scene.publish(1_000);
    await busy;
    await page.whole(last);
    assert.deepEqual(await page.ask('(visit) => visit.gaps'), []);
  }],
  ['a client in Node follows a room over a killed node', async (scene) => {
    const [first, second] = scene.nodes;
    const flags = [join(CLIENT, 'examples/node.mjs'), `${scene.front.origin.replace('http', 'ws')}/ws`, scene.room];
    const program = new Program(process.execPath, flags, { env: { ROOMCAST_TOKEN: scene.token() }, cwd: CLIENT });
    try {
      await program.says(/^connected$/m);
      await until('a subscription', () => scene.subscriptions(), (rooms) => rooms.length === 1);
      await scene.publish(20);
      scene.front.target = second;
      await first.kill();
      const last = await scene.publish(20);
      await program.says(new RegExp(`"n":${last},`));
      const lines = program.output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
      assert.deepEqual(lines.map(({ data }) => data?.n), Array.from({ length: last }, (_, index) => index + 1));
      program.signal('SIGTERM');
      await program.says(/^disconnected$/m);
      await program.ended();
    } finally {
      await program.kill();
      await first.start();
    }
  }],
];
