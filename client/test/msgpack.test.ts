import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { asBytes, bytesOf, fromBase64, toBase64 } from '../src/binary.js';
import { pack, unpack } from '../src/transport/packing.js';
import { msgpack } from '../src/transport/msgpack.js';
import type { Publication } from '../src/types.js';
import { createWorld, fakeWebSocket } from './fake-server.js';
import { packedSocket } from './fake/packed.js';
import type { Packed } from './fake/packed.js';

const BYTES = Uint8Array.from([0, 255, 254, 123, 34, 128, 10]);

function fixtures(): [string, unknown][] {
  const folders = ['commands', 'replies', 'pushes', 'errors'].map((name) => new URL(`../../fixtures/${name}/`, import.meta.url));
  const files = folders.flatMap((folder) => readdirSync(folder).map((file) => new URL(file, folder)));
  return files.map((file) => [file.pathname.split('/').slice(-2).join('/'), (JSON.parse(readFileSync(file, 'utf8')) as { wire: unknown }).wire]);
}

describe('packing', () => {
  test.each(fixtures())('%s comes back the same', (_, wire) => {
    expect(unpack(pack(wire))).toEqual(wire);
  });

  test('numbers at the borders of their forms come back the same, in the shortest form', () => {
    const forms: [number, number][] = [
      [0, 1], [127, 1], [128, 2], [255, 2], [256, 3], [65_535, 3], [65_536, 5], [2 ** 32 - 1, 5], [2 ** 32, 9], [Number.MAX_SAFE_INTEGER, 9],
      [-1, 1], [-32, 1], [-33, 5], [-(2 ** 31), 5], [-(2 ** 31) - 1, 9], [1.5, 9], [-0, 9], [1e300, 9],
    ];
    for (const [number, length] of forms) {
      expect(unpack(pack(number))).toBe(number);
      expect(pack(number)).toHaveLength(length);
    }
  });

  test('texts, lists, maps and bytes of every length come back the same', () => {
    for (const length of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
      const bytes = new Uint8Array(length).fill(193);
      const list = Array.from({ length }, (_, index) => index);
      for (const value of ['x'.repeat(length), list]) expect(JSON.stringify(unpack(pack(value)))).toBe(JSON.stringify(value));
      for (const back of [unpack(pack(bytes)), fromBase64(toBase64(bytes))]) expect(Buffer.compare(back as Uint8Array, bytes)).toBe(0);
    }
    const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, null]));
    expect(JSON.stringify(unpack(pack(wide)))).toBe(JSON.stringify(wide));
    expect(unpack(pack({ left: undefined, out: [undefined] }))).toEqual({ out: [null] });
  });

  test('what a server of this protocol never sends is refused', () => {
    const deep = Uint8Array.from([...Array.from({ length: 200 }, () => 0x91), 0xc0]);
    for (const bytes of [[], [0x81], [0xdb, 255, 255, 255, 255], [0xdd, 255, 255, 255, 255], [0xa1, 0xff], [0xc1], [0xd6, 0xff, 0, 0, 0, 0], [0xc0, 0xc0]]) {
      expect(() => unpack(Uint8Array.from(bytes))).toThrow();
    }
    expect(() => unpack(deep)).toThrow();
    // What the servers of others send: other forms of the same.
    expect(unpack(Uint8Array.from([0x93, 0xca, 0x3f, 0xc0, 0, 0, 0xd0, 0x80, 0xd3, 255, 255, 255, 255, 255, 255, 255, 254]))).toEqual([1.5, -128, -2]);
  });
});

describe('bytes', () => {
  test.each([['json', false], ['msgpack', true]] as const)('go both ways over %s', async (_, binary) => {
    const world = createWorld();
    const transport = binary ? msgpack({ WebSocket: packedSocket(fakeWebSocket(world.server)) }) : undefined;
    const client = world.client({ ...(transport && { transport }), url: 'ws://fake/ws' });
    const got: Publication[] = [];
    client.subscribe('kpi:acme', (publication) => got.push(publication));
    await world.clock.until(() => client.state === 'connected', 5_000);
    await world.settle();
    client.publish({ room: 'kpi:acme', event: 'kpi:update', ...asBytes(BYTES) });
    client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'AA==' });
    await world.settle(200);
    expect(got.map(bytesOf)).toEqual([BYTES, undefined]);
  });

  test('a message that cannot be read is passed over', async () => {
    const world = createWorld();
    let socket: Packed | undefined;
    const Socket = packedSocket(fakeWebSocket(world.server), (opened) => (socket = opened));
    const client = world.client({ transport: msgpack({ WebSocket: Socket }), url: 'ws://fake/ws' });
    await world.clock.until(() => client.state === 'connected', 5_000);
    for (const data of [new Uint8Array([0xc1]).buffer, 'text', new ArrayBuffer(0)]) socket!.hear(data);
    await world.settle(200);
    expect(client.state).toBe('connected');
  });
});
