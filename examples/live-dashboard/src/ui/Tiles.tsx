// The figures that a supervisor looks at first.

import { useMemo } from 'react';
import { difference, duration, percent, whole } from '../model/format.ts';
import type { Figures } from '../model/measures.ts';
import {
  ABANDONMENT_LIMIT, LONG_WAIT_S, OCCUPANCY_LIMIT, SERVICE_LEVEL_TARGET,
  abandonment, answerSpeedS, handleTimeS, occupancy, onPhones, overForecast, serviceLevel,
} from '../model/measures.ts';
import { combined } from '../model/series.ts';
import type { QueueState } from '../model/state.ts';
import { Sparkline } from './Sparkline.tsx';

interface Measure {
  name: string;
  value: (figures: Figures) => number | null;
  shown: (value: number | null) => string;
  note: (figures: Figures) => string;
  /** A word with a sign, where the value needs attention. */
  trouble?: (figures: Figures) => string | null;
}

const below = (value: number | null, limit: number, text: string) => (value !== null && value < limit ? text : null);
const above = (value: number | null, limit: number, text: string) => (value !== null && value > limit ? text : null);

const MEASURES: Measure[] = [
  {
    name: 'Service level', value: ({ recent }) => serviceLevel(recent), shown: percent,
    note: ({ today }) => `today ${percent(serviceLevel(today))}`,
    trouble: ({ recent }) => below(serviceLevel(recent), SERVICE_LEVEL_TARGET, '▼ low'),
  },
  {
    name: 'Waiting now', value: ({ waiting }) => waiting, shown: whole,
    note: ({ longestWaitS, waiting }) => (waiting === 0 ? 'nobody waits' : `longest ${duration(longestWaitS)}`),
    trouble: ({ waiting, longestWaitS }) => (waiting > 0 ? above(longestWaitS, LONG_WAIT_S, '▲ long') : null),
  },
  {
    name: 'Offered today', value: ({ today }) => today.offered, shown: whole,
    note: ({ today }) => `${difference(overForecast(today))} of forecast`,
  },
  { name: 'Answered today', value: ({ today }) => today.answered, shown: whole, note: ({ recent }) => `${whole(recent.answered)} in 30 min` },
  {
    name: 'Abandoned', value: ({ recent }) => abandonment(recent), shown: percent,
    note: ({ today }) => `today ${percent(abandonment(today))}`,
    trouble: ({ recent }) => above(abandonment(recent), ABANDONMENT_LIMIT, '▲ high'),
  },
  { name: 'Answer speed', value: ({ recent }) => answerSpeedS(recent), shown: duration, note: ({ today }) => `today ${duration(answerSpeedS(today))}` },
  { name: 'Handle time', value: ({ recent }) => handleTimeS(recent), shown: duration, note: ({ today }) => `today ${duration(handleTimeS(today))}` },
  {
    name: 'Occupancy', value: ({ recent }) => occupancy(recent), shown: percent,
    note: ({ staffing }) => `${onPhones(staffing)} agents for ${staffing.required}`,
    trouble: ({ recent }) => above(occupancy(recent), OCCUPANCY_LIMIT, '▲ high'),
  },
];

export function Tiles({ figures, queues }: { figures: Figures; queues: readonly QueueState[] }) {
  const moments = useMemo(() => combined(queues.map(({ updates }) => updates)), [queues]);
  return (
    <section aria-label="Key figures, of the last 30 minutes unless it says otherwise">
      <ul className="tiles">
        {MEASURES.map(({ name, value, shown, note, trouble }) => {
          const warning = figures.queues === 0 ? null : (trouble?.(figures) ?? null);
          return (
            <li key={name} className="panel tile" data-trouble={warning !== null}>
              <h2>{name}{warning !== null && <strong>{warning}</strong>}</h2>
              <p className="value">{figures.queues === 0 ? '–' : shown(value(figures))}</p>
              <p className="note">{figures.queues === 0 ? '' : note(figures)}</p>
              <Sparkline values={moments.map((moment) => value(moment.figures))} />
            </li>
          );
        })}
      </ul>
    </section>
  );
}
