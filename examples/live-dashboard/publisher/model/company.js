// The made-up company: its departments, queues, opening hours and people's names. Data only.

export const OPENS_S = 8 * 3600;
export const CLOSES_S = 20 * 3600;
export const INTERVAL_S = 900;

/** 80 % of calls within 20 seconds: the field's usual promise. */
export const SERVICE_LEVEL_TARGET = 0.8;
export const SERVICE_LEVEL_THRESHOLD_S = 20;

/**
 * @typedef {object} QueuePlan
 * @property {string} department
 * @property {string} name
 * @property {number} peakCallsPerMinute At the forecast's highest point.
 * @property {number} handleS Talking and wrapping up together, on average.
 * @property {number} patienceS How long callers wait on average before they give up.
 * @property {number} casesPerHour Written work that comes in.
 * @property {number} caseS Work on one case.
 */

/** @type {(department: string, name: string, rest: Omit<QueuePlan, 'department' | 'name'>) => QueuePlan} */
const queue = (department, name, rest) => ({ department, name, ...rest });

/** @type {readonly QueuePlan[]} */
export const QUEUES = [
  queue('sales', 'orders', { peakCallsPerMinute: 2.6, handleS: 210, patienceS: 150, casesPerHour: 22, caseS: 240 }),
  queue('sales', 'renewals', { peakCallsPerMinute: 1.1, handleS: 340, patienceS: 200, casesPerHour: 14, caseS: 300 }),
  queue('sales', 'partners', { peakCallsPerMinute: 0.6, handleS: 420, patienceS: 300, casesPerHour: 8, caseS: 420 }),
  queue('service', 'billing', { peakCallsPerMinute: 2.2, handleS: 260, patienceS: 180, casesPerHour: 30, caseS: 260 }),
  queue('service', 'delivery', { peakCallsPerMinute: 2.9, handleS: 190, patienceS: 140, casesPerHour: 26, caseS: 180 }),
  queue('service', 'returns', { peakCallsPerMinute: 1.3, handleS: 240, patienceS: 170, casesPerHour: 20, caseS: 220 }),
  queue('technical', 'first-line', { peakCallsPerMinute: 2.0, handleS: 380, patienceS: 240, casesPerHour: 24, caseS: 420 }),
  queue('technical', 'network', { peakCallsPerMinute: 0.9, handleS: 520, patienceS: 280, casesPerHour: 12, caseS: 600 }),
  queue('technical', 'devices', { peakCallsPerMinute: 0.8, handleS: 450, patienceS: 240, casesPerHour: 10, caseS: 540 }),
];

export const DEPARTMENTS = [...new Set(QUEUES.map((plan) => plan.department))];

const FIRST_NAMES = ['Amira', 'Ben', 'Chiara', 'Dario', 'Elif', 'Farid', 'Greta', 'Hugo', 'Ines', 'Jonas', 'Kaja', 'Liam', 'Mina',
  'Noor', 'Oskar', 'Paula', 'Quentin', 'Rosa', 'Samir', 'Tilda', 'Umar', 'Vera', 'Wanda', 'Xenia', 'Yusuf', 'Zoe'];
const INITIALS = 'ABDEFGHKLMNPRSTVW';

/** A name for the agent with this number; no two of the first 442 are the same. @param {number} number */
export function agentName(number) {
  const first = FIRST_NAMES[number % FIRST_NAMES.length];
  return `${first} ${INITIALS[number % INITIALS.length]}.`;
}
