import { age as old, plural, title, whole } from '../model/format.ts';
import { backlogs } from '../model/measures.ts';
import type { QueueState } from '../model/state.ts';

const AGES = ['under 1 h', '1 to 4 h', '4 to 24 h', 'over 24 h'];

/** Written work by queue and age: the longer the bar the more there is, the darker the older. */
export function BacklogPanel({ queues }: { queues: readonly QueueState[] }) {
  const all = queues.flatMap(({ department, queue, backlog }) => (backlog === null ? [] : [{ department, queue, backlog }]));
  const sum = backlogs(all.map(({ backlog }) => backlog));
  const most = Math.max(1, ...all.map(({ backlog }) => backlog.open));
  return (
    <section className="panel backlog" aria-labelledby="backlog-title">
      <h2 id="backlog-title">
        Backlog <span className="count">{plural(sum.open, 'case', 'cases')} open, oldest {old(sum.oldest_s)}, {whole(sum.done_today)} done today</span>
      </h2>
      <ul>
        {all.map(({ department, queue, backlog }) => (
          <li key={`${department}/${queue}`}>
            <span className="name">{title(queue)}</span>
            <span className="ages" role="img" aria-label={backlog.ages.map((count, age) => `${count} ${AGES[age]}`).join(', ')}>
              {backlog.ages.map((count, age) => count > 0 && (
                <i key={AGES[age]} data-age={age} style={{ width: `${(count / most) * 100}%` }} title={`${count} ${AGES[age]}`} />
              ))}
            </span>
            <b>{whole(backlog.open)}</b>
            <small>{backlog.open === 0 ? '' : `oldest ${old(backlog.oldest_s)}`}</small>
          </li>
        ))}
      </ul>
      <ul className="legend">{AGES.map((name, age) => <li key={name}><i data-age={age} />{name}</li>)}</ul>
    </section>
  );
}
