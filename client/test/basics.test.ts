import { expect, test } from 'vitest';
import { createWorld } from './fake-server.js';

test('subscribes, receives and publishes', async () => {
  const world = createWorld();
  const client = world.client();
  const got: unknown[] = [];
  const subscription = client.subscribe('kpi:acme', ({ data }) => got.push(data));
  expect([client.state, subscription.status]).toEqual(['connecting', 'pending']);
  await world.settle();
  expect([client.state, subscription.status]).toEqual(['connected', 'active']);
  const published = client.publish({ room: 'kpi:acme:sales', event: 'kpi:update', data: 1 });
  await world.settle();
  expect(await published).toEqual({ id: world.server.log().last, duplicate: false });
  expect(got).toEqual([1]);
  expect(client.position).toBe(world.server.log().last);
});

test('resumes after a cut, in order and without doubles', async () => {
  const world = createWorld();
  const client = world.client();
  const got: unknown[] = [];
  client.subscribe('kpi:acme', ({ data }) => got.push(data));
  await world.settle();
  world.server.publish({ room: 'kpi:acme', data: 1 });
  await world.settle();
  world.server.cutAll();
  world.server.publish({ room: 'kpi:acme', data: 2 });
  await world.settle();
  world.server.publish({ room: 'kpi:acme', data: 3 });
  await world.settle();
  expect(got).toEqual([1, 2, 3]);
  const resume = world.server.commandsOf('authenticate')[1];
  expect(resume?.data).toMatchObject({ rooms: ['kpi:acme'], since: expect.any(String) });
});
