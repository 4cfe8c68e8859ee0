// Erlang's formulas for a queue with patient callers: how many agents a load needs. Pure.

/**
 * The chance that a caller must wait (Erlang C), by way of the stable recursion for Erlang B.
 * @param {number} agents @param {number} load Calls per second times seconds per call.
 */
export function chanceToWait(agents, load) {
  if (agents <= load) return 1;
  let blocked = 1;
  for (let n = 1; n <= agents; n += 1) blocked = (load * blocked) / (n + load * blocked);
  return (agents * blocked) / (agents - load * (1 - blocked));
}

/** Share of calls answered within the threshold. @param {number} agents @param {Demand} demand */
export function serviceLevel(agents, { callsPerS, handleS, thresholdS }) {
  const load = callsPerS * handleS;
  if (agents <= load) return 0;
  return 1 - chanceToWait(agents, load) * Math.exp((-(agents - load) * thresholdS) / handleS);
}

/** The fewest agents that reach the target. @param {Demand} demand @param {number} target Below 1. */
export function agentsNeeded(demand, target) {
  if (demand.callsPerS === 0) return 0;
  let agents = Math.max(1, Math.ceil(demand.callsPerS * demand.handleS));
  while (serviceLevel(agents, demand) < target) agents += 1;
  return agents;
}

/** @typedef {{ callsPerS: number, handleS: number, thresholdS: number }} Demand */
