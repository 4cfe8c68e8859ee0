// Tokens as an application's backend makes them.

import { createHmac } from 'node:crypto';

const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signs the claims with HS256; the token ends `lifetimeS` seconds from now. */
export function mint(secret, { lifetimeS = 3_600, ...claims }) {
  const now = Math.floor(Date.now() / 1_000);
  const text = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64({ iat: now, exp: now + lifetimeS, ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
