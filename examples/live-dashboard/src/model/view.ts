// What the panels show of the state, for one scope.

import type { AgentRow, AgentState } from '../../shapes.ts';
import { AGENT_STATES } from '../../shapes.ts';
import type { Alert } from './alerts.ts';
import { ranked } from './alerts.ts';
import type { Figures } from './measures.ts';
import { together } from './measures.ts';
import type { Scope } from './scope.ts';
import { covers } from './scope.ts';
import type { Check, DashboardState, QueueState } from './state.ts';

export interface TableRow {
  scope: Scope;
  /** 0 for the whole that is looked at, 1 and 2 for what it is made of. */
  depth: 0 | 1 | 2;
  figures: Figures;
}

export function queuesOf({ queues }: DashboardState, scope: Scope): QueueState[] {
  return [...queues.values()].filter(({ department, queue }) => covers(scope, department, queue));
}

export function figuresOf(state: DashboardState, scope: Scope): Figures {
  return together(queuesOf(state, scope).flatMap(({ updates }) => updates.at(-1) ?? []));
}

/** The org with departments and their queues, or a department with its queues; a queue is shown among its neighbours. */
export function tableOf(state: DashboardState, { department }: Scope): TableRow[] {
  const row = (scope: Scope, depth: TableRow['depth']): TableRow => ({ scope, depth, figures: figuresOf(state, scope) });
  const whole = row({ department, queue: null }, 0);
  const departments = [...new Set(queuesOf(state, { department, queue: null }).map((one) => one.department))];
  return [whole, ...departments.flatMap((name) => {
    const queues = queuesOf(state, { department: name, queue: null }).map(({ queue }) => row({ department: name, queue }, 2));
    return department === null ? [row({ department: name, queue: null }, 1), ...queues] : queues;
  })];
}

export function alertsOf({ alerts }: DashboardState, scope: Scope): Alert[] {
  return ranked([...alerts.values()].filter(({ department, queue }) => covers(scope, department, queue)));
}

export interface Presence {
  agents: AgentRow[];
  counts: Record<AgentState, number>;
  /** Weighted alike; `null` without agents. */
  adherence: number | null;
  checks: Check[];
}

export function presenceOf({ rosters, checks }: DashboardState, scope: Scope): Presence {
  const agents = [...rosters].flatMap(([department, roster]) => roster.filter(({ queue }) => covers(scope, department, queue)));
  const counts = Object.fromEntries(AGENT_STATES.map((state) => [state, 0])) as Record<AgentState, number>;
  for (const { state } of agents) counts[state] += 1;
  return {
    agents: agents.sort((a, b) => AGENT_STATES.indexOf(a.state) - AGENT_STATES.indexOf(b.state) || a.since_s - b.since_s),
    counts,
    adherence: agents.length === 0 ? null : agents.reduce((sum, { adherence }) => sum + adherence, 0) / agents.length,
    checks: checks.filter(({ department, data }) => covers(scope, department, data.agent.queue)),
  };
}
