import { duration, percent, title, whole } from '../model/format.ts';
import {
  ABANDONMENT_LIMIT, LONG_WAIT_S, OCCUPANCY_LIMIT, SERVICE_LEVEL_TARGET, abandonment, answerSpeedS, handleTimeS, occupancy, onPhones, serviceLevel,
} from '../model/measures.ts';
import type { Figures } from '../model/measures.ts';
import type { Scope } from '../model/scope.ts';
import { fragmentOf } from '../model/scope.ts';
import type { TableRow } from '../model/view.ts';

interface Column {
  name: string;
  /** In full, where the head is short. */
  meaning: string;
  /** Left out on phones, where a queue's own page shows it. */
  spare?: boolean;
  text: (figures: Figures) => string;
  /** A word for what is wrong with the value. */
  trouble?: (figures: Figures) => string | null;
}

const COLUMNS: Column[] = [
  {
    name: 'SL', meaning: 'Service level of the last 30 minutes', text: ({ recent }) => percent(serviceLevel(recent)),
    trouble: ({ recent }) => ((serviceLevel(recent) ?? 1) < SERVICE_LEVEL_TARGET ? 'below target' : null),
  },
  {
    name: 'Wait', meaning: 'Calls waiting now', text: ({ waiting }) => whole(waiting),
    trouble: ({ longestWaitS, waiting }) => (waiting > 0 && longestWaitS > LONG_WAIT_S ? 'one for over 3 minutes' : null),
  },
  {
    name: 'Longest', meaning: 'Longest wait now', spare: true, text: ({ longestWaitS, waiting }) => (waiting === 0 ? '–' : duration(longestWaitS)),
    trouble: ({ longestWaitS, waiting }) => (waiting > 0 && longestWaitS > LONG_WAIT_S ? 'over 3 minutes' : null),
  },
  { name: 'Answ.', meaning: 'Answered today', spare: true, text: ({ today }) => whole(today.answered) },
  {
    name: 'Aband.', meaning: 'Abandoned in the last 30 minutes', text: ({ recent }) => percent(abandonment(recent)),
    trouble: ({ recent }) => ((abandonment(recent) ?? 0) > ABANDONMENT_LIMIT ? 'over 10 %' : null),
  },
  { name: 'ASA', meaning: 'Average speed of answer', spare: true, text: ({ recent }) => duration(answerSpeedS(recent)) },
  { name: 'AHT', meaning: 'Average handle time', spare: true, text: ({ recent }) => duration(handleTimeS(recent)) },
  {
    name: 'Occ.', meaning: 'Occupancy of the agents', spare: true, text: ({ recent }) => percent(occupancy(recent)),
    trouble: ({ recent }) => ((occupancy(recent) ?? 0) > OCCUPANCY_LIMIT ? 'over 90 %' : null),
  },
  {
    name: 'Staff', meaning: 'Agents on the phones, of those needed', text: ({ staffing }) => `${onPhones(staffing)}/${staffing.required}`,
    trouble: ({ staffing }) => (staffing.required > 2 && onPhones(staffing) < 0.75 * staffing.required ? 'too few' : null),
  },
];

export function QueueTable({ rows, scope }: { rows: readonly TableRow[]; scope: Scope }) {
  return (
    <section className="panel table-panel" aria-labelledby="queues-title">
      <h2 id="queues-title">{scope.department === null ? 'Departments and queues' : `Queues of ${title(scope.department)}`}</h2>
      <table className="figures">
        <thead>
          <tr>
            <th scope="col">Part</th>
            {COLUMNS.map(({ name, meaning, spare }) => (
              <th key={name} scope="col" className={spare ? 'spare' : undefined}><abbr title={meaning}>{name}</abbr></th>
            ))}
          </tr>
        </thead>
        <tbody>{rows.map((row) => <Row key={fragmentOf(row.scope)} row={row} current={fragmentOf(row.scope) === fragmentOf(scope)} />)}</tbody>
      </table>
      {rows.length < 2 && <p className="empty">No queue has reported yet.</p>}
    </section>
  );
}

function Row({ row: { scope, depth, figures }, current }: { row: TableRow; current: boolean }) {
  const name = scope.queue ?? scope.department;
  return (
    <tr data-depth={depth} aria-current={current ? 'true' : undefined}>
      <th scope="row">{depth === 0 ? <span>All of it</span> : <a href={fragmentOf(scope)}>{title(name ?? '')}</a>}</th>
      {COLUMNS.map(({ name: column, spare, text, trouble }) => {
        const wrong = figures.queues === 0 ? null : (trouble?.(figures) ?? null);
        return (
          <td key={column} className={spare ? 'spare' : undefined} data-trouble={wrong !== null} title={wrong ?? undefined}>
            {wrong !== null && <><span aria-hidden="true">! </span><span className="sr-only">{wrong}: </span></>}
            {figures.queues === 0 ? '–' : text(figures)}
          </td>
        );
      })}
    </tr>
  );
}
