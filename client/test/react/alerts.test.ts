// @vitest-environment jsdom
import { act, cleanup, renderHook } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { useAlertNotifications } from '../../src/react/index.js';
import type { AlertsOptions } from '../../src/react/index.js';
import { createStage, type Stage } from './stage.js';

let stage: Stage;

beforeEach(() => {
  stage = createStage();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const room = 'alerts:acme:sales';

async function show(options?: AlertsOptions) {
  const { result } = renderHook(() => useAlertNotifications(options), stage);
  await stage.play();
  return result;
}

async function tell(event: string, data: unknown) {
  stage.server.publish({ room, event: `alert:${event}`, data });
  await stage.play();
}

const statuses = ({ current }: Awaited<ReturnType<typeof show>>) => current.alerts.map(({ id, status }) => `${id} ${status}`);

test('shows alerts, the newest first, and what becomes of them', async () => {
  const result = await show({ departmentId: 'sales' });
  await tell('triggered', { id: 'a', severity: 'warning', message: 'queue is full' });
  await tell('triggered', { id: 'b', severity: 'info' });
  expect(statuses(result)).toEqual(['b triggered', 'a triggered']);
  await tell('escalated', { id: 'a', severity: 'critical' });
  await tell('acknowledged', { id: 'b', acknowledged_by: 'bob' });
  expect(statuses(result)).toEqual(['b acknowledged', 'a escalated']);
  expect(result.current.alerts[1]?.alert).toEqual({ id: 'a', severity: 'critical', message: 'queue is full' });
  expect(result.current.alerts[0]?.alert.acknowledged_by).toBe('bob');
  expect(result.current.unacknowledged.map(({ id }) => id)).toEqual(['a']);
  await tell('resolved', { id: 'a' });
  expect([statuses(result), result.current.unacknowledged]).toEqual([['b acknowledged', 'a resolved'], []]);
});

test('passes over the end of what it has not seen, and what has no id', async () => {
  const result = await show();
  await tell('acknowledged', { id: 'long ago' });
  await tell('resolved', { id: 'long ago' });
  await tell('triggered', { message: 'nameless' });
  await tell('triggered', null);
  expect(result.current.alerts).toEqual([]);
});

test('shows an alert that it sees only when it is escalated', async () => {
  const result = await show();
  await tell('escalated', { id: 'a' });
  expect(statuses(result)).toEqual(['a escalated']);
});

test('acknowledges at once and for everybody', async () => {
  const result = await show();
  await tell('triggered', { id: 'a' });
  const acknowledged = act(async () => {
    const done = result.current.acknowledge('a');
    stage.frame();
    await stage.settle();
    return done;
  });
  expect(await acknowledged).toMatchObject({ duplicate: false });
  expect(statuses(result)).toEqual(['a acknowledged']);
  expect(stage.server.commandsOf('publish')[0]?.data).toMatchObject({
    room,
    event: 'alert:acknowledged',
    data: { id: 'a', acknowledged_by: 'alice' },
  });
});

test('takes an acknowledgement back that the server refuses', async () => {
  const result = await show();
  await tell('triggered', { id: 'a' });
  stage.server.refuse = ({ event }) => (event === 'publish' ? { code: 'UNAUTHORIZED' } : undefined);
  const refused = expect(result.current.acknowledge('a')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  await act(async () => stage.frame());
  expect(statuses(result)).toEqual(['a acknowledged']);
  await stage.play();
  await refused;
  expect(statuses(result)).toEqual(['a triggered']);
  await expect(result.current.acknowledge('unknown')).rejects.toThrow('no alert "unknown"');
});

test('dismisses and clears for itself alone', async () => {
  const result = await show();
  for (const id of ['a', 'b', 'c']) await tell('triggered', { id });
  const { dismiss, clear } = result.current;
  act(() => dismiss('b'));
  await stage.play();
  expect(statuses(result)).toEqual(['c triggered', 'a triggered']);
  expect(result.current.dismiss).toBe(dismiss);
  act(clear);
  await stage.play();
  expect(result.current.alerts).toEqual([]);
  await tell('escalated', { id: 'b' });
  expect(statuses(result)).toEqual(['b escalated']);
  expect(stage.server.commandsOf('publish')).toEqual([]);
});

test('bounds its alerts: the oldest that is dealt with goes first, then the oldest', async () => {
  const result = await show({ alertsMax: 2 });
  await tell('triggered', { id: 'a' });
  await tell('triggered', { id: 'b' });
  await tell('resolved', { id: 'b' });
  await tell('triggered', { id: 'c' });
  expect(statuses(result)).toEqual(['c triggered', 'a triggered']);
  await tell('triggered', { id: 'd' });
  expect(statuses(result)).toEqual(['d triggered', 'c triggered']);
});
