// Tokens of the fake server: readable as JWTs, signed by nobody.

export interface Claims {
  sub: string;
  org: string;
  /** Unix seconds. */
  exp: number;
  /** Patterns that may be subscribed to and published into; everything of the org when left out. */
  grants?: string[];
  /** Makes tokens differ that say the same. */
  jti?: number;
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function mint(claims: Claims): string {
  return `${encode({ alg: 'none' })}.${encode(claims)}.c2lnbmF0dXJl`;
}

export function readToken(token: string): Claims | undefined {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  } catch {
    return undefined;
  }
}
