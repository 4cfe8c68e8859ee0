// Entry point of the publisher: command line, sink, signals. See --help.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { HELP, UsageError, readOptions } from './options.js';
import { Refused } from './outbox.js';
import { run } from './run.js';

/** @import { Target } from './options.js' */

/** Loads a sink only when it is used, so that publishing by REST works without the package `redis`. @param {Target} target */
async function sinkFor(target) {
  if (target.kind === 'rest') {
    const { RestSink } = await import('./sinks/rest.js');
    return new RestSink(target.gateway, target.token);
  }
  const { RedisSink } = await import('./sinks/redis.js');
  return new RedisSink(target.url, target.prefix);
}

/** @param {number | null} durationS */
function ending(durationS) {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end.abort());
  if (durationS !== null) setTimeout(() => end.abort(), durationS * 1_000).unref();
  return end.signal;
}

async function main() {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const signal = ending(options.durationS);
  const sink = await sinkFor(options.target);
  const log = (/** @type {string} */ line) => console.log(`publisher: ${line}`);
  const wait = (/** @type {number} */ ms) => sleep(ms, undefined, { signal }).catch(() => {});
  log(`publishing a day of ${options.org} at ${options.speed} times its speed`);
  try {
    const plan = { ...options, run: randomUUID().slice(0, 8), startMs: Date.now() };
    log(`ended after ${await run(plan, sink, { now: Date.now, wait, log, signal })} publications`);
  } finally {
    await sink.close();
  }
}

main().catch((error) => {
  if (error instanceof UsageError) console.error(`${error.message}\nTry: node publisher/main.js --help`);
  else if (error instanceof Refused) console.error(`publisher: refused, and trying again would not help: ${error.message}`);
  else console.error(error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
