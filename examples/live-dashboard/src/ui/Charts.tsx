import { useMemo } from 'react';
import { clock, percent, plural, whole } from '../model/format.ts';
import { SERVICE_LEVEL_TARGET } from '../model/measures.ts';
import { roundUp } from '../model/plot.ts';
import type { Intervals, Moment } from '../model/series.ts';
import { combined, summed } from '../model/series.ts';
import type { QueueState } from '../model/state.ts';
import { TimeChart } from './TimeChart.tsx';

const INTERVAL_MIN = 15;
/** Fewer calls than this make no share, so the interval that has just begun is left out. */
const CALLS_MIN = 5;
/** What the moving chart shows at most, and how wide it is from the beginning. */
const WINDOW_S = 3600;
const WINDOW_MIN_S = 600;

export function Charts({ queues, clockS }: { queues: readonly QueueState[]; clockS: number | null }) {
  const intervals = useMemo(() => summed(queues.flatMap(({ computed }) => computed ?? [])), [queues]);
  const moments = useMemo(() => combined(queues.map(({ updates }) => updates)), [queues]);
  return (
    <>
      <Calls intervals={intervals} />
      <ServiceLevel intervals={intervals} />
      <Now moments={moments.filter(({ timeS }) => clockS !== null && timeS > clockS - WINDOW_S)} />
    </>
  );
}

const NO_INTERVALS: Intervals = { starts: [], forecast: [], offered: [], answered: [], inTime: [], abandoned: [] };

/** Half an interval on each side, so that the first and the last bar are whole. */
function frame({ starts }: Intervals) {
  const half = (INTERVAL_MIN * 60) / 2;
  return { fromS: (starts[0] ?? 0) - half, toS: (starts.at(-1) ?? 3600) + half };
}

function Calls({ intervals }: { intervals: Intervals | null }) {
  const { starts, forecast, offered } = intervals ?? NO_INTERVALS;
  const yMax = roundUp(Math.max(1, ...forecast, ...offered));
  const summary = `Calls per ${INTERVAL_MIN} minutes today, against the forecast: ${whole(offered.reduce((sum, calls) => sum + calls, 0))} so far.`;
  return (
    <TimeChart title={`Calls per ${INTERVAL_MIN} min`} summary={summary} times={starts} {...frame(intervals ?? NO_INTERVALS)} yMax={yMax} yText={whole}
      layers={[
        { name: 'offered', kind: 'bars', tone: 'actual', values: offered, text: whole },
        { name: 'forecast', kind: 'line', tone: 'expected', values: forecast, text: whole, ahead: true },
      ]} />
  );
}

function ServiceLevel({ intervals }: { intervals: Intervals | null }) {
  const shown = intervals ?? NO_INTERVALS;
  const values = shown.starts.map((_, index) => {
    const calls = (shown.answered[index] ?? 0) + (shown.abandoned[index] ?? 0);
    return calls >= CALLS_MIN ? (shown.inTime[index] ?? 0) / calls : null;
  });
  const low = values.filter((value) => value !== null && value < SERVICE_LEVEL_TARGET).length;
  const summary = `Service level per ${INTERVAL_MIN} minutes today: ${plural(low, 'interval', 'intervals')} below the target of 80 %.`;
  return (
    <TimeChart title="Service level" summary={summary} times={shown.starts} {...frame(shown)} yMax={1} yText={percent}
      layers={[{ name: `per ${INTERVAL_MIN} min`, kind: 'line', tone: 'actual', values, text: percent }]}
      target={{ value: SERVICE_LEVEL_TARGET, name: 'target 80 %' }} />
  );
}

function Now({ moments }: { moments: readonly Moment[] }) {
  const times = moments.map(({ timeS }) => timeS);
  const waiting = moments.map(({ figures }) => figures.waiting);
  const free = moments.map(({ figures }) => figures.staffing.available);
  const toS = times.at(-1) ?? 0;
  const summary = times.length === 0 ? 'Waiting calls and free agents: no figures yet.'
    : `Waiting calls and free agents since ${clock(times[0] ?? 0)}: now ${plural(waiting.at(-1) ?? 0, 'call waits', 'calls wait')}, `
      + `${plural(free.at(-1) ?? 0, 'agent is', 'agents are')} free.`;
  return (
    <TimeChart title="Last hour" summary={summary} times={times} fromS={Math.min(times[0] ?? toS, toS - WINDOW_MIN_S)} toS={toS}
      yMax={roundUp(Math.max(4, ...waiting, ...free))} yText={whole}
      layers={[
        { name: 'free agents', kind: 'area', tone: 'free', values: free, text: whole },
        { name: 'waiting calls', kind: 'line', tone: 'load', values: waiting, text: whole },
      ]} />
  );
}
