// How figures went, for charts: the last updates of each queue, and the day by intervals.

import type { KpiComputed, KpiUpdate } from '../../shapes.ts';
import type { Figures } from './measures.ts';
import { together } from './measures.ts';

const POINTS_MAX = 180;

/** A queue's updates, oldest first. A new day begins a new series. */
export function extended(series: readonly KpiUpdate[], update: KpiUpdate): readonly KpiUpdate[] {
  const last = series.at(-1);
  if (last !== undefined && last.day !== update.day) return [update];
  if (last !== undefined && update.time_s < last.time_s) return series;
  return [...series.slice(1 - POINTS_MAX), update];
}

export interface Moment {
  timeS: number;
  figures: Figures;
}

/**
 * Several queues as one series. Queues report at different moments, so each counts with what it said last; what lies before the
 * first word of one of them is left out, because a sum that lacks a queue would look like a jump.
 */
export function combined(all: readonly (readonly KpiUpdate[])[]): Moment[] {
  const series = all.filter(([first]) => first !== undefined);
  const fromS = Math.max(...series.map(([first]) => first?.time_s ?? 0));
  const times = [...new Set(series.flatMap((one) => one.map(({ time_s }) => time_s)))].filter((timeS) => timeS >= fromS).sort((a, b) => a - b);
  const at = series.map(() => 0);
  return times.slice(-POINTS_MAX).map((timeS) => {
    const heard = series.flatMap((one, index) => {
      let place = at[index] ?? 0;
      while ((one[place + 1]?.time_s ?? Infinity) <= timeS) place += 1;
      at[index] = place;
      return one[place] ?? [];
    });
    return { timeS, figures: together(heard) };
  });
}

/** The day by intervals; the forecast for all of it, the rest up to now. */
export interface Intervals {
  starts: number[];
  forecast: number[];
  offered: number[];
  answered: number[];
  inTime: number[];
  abandoned: number[];
}

/** Several queues summed up; `null` without any. All of them have the same opening hours and intervals. */
export function summed(all: readonly KpiComputed[]): Intervals | null {
  const [first] = all;
  if (first === undefined) return null;
  const column = (values: (one: KpiComputed) => readonly number[]) => {
    const columns = all.map(values);
    const length = Math.max(...columns.map((one) => one.length));
    return Array.from({ length }, (_, index) => columns.reduce((sum, one) => sum + (one[index] ?? 0), 0));
  };
  return {
    starts: first.forecast.map((_, index) => first.opens_s + index * first.interval_s),
    forecast: column((one) => one.forecast),
    offered: column((one) => one.offered),
    answered: column((one) => one.answered),
    inTime: column((one) => one.in_time),
    abandoned: column((one) => one.abandoned),
  };
}
