import { describe, expect, it } from 'vitest';
import { UsageError, orgOf, readOptions } from '../options.js';

const claims = Buffer.from(JSON.stringify({ org: 'acme' })).toString('base64url');
const env = { ROOMCAST_TOKEN: `h.${claims}.s`, REDIS_URL: 'redis://127.0.0.1:6379' };

describe('options', () => {
  it('take the org from the token, and defaults for the rest', () => {
    expect(readOptions(['--gateway', 'http://127.0.0.1:8080'], env)).toMatchObject({
      target: { kind: 'rest', gateway: 'http://127.0.0.1:8080' }, org: 'acme', speed: 30, fromS: 36_000, durationS: null,
    });
  });

  it('take Redis from the environment', () => {
    expect(readOptions(['--redis', '--org', 'o'], env)).toMatchObject({ target: { kind: 'redis', url: env.REDIS_URL, prefix: 'rc' }, org: 'o' });
  });

  it.each([
    [[], 'give either'],
    [['--gateway', 'http://a', '--redis'], 'give either'],
    [['--gateway', 'ws://a'], 'not an http'],
    [['--redis', '--speed', '0'], '--speed 0'],
    [['--redis', '--from', '25:00'], '--from 25:00'],
    [['--redis', '--org', 'a:b'], '--org a:b'],
    [['--nonsense'], '--nonsense'],
  ])('refuse %j and say why', (args, why) => {
    expect(() => readOptions(args, env)).toThrow(UsageError);
    expect(() => readOptions(args, env)).toThrow(why);
  });

  it('miss secrets by the name of their variable', () => {
    expect(() => readOptions(['--redis'], {})).toThrow('REDIS_URL');
    expect(() => readOptions(['--gateway', 'http://a'], {})).toThrow('ROOMCAST_TOKEN');
  });

  it('find no org in what is no token', () => {
    expect(orgOf('an-api-key')).toBeNull();
    expect(orgOf('a.b.c')).toBeNull();
  });
});
