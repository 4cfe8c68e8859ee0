import { expectTypeOf, test } from 'vitest';
import type { Item, Member, Publication, Published } from '../../src/index.js';
import {
  useAlertNotifications,
  useAttendanceUpdates,
  useBacklogUpdates,
  useChannel,
  useKPIUpdates,
  useRealtimeChannel,
  useRealtimePresence,
  useRealtimeSync,
  useWebSocketSubscription,
} from '../../src/react/index.js';
import type { Alert, AttendanceUpdate, BacklogUpdate, KpiUpdate } from '../../src/react/index.js';

interface Mine {
  id: string;
  seq: number;
}

test('updates have the usual payloads, or the caller\'s', () => {
  expectTypeOf(() => useKPIUpdates().latest).returns.toEqualTypeOf<KpiUpdate | null>();
  expectTypeOf(() => useBacklogUpdates().latest).returns.toEqualTypeOf<BacklogUpdate | null>();
  expectTypeOf(() => useAttendanceUpdates().byRoom).returns.toEqualTypeOf<Readonly<Record<string, AttendanceUpdate>>>();
  expectTypeOf(() => useKPIUpdates<Mine>().history).returns.toEqualTypeOf<readonly Publication<Mine>[]>();
});

test('alerts have the usual payload, or the caller\'s with an id', () => {
  expectTypeOf(() => useAlertNotifications().alerts[0]!.alert).returns.toEqualTypeOf<Alert>();
  expectTypeOf(() => useAlertNotifications<Mine>().alerts[0]!.alert).returns.toEqualTypeOf<Mine>();
  // @ts-expect-error alerts without an id cannot be told apart
  expectTypeOf(() => useAlertNotifications<{ seq: number }>()).toBeFunction();
});

test('handlers and channels have the payload that is named', () => {
  expectTypeOf<Parameters<typeof useWebSocketSubscription<Mine>>[1]>().parameter(0).toEqualTypeOf<Publication<Mine>>();
  expectTypeOf<Parameters<typeof useChannel<Mine>>[1]>().parameter(0).toEqualTypeOf<Publication<Mine>>();
  expectTypeOf<ReturnType<typeof useRealtimeChannel<Mine>>['publications']>().toEqualTypeOf<readonly Publication<Mine>[]>();
  expectTypeOf<ReturnType<typeof useRealtimeChannel>['publications'][number]['data']>().toBeUnknown();
  expectTypeOf<ReturnType<ReturnType<typeof useChannel>['broadcast']>>().resolves.toEqualTypeOf<Published>();
});

test('members and items have the state and the value that are named', () => {
  expectTypeOf<ReturnType<typeof useRealtimePresence<Mine>>['members']>().toEqualTypeOf<readonly Member<Mine>[]>();
  expectTypeOf<ReturnType<typeof useRealtimeSync<Mine>>['items']>().toEqualTypeOf<readonly Item<Mine>[]>();
  expectTypeOf<ReturnType<typeof useRealtimeSync<Mine>>['insert']>().parameter(1).toEqualTypeOf<Mine>();
});
