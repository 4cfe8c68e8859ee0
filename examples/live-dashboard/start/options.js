// The command line of `npm start`. Pure.

import { parseArgs } from 'node:util';

export const HELP = `Starts the page, and a backend that publishes for it.

Usage: npm start -- [options]

Options:
  --gateway URL    The gateway; several with commas between are balanced here [default: http://127.0.0.1:8080]
  --redis          The backend publishes through REDIS_URL instead of by REST
  --no-publisher   Only the page
  --org, --speed, --from, --seed
                   For the backend: see npm run publisher -- --help
  --port NUMBER    Where the page is served [default: 5173]
  --help           Shows this

Environment:
  ROOMCAST_TOKEN   A token that may subscribe and, without --redis, publish by REST. Asked for when it is missing.
`;

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

const PASSED_ON = /** @type {const} */ (['org', 'speed', 'from', 'seed']);

/** @param {string[]} args */
export function readOptions(args) {
  const given = parse(args);
  const gateways = (given.gateway ?? 'http://127.0.0.1:8080').split(',').map(address);
  const port = Number(given.port ?? '5173');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError(`--port ${given.port}: not a port`);
  return {
    help: given.help === true,
    gateways,
    port,
    redis: given.redis === true,
    publisher: given['no-publisher'] !== true,
    passedOn: PASSED_ON.flatMap((name) => (given[name] === undefined ? [] : [`--${name}`, given[name]])),
  };
}

/** @param {string[]} args */
function parse(args) {
  const text = /** @type {const} */ ({ type: 'string' });
  const flag = /** @type {const} */ ({ type: 'boolean' });
  const options = { gateway: text, redis: flag, 'no-publisher': flag, org: text, speed: text, from: text, seed: text, port: text, help: flag };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} text */
function address(text) {
  if (!URL.canParse(text) || new URL(text).protocol !== 'http:') throw new UsageError(`--gateway ${text}: not an address such as http://127.0.0.1:8080`);
  return new URL(text);
}
