// Alerts and what has become of them.

import { RoomcastError } from '../fault.js';
import type { Client, Publication, Published } from '../types.js';
import type { Alert } from './payloads.js';
import type { Store } from './store.js';
import { foldOf } from './subscription.js';
import type { Fold, RoomIds, RoomOptions, RoomsView } from './subscription.js';

export type AlertStatus = 'triggered' | 'escalated' | 'acknowledged' | 'resolved';

export interface AlertEntry<T extends { id: string } = Alert> {
  id: string;
  status: AlertStatus;
  /** Where it was published, and where its acknowledgement goes. */
  room: string;
  /** When its status changed last, RFC 3339. */
  ts: string;
  /** All that its events said of it; the later one counts. */
  alert: T;
}

export interface AlertsOptions extends RoomIds, RoomOptions {
  /** Alerts kept; beyond it the oldest that was acknowledged or resolved goes first, then the oldest. Default 100. */
  alertsMax?: number;
}

interface Kept<T extends { id: string }> {
  /** The newest first. */
  alerts: readonly AlertEntry<T>[];
  /** Those that are `triggered` or `escalated`. */
  unacknowledged: readonly AlertEntry<T>[];
}

export interface AlertActions {
  /**
   * Publishes `alert:acknowledged` into the alert's room, which needs the right `publish`. It shows as acknowledged at once, and as
   * before when the server refuses.
   */
  acknowledge(id: string): Promise<Published>;
  /** Takes it off this list, for nobody else. It comes back when it is triggered or escalated again. */
  dismiss(id: string): void;
  /** Takes all off this list. */
  clear(): void;
}

export type Alerts<T extends { id: string }> = Kept<T> & RoomsView & AlertActions;

const named = /^alert:(triggered|escalated|acknowledged|resolved)$/;
const open = ({ status }: { status: AlertStatus }) => status === 'triggered' || status === 'escalated';

function keep<T extends { id: string }>(client: Client, changed: () => void, alertsMax: number): Fold<Kept<T> & AlertActions> {
  const entries = new Map<string, AlertEntry<T>>();
  const actions: AlertActions = {
    async acknowledge(id) {
      const entry = entries.get(id);
      if (!entry) throw new RoomcastError('INVALID_MESSAGE', `no alert "${id}" on this list`);
      const mine: AlertEntry<T> = { ...entry, status: 'acknowledged' };
      const show = (now: AlertEntry<T>) => {
        entries.set(id, now);
        changed();
      };
      show(mine);
      try {
        const data = { id, acknowledged_by: client.session?.userId };
        return await client.publish({ room: entry.room, event: 'alert:acknowledged', data });
      } catch (refusal) {
        if (entries.get(id) === mine) show(entry);
        throw refusal;
      }
    },
    dismiss(id) {
      entries.delete(id);
      changed();
    },
    clear() {
      entries.clear();
      changed();
    },
  };
  return {
    add({ event, room, ts, data }: Publication<T | null>) {
      const status = named.exec(event)?.[1] as AlertStatus | undefined;
      const id = data?.id;
      const before = entries.get(id!);
      if (!status || !id || !(before || open({ status }))) return false;
      entries.set(id, { id, status, room: before?.room ?? room, ts, alert: { ...before?.alert, ...data } });
      const all = [...entries.values()];
      if (all.length > alertsMax) entries.delete((all.find((entry) => !open(entry)) ?? all[0]!).id);
      return true;
    },
    view() {
      const alerts = [...entries.values()].reverse();
      return { alerts, unacknowledged: alerts.filter(open), ...actions };
    },
  };
}

/**
 * Alerts of an org, a department or a queue, and of everything below it, with what has become of them. Payloads need an `id`.
 *
 * `alertsOf(client, 'alerts', { departmentId: 'sales' })`
 */
export function alertsOf<T extends { id: string } = Alert>(client: Client, channel: string, options: AlertsOptions = {}): Store<Alerts<T>> {
  const { alertsMax = 100 } = options;
  return foldOf(client, { ...options, channels: [channel] }, options, (changed) => keep<T>(client, changed, alertsMax));
}
