// The command line and the environment of the publisher. Pure.

import { parseArgs } from 'node:util';

export const HELP = `Simulates a call centre's day and publishes it, for the live dashboard.

Usage: node publisher/main.js --gateway URL [options]      publishes by REST
       node publisher/main.js --redis [options]            publishes through Redis

Options:
  --gateway URL      A gateway, such as http://127.0.0.1:8080
  --redis            Through the Redis that REDIS_URL names, by FCALL and the ingest stream
  --org NAME         The org [default: the token's; with --redis: demo]
  --speed FACTOR     Simulated seconds per second, 1 to 600 [default: 30]
  --from HH:MM       Where the first day begins, 08:00 to 20:00 [default: 10:00]
  --seed NUMBER      The same seed gives the same days [default: 7]
  --rate NUMBER      Most publications per second, 10 to 1000 [default: 100]
  --duration SECONDS Ends after so long [default: never]
  --help             Shows this

Environment:
  ROOMCAST_TOKEN     For --gateway: a token with the scope publish, or an API key
  REDIS_URL          For --redis, such as redis://127.0.0.1:6379
  REDIS_PREFIX       What the gateway's keys in Redis begin with [default: rc]

Secrets come by the environment only, because every user of a machine can read arguments. SIGINT and SIGTERM end it.
`;

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

/**
 * @typedef {{ kind: 'rest', gateway: string, token: string } | { kind: 'redis', url: string, prefix: string }} Target
 * @typedef {{ target: Target, org: string, speed: number, fromS: number, seed: number, rate: number, durationS: number | null }} Options
 */

/** @param {string[]} args @param {Record<string, string | undefined>} env @returns {Options | 'help'} */
export function readOptions(args, env) {
  const given = parse(args);
  if (given.help) return 'help';
  const target = readTarget(given, env);
  return {
    target,
    org: segment(given.org ?? (target.kind === 'rest' ? orgOf(target.token) : null) ?? 'demo'),
    speed: number('--speed', given.speed ?? '30', 1, 600),
    fromS: clock(given.from ?? '10:00'),
    seed: number('--seed', given.seed ?? '7', 0, 2 ** 32 - 1),
    rate: number('--rate', given.rate ?? '100', 10, 1000),
    durationS: given.duration === undefined ? null : number('--duration', given.duration, 1, 86_400 * 365),
  };
}

/** @param {string[]} args */
function parse(args) {
  const text = /** @type {const} */ ({ type: 'string' });
  const flag = /** @type {const} */ ({ type: 'boolean' });
  const options = { gateway: text, redis: flag, org: text, speed: text, from: text, seed: text, rate: text, duration: text, help: flag };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {{ gateway?: string, redis?: boolean }} given @param {Record<string, string | undefined>} env @returns {Target} */
function readTarget({ gateway, redis }, env) {
  if ((gateway === undefined) === !redis) throw new UsageError('give either --gateway URL or --redis');
  if (gateway === undefined) {
    if (!env.REDIS_URL) throw new UsageError('--redis needs the address in REDIS_URL, such as redis://127.0.0.1:6379');
    return { kind: 'redis', url: env.REDIS_URL, prefix: env.REDIS_PREFIX || 'rc' };
  }
  if (!URL.canParse(gateway) || !/^https?:/.test(gateway)) throw new UsageError(`--gateway ${gateway}: not an http or https address`);
  if (!env.ROOMCAST_TOKEN) throw new UsageError('--gateway needs a token with the scope publish, or an API key, in ROOMCAST_TOKEN');
  return { kind: 'rest', gateway, token: env.ROOMCAST_TOKEN };
}

/**
 * The org that a token names; `null` for API keys and whatever else is no JWT. The gateway checks tokens, not we.
 * @param {string} token
 * @returns {string | null}
 */
export function orgOf(token) {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    return typeof claims.org === 'string' ? claims.org : null;
  } catch {
    return null;
  }
}

/** @param {string} name */
function segment(name) {
  if (!/^[A-Za-z0-9_.@-]{1,64}$/.test(name)) throw new UsageError(`--org ${name}: 1 to 64 letters, digits or _ . @ -`);
  return name;
}

/** @param {string} option @param {string} text @param {number} min @param {number} max */
function number(option, text, min, max) {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max)) throw new UsageError(`${option} ${text}: not a number from ${min} to ${max}`);
  return value;
}

/** @param {string} text */
function clock(text) {
  const [, hours, minutes] = /^(\d\d?):(\d\d)$/.exec(text) ?? [];
  const seconds = Number(hours) * 3600 + Number(minutes) * 60;
  if (!(seconds >= 8 * 3600 && seconds < 20 * 3600) || Number(minutes) > 59) throw new UsageError(`--from ${text}: not a time from 08:00 to 19:59`);
  return seconds;
}
