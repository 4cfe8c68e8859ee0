// Sums of queues, and the ratios that supervisors look at. Ratios are taken from sums, never averaged.

import type { Backlog, Counts, KpiUpdate, Staffing } from '../../shapes.ts';

/** The state of any part of the company: of one queue, or of several together. */
export interface Figures {
  queues: number;
  waiting: number;
  longestWaitS: number;
  staffing: Staffing;
  recent: Counts;
  today: Counts;
}

/** The usual promise: 80 % of calls within 20 s. */
export const SERVICE_LEVEL_TARGET = 0.8;
/** More of the calls lost than this is worth a look. */
export const ABANDONMENT_LIMIT = 0.1;
/** Who waits for longer than this is about to give up. */
export const LONG_WAIT_S = 180;
/** Above it agents have no breath left between two calls. */
export const OCCUPANCY_LIMIT = 0.9;

const NO_COUNTS: Counts = { offered: 0, forecast: 0, answered: 0, in_time: 0, abandoned: 0, wait_s: 0, handle_s: 0, busy_s: 0, staffed_s: 0 };
const NO_STAFFING: Staffing = { required: 0, available: 0, on_call: 0, after_call: 0, break: 0, training: 0, absent: 0 };

export function together(updates: Iterable<KpiUpdate>): Figures {
  const sum: Figures = { queues: 0, waiting: 0, longestWaitS: 0, staffing: { ...NO_STAFFING }, recent: { ...NO_COUNTS }, today: { ...NO_COUNTS } };
  for (const update of updates) {
    sum.queues += 1;
    sum.waiting += update.waiting;
    sum.longestWaitS = Math.max(sum.longestWaitS, update.longest_wait_s);
    add(sum.staffing, update.staffing);
    add(sum.recent, update.recent);
    add(sum.today, update.today);
  }
  return sum;
}

export function backlogs(all: Iterable<Backlog>): Backlog {
  const sum: Backlog = { open: 0, ages: [0, 0, 0, 0], oldest_s: 0, done_today: 0 };
  for (const { open, ages, oldest_s, done_today } of all) {
    sum.open += open;
    sum.done_today += done_today;
    sum.oldest_s = Math.max(sum.oldest_s, oldest_s);
    sum.ages = [sum.ages[0] + ages[0], sum.ages[1] + ages[1], sum.ages[2] + ages[2], sum.ages[3] + ages[3]];
  }
  return sum;
}

function add<T extends object>(sum: T, more: T): void {
  for (const name of Object.keys(sum) as (keyof T)[]) sum[name] = (Number(sum[name]) + Number(more[name])) as T[keyof T];
}

/** A ratio, or `null` where there is nothing to divide by: no calls is not 0 %. */
function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

export const serviceLevel = ({ in_time, answered, abandoned }: Counts) => ratio(in_time, answered + abandoned);
export const abandonment = ({ answered, abandoned }: Counts) => ratio(abandoned, answered + abandoned);
export const answerSpeedS = ({ wait_s, answered }: Counts) => ratio(wait_s, answered);
export const handleTimeS = ({ handle_s, answered }: Counts) => ratio(handle_s, answered);
export const occupancy = ({ busy_s, staffed_s }: Counts) => ratio(busy_s, staffed_s);
/** How far calls are above or below the forecast, as a share of it. */
export const overForecast = ({ offered, forecast }: Counts) => ratio(offered - forecast, forecast);
/** Agents who can take calls or are about to. */
export const onPhones = ({ available, on_call, after_call }: Staffing) => available + on_call + after_call;
