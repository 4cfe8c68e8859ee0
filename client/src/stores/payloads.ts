// What backends usually publish. Types only, and only a proposal: payloads are passed on as they are, so name your own type where
// yours differ, as in `useKPIUpdates<MyKpi>()`.

/** Where a payload belongs. */
interface Place {
  organization_id?: string;
  department_id?: string;
  queue_name?: string;
}

/** Data of `kpi:update` and `kpi:computed`: the whole state of one queue, department or org. */
export interface KpiUpdate extends Place {
  offered?: number;
  answered?: number;
  abandoned?: number;
  /** Part of the calls answered in time, 0 to 1. */
  service_level?: number;
  /** Seconds. */
  average_handle_time?: number;
  /** Seconds. */
  average_speed_of_answer?: number;
  /** Part of the time that agents are busy, 0 to 1. */
  occupancy?: number;
}

/** Data of `backlog:update` and `backlog:snapshot`. */
export interface BacklogUpdate extends Place {
  waiting?: number;
  /** Seconds. */
  oldest_wait?: number;
  by_priority?: Record<string, number>;
}

/** Data of `attendance:update`, `attendance:checkin` and `attendance:checkout`. */
export interface AttendanceUpdate extends Place {
  /** Whom it is about; nobody in particular where it tells of all. */
  agent_id?: string;
  state?: string;
  /** Agents by their state. */
  by_state?: Record<string, number>;
  /** Part of the time worked as planned, 0 to 1. */
  adherence?: number;
}

/** Data of `alert:triggered` and `alert:escalated`. The others, `alert:acknowledged` and `alert:resolved`, need only `id`. */
export interface Alert extends Place {
  id: string;
  severity?: 'info' | 'warning' | 'critical';
  title?: string;
  message?: string;
  /** Who acknowledged it. */
  acknowledged_by?: string;
}
