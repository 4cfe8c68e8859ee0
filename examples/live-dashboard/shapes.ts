// The data of every publication: written by the publisher, read by the page. Field names are those on the wire.

/** In every publication. Per run and room `seq` counts 1, 2, 3, …: who sees 7 after 5 knows that 6 is missing. */
export interface Numbered {
  /** Names one start of the publisher, because a new start counts anew. */
  run: string;
  seq: number;
}

/** When it was, in the simulated day. */
export interface Stamped {
  /** Such as `2026-03-02`. */
  day: string;
  /** Seconds since midnight. */
  time_s: number;
}

/** Sums, so that departments and orgs are exact sums of their queues; every ratio is taken from them. */
export interface Counts {
  offered: number;
  forecast: number;
  answered: number;
  /** Answered within the threshold of the service level. */
  in_time: number;
  abandoned: number;
  /** Of answered calls. */
  wait_s: number;
  handle_s: number;
  busy_s: number;
  staffed_s: number;
}

export interface Staffing {
  /** What the forecast asks for at this time. */
  required: number;
  available: number;
  on_call: number;
  after_call: number;
  break: number;
  training: number;
  /** Scheduled, and not there. */
  absent: number;
}

/** `kpi:update` into `kpi:<org>:<dept>:<queue>`: the whole present state of a queue. */
export interface KpiUpdate extends Stamped {
  waiting: number;
  longest_wait_s: number;
  staffing: Staffing;
  /** Of the last 30 minutes. */
  recent: Counts;
  today: Counts;
}

/** `kpi:computed` into the same room: the day so far by intervals, and the forecast for all of it. */
export interface KpiComputed extends Stamped {
  opens_s: number;
  interval_s: number;
  forecast: number[];
  offered: number[];
  answered: number[];
  in_time: number[];
  abandoned: number[];
}

/** Written work, such as mails and cases, by age. */
export interface Backlog {
  open: number;
  /** Younger than 1, 4, 24 hours, and older. */
  ages: [number, number, number, number];
  oldest_s: number;
  done_today: number;
}

/** `backlog:snapshot` into `backlog:<org>:<dept>`. */
export interface BacklogSnapshot extends Stamped {
  queues: Record<string, Backlog>;
}

/** `backlog:update` into `backlog:<org>:<dept>:<queue>`. */
export interface BacklogUpdate extends Stamped {
  backlog: Backlog;
}

export const AGENT_STATES = ['available', 'on_call', 'after_call', 'break', 'training', 'absent'] as const;
export type AgentState = (typeof AGENT_STATES)[number];

export interface AgentRow {
  id: string;
  name: string;
  queue: string;
  state: AgentState;
  since_s: number;
  /** Share of the scheduled time spent as scheduled, from 0 to 1. */
  adherence: number;
}

/** `attendance:update` into `attendance:<org>:<dept>`: everybody who is there or ought to be. */
export interface AttendanceUpdate extends Stamped {
  agents: AgentRow[];
}

/** `attendance:checkin` and `attendance:checkout` into the same room. */
export interface AttendanceCheck extends Stamped {
  agent: { id: string; name: string; queue: string };
  scheduled_s: number;
}

export type AlertRule = 'service_level' | 'longest_wait' | 'abandonment' | 'staffing';
export type Severity = 'warning' | 'critical';

/** `alert:triggered`, `alert:escalated` and `alert:resolved` into `alerts:<org>:<dept>:<queue>`. */
export interface AlertNotice extends Stamped {
  id: string;
  rule: AlertRule;
  severity: Severity;
  value: number;
  threshold: number;
  since_s: number;
}

/** `alert:acknowledged`, published by a page into the alert's room. */
export interface AlertAcknowledgement {
  id: string;
  severity: Severity;
  acknowledged_by: string;
}
