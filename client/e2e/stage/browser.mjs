// Chromium, driven by playwright-core, which is fetched once into the folder that tests/browser uses too.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { CHROMIUM, ROOT } from './places.mjs';

const CACHE = join(ROOT, '.cache/browser');
/** The version that tests/browser uses too. */
const PLAYWRIGHT = '1.61.1';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

function playwright() {
  const wanted = join(CACHE, 'node_modules/playwright-core/package.json');
  const require = createRequire(join(CACHE, 'from-here.js'));
  if (!existsSync(wanted) || require(wanted).version !== PLAYWRIGHT) {
    const flags = ['install', '--prefix', CACHE, '--no-save', '--no-audit', '--no-fund', '--loglevel', 'error', `playwright-core@${PLAYWRIGHT}`];
    execFileSync('npm', flags, { stdio: 'inherit' });
  }
  return require('playwright-core');
}

export const launch = () => playwright().chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
