import { duration, percent, title } from '../model/format.ts';
import type { Presence } from '../model/view.ts';
import { STATE_NAMES } from './AttendancePanel.tsx';

/** Below it the day's plan no longer holds for an agent. */
const ADHERENCE_LIMIT = 0.85;

/** Everybody by name, in the order of what they do; for departments and queues. */
export function AgentTable({ presence: { agents }, clockS }: { presence: Presence; clockS: number }) {
  return (
    <section className="panel" aria-labelledby="agents-title">
      <h2 id="agents-title">Agents</h2>
      <div className="agents-box" tabIndex={0} role="group" aria-label="Agents by name">
        <table className="agents">
          <thead>
            <tr>
              <th scope="col">Name</th><th scope="col">Queue</th><th scope="col">State</th><th scope="col">For</th>
              <th scope="col"><abbr title="Share of the scheduled time spent as scheduled">Adherence</abbr></th>
            </tr>
          </thead>
          <tbody>
            {agents.map(({ id, name, queue, state, since_s, adherence }) => {
              const low = adherence < ADHERENCE_LIMIT;
              return (
                <tr key={id}>
                  <th scope="row">{name}</th>
                  <td>{title(queue)}</td>
                  <td><i data-agent={state} aria-hidden="true" />{STATE_NAMES[state]}</td>
                  <td>{duration(Math.max(0, clockS - since_s))}</td>
                  <td data-trouble={low}>{low && <><span aria-hidden="true">! </span><span className="sr-only">low: </span></>}{percent(adherence)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
