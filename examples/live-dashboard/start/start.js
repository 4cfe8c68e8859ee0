// `npm start`: the page, the backend and, for several gateways, a load balancer, until Ctrl-C. See --help.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { startBalancer } from './balancer.js';
import { HELP, UsageError, readOptions } from './options.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

async function askForToken() {
  if (!process.stdin.isTTY) throw new UsageError('a token is needed in ROOMCAST_TOKEN');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const token = await terminal.question('Token (a gateway in development mode prints one): ');
  terminal.close();
  return token.trim();
}

/** One address for all gateways, and how to end what stands behind it. @param {URL[]} gateways */
async function oneAddress(gateways) {
  const [only] = gateways;
  if (only !== undefined && gateways.length === 1) return { address: only.origin, close: () => {} };
  const balancer = await startBalancer(gateways.map(({ hostname, port }) => ({ host: hostname, port: Number(port || 80) })));
  return { address: `http://127.0.0.1:${balancer.port}`, close: balancer.close };
}

/** @param {string} target @param {number} port */
async function servePage(target, port) {
  // The page tells by itself when it cannot connect; the proxy would tell it again at every attempt.
  const page = await createServer({ root: ROOT, logLevel: 'silent', server: { port, proxy: { '/ws': { target, ws: true } } } });
  await page.listen();
  return page;
}

/** @param {string[]} args @param {string} token */
function startPublisher(args, token) {
  const env = { ...process.env, ROOMCAST_TOKEN: token };
  const publisher = spawn(process.execPath, [`${ROOT}publisher/main.js`, ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  publisher.on('exit', (code) => code !== 0 && code !== null && console.error(`the publisher ended with code ${code}; the page stays`));
  return publisher;
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const token = process.env.ROOMCAST_TOKEN || (await askForToken());
  const gateway = await oneAddress(options.gateways);
  const page = await servePage(gateway.address, options.port);
  const target = options.redis ? ['--redis'] : ['--gateway', gateway.address];
  const publisher = options.publisher ? startPublisher([...target, ...options.passedOn], token) : null;
  console.log(`\n  Open  ${page.resolvedUrls?.local[0]}#token=${token}\n\n  Ctrl-C ends it.\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  publisher?.kill('SIGTERM');
  await page.close();
  gateway.close();
}

main().catch((error) => {
  console.error(error instanceof UsageError ? `${error.message}\nTry: npm start -- --help` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
