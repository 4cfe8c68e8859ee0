import type { AgentState } from '../../shapes.ts';
import { AGENT_STATES } from '../../shapes.ts';
import { clock, percent, title, whole } from '../model/format.ts';
import type { Presence } from '../model/view.ts';

export const STATE_NAMES: Record<AgentState, string> = {
  available: 'Free', on_call: 'On a call', after_call: 'Wrap-up', break: 'Break', training: 'Training', absent: 'Absent',
};
const CHECKS_SHOWN = 6;

export function AttendancePanel({ presence }: { presence: Presence }) {
  const { agents, counts, adherence } = presence;
  return (
    <section className="panel attendance" aria-labelledby="attendance-title">
      <h2 id="attendance-title">Attendance <span className="count">{whole(agents.length)} scheduled, adherence {percent(adherence)}</span></h2>
      <div className="share-bar" aria-hidden="true">
        {AGENT_STATES.map((state) => counts[state] > 0 && <i key={state} data-agent={state} style={{ flexGrow: counts[state] }} />)}
      </div>
      <dl className="agent-states">
        {AGENT_STATES.map((state) => (
          <div key={state}><dt><i data-agent={state} aria-hidden="true" />{STATE_NAMES[state]}</dt><dd>{counts[state]}</dd></div>
        ))}
      </dl>
      <Checks presence={presence} />
    </section>
  );
}

function Checks({ presence: { checks } }: { presence: Presence }) {
  if (checks.length === 0) return <p className="empty">Nobody has come or gone since this page is open.</p>;
  return (
    <ul className="checks" aria-label="Who came and went">
      {checks.slice(0, CHECKS_SHOWN).map(({ key, arrived, department, data }) => (
        <li key={key}>
          <time>{clock(data.time_s)}</time>
          <span>{arrived ? '→ in' : '← out'}</span>
          <span className="who">{data.agent.name} <small>{title(data.agent.queue)}, {title(department)}</small></span>
          <small>{lateness(data.time_s - data.scheduled_s)}</small>
        </li>
      ))}
    </ul>
  );
}

/** Under two minutes nobody counts. */
function lateness(seconds: number): string {
  if (Math.abs(seconds) < 120) return 'on time';
  return `${Math.round(Math.abs(seconds) / 60)} min ${seconds > 0 ? 'late' : 'early'}`;
}
