// The five minutes of README.md, lived through: the packed package, the very blocks, a gateway as `make run` starts it, and the publisher's line.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createServer } from 'vite';
import { Gateway } from '../stage/gateway.mjs';
import { BINARY, CLIENT } from '../stage/places.mjs';
import { freePort } from '../stage/program.mjs';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

const run = promisify(execFile);
const ADDRESS = '127.0.0.1:8080';
const PAGE = 'http://localhost:5173';

const blocks = (page) => [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];

/** The block that is the named file. */
function file(page, name) {
  const found = blocks(page).find(([, info]) => info.endsWith(` ${name}`));
  assert.ok(found, `README.md has no block ${name}`);
  return found[2];
}

/** The line of a block for the shell that has the text. */
function line(page, text) {
  const found = blocks(page).filter(([, info]) => info === 'sh').flatMap(([, , lines]) => lines.split('\n')).find((candidate) => candidate.includes(text));
  assert.ok(found, `README.md has no command with ${text}`);
  return found;
}

/** A folder as a newcomer has it after `npm install`. React is the one that the tests of the package have already. */
async function newcomer(files) {
  const folder = await mkdtemp(join(tmpdir(), 'roomcast-hello-'));
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: CLIENT });
  await mkdir(join(folder, 'node_modules/@roomcast/client'), { recursive: true });
  await run('tar', ['-xzf', join(folder, stdout.trim()), '-C', join(folder, 'node_modules/@roomcast/client'), '--strip-components', '1']);
  for (const name of ['react', 'react-dom']) await symlink(join(CLIENT, 'node_modules', name), join(folder, 'node_modules', name));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

/** Runs the line that publishes, with the binary in place of cargo. */
function publish(command, { token, port }) {
  const [, room, event, data] = /publish (\S+) (\S+) '(.+)'/.exec(command);
  return run(BINARY, ['publish', room, event, data], { env: { ROOMCAST_TOKEN: token, ROOMCAST_URL: `http://127.0.0.1:${port}` } });
}

export const CHAPTERS = [
  ['README.md leads to a moving number, in plain TypeScript and with React', async (scene) => {
    const readme = await readFile(join(CLIENT, 'README.md'), 'utf8');
    const start = line(readme, 'make run');
    assert.match(start, new RegExp(`ROOMCAST_WEBSOCKET__ALLOWED_ORIGINS=${PAGE} make run`));
    const port = await freePort();
    const origin = `http://localhost:${port}`;
    const gateway = await new Gateway(BINARY, { settings: { WEBSOCKET__ALLOWED_ORIGINS: origin } }).start();
    const there = (text) => text.replaceAll(ADDRESS, `127.0.0.1:${gateway.port}`);
    const html = file(readme, 'index.html');
    const folder = await newcomer({
      'index.html': html,
      'main.ts': there(file(readme, 'main.ts')),
      'react.html': html.replace('<script', '<div id="root"></div><script').replace('main.ts', 'main.tsx'),
      'main.tsx': there(file(readme, 'main.tsx')),
    });
    const server = await createServer({
      root: folder,
      configFile: false,
      logLevel: 'error',
      cacheDir: join(folder, 'cache'),
      server: { host: 'localhost', port, strictPort: true },
    });
    try {
      await server.listen();
      const [, token] = await gateway.program.says(/Token\s+(\S+)/);
      const context = await scene.context();
      for (const page of ['', 'react.html']) {
        const visitor = new Visitor(await context.newPage());
        await visitor.page.goto(`${origin}/${page}#${token}`);
        await visitor.page.waitForFunction(() => document.title === 'connected' || document.body.innerText.includes('Connected'));
        // Nobody types so fast as to be there before the subscription; a test is.
        await until('the number', async () => {
          await publish(line(readme, 'cargo run -- publish'), { token, port: gateway.port });
          return visitor.page.evaluate(() => document.body.innerText.includes('7 calls are waiting'));
        });
        assert.deepEqual(visitor.troubles, []);
      }
    } finally {
      await server.close();
      await gateway.kill();
      await rm(folder, { recursive: true });
    }
  }],
];
