// The fan-out scenario for a k6 that has `k6/websockets` (older ones call it `k6/experimental/websockets`): subscribers of one room ramp up, one
// publisher publishes over REST, and every subscriber checks by the number in each publication that nothing is lost, repeated or out of
// order.
//
//   k6 run -e TOKEN=… -e URL=ws://127.0.0.1:8080 -e SUBSCRIBERS=1000 loadtest/k6/fanout.js
//
// TOKEN must allow to subscribe to ROOM, and PUBLISH_TOKEN (TOKEN if it is not set) must have the scope `publish`.
// Expect k6 to spend more on a delivery than the gateway does, and its clock tells whole milliseconds.

import http from 'k6/http';
import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { setTimeout, clearTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

const env = (name, fallback) => __ENV[name] || fallback;
const URL = env('URL', 'ws://127.0.0.1:8080').replace(/\/$/, '');
const REST = env('REST', URL.replace(/^ws/, 'http'));
const TOKEN = env('TOKEN', '');
const PUBLISH_TOKEN = env('PUBLISH_TOKEN', TOKEN);
const ROOM = env('ROOM', 'kpi:demo:load');
const EVENT = env('EVENT', 'kpi:update');
const SUBSCRIBERS = Number(env('SUBSCRIBERS', '1000'));
const SOCKETS_PER_VU = Number(env('SOCKETS_PER_VU', '50'));
const PUBLICATIONS = Number(env('PUBLICATIONS', '500'));
const RATE = Number(env('RATE', '20'));
const BYTES = Number(env('BYTES', '64'));
const RAMP_S = Number(env('RAMP_S', '20'));
// From the last publication until what has not come counts as lost.
const SETTLE_S = Number(env('SETTLE_S', '10'));
// From the end of the ramp until the first publication, so that the last subscriber is in.
const PAUSE_S = 5;

const PUBLISH_S = PUBLICATIONS / RATE;
const RUN_S = RAMP_S + PAUSE_S + PUBLISH_S + SETTLE_S;
const VUS = Math.ceil(SUBSCRIBERS / SOCKETS_PER_VU);

const delivery = new Trend('roomcast_delivery_ms', true);
const received = new Counter('roomcast_received');
// What must not be.
const wrong = {
  lost: new Counter('roomcast_lost'),
  behind: new Counter('roomcast_behind'),
  misrouted: new Counter('roomcast_misrouted'),
  gaps: new Counter('roomcast_gaps'),
  closed: new Counter('roomcast_closed'),
  refused: new Counter('roomcast_refused'),
};

export const options = {
  scenarios: {
    subscribers: {
      executor: 'per-vu-iterations',
      exec: 'subscribe',
      vus: VUS,
      iterations: 1,
      maxDuration: `${Math.ceil(RUN_S + 30)}s`,
    },
    publisher: {
      executor: 'per-vu-iterations',
      exec: 'publish',
      vus: 1,
      iterations: 1,
      startTime: `${RAMP_S + PAUSE_S}s`,
      maxDuration: `${Math.ceil(PUBLISH_S + SETTLE_S + 30)}s`,
    },
  },
  thresholds: {
    roomcast_received: [`count==${SUBSCRIBERS * PUBLICATIONS}`],
    roomcast_lost: ['count==0'],
    roomcast_behind: ['count==0'],
    roomcast_misrouted: ['count==0'],
    roomcast_gaps: ['count==0'],
    roomcast_closed: ['count==0'],
    roomcast_refused: ['count==0'],
    roomcast_delivery_ms: [`p(99)<${env('P99_MS', '250')}`],
  },
};

// One virtual user holds many sockets, each of which comes in at its own moment of the ramp.
export function subscribe() {
  // A counter that was never touched is no metric, and its threshold would say nothing.
  Object.values(wrong).forEach((counter) => counter.add(0));
  // Each virtual user has one iteration; numbers of virtual users are shared with the publisher, those of iterations are not.
  const first = exec.scenario.iterationInTest * SOCKETS_PER_VU;
  const last = Math.min(first + SOCKETS_PER_VU, SUBSCRIBERS);
  const begun = Date.now();
  for (let number = first; number < last; number += 1) {
    setTimeout(() => join(begun), (number / SUBSCRIBERS) * RAMP_S * 1000);
  }
}

function join(begun) {
  const socket = new WebSocket(`${URL}/ws`, 'roomcast.v1');
  let next = 0;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    clearTimeout(deadline);
    wrong.lost.add(PUBLICATIONS - next);
    socket.close();
  };
  const deadline = setTimeout(end, RUN_S * 1000 - (Date.now() - begun));
  socket.addEventListener('open', () => {
    socket.send(JSON.stringify({ event: 'authenticate', data: { token: TOKEN, rooms: [ROOM] } }));
  });
  socket.addEventListener('message', (message) => {
    const now = Date.now();
    const push = JSON.parse(message.data);
    if (push.event === 'gap') wrong.gaps.add(1);
    if (push.event === 'error') wrong.refused.add(1);
    if (!push.room) return;
    if (push.room !== ROOM || push.event !== EVENT) {
      wrong.misrouted.add(1);
      return;
    }
    const { n, t } = push.data;
    received.add(1);
    delivery.add(now - t);
    if (n < next) {
      wrong.behind.add(1);
      return;
    }
    wrong.lost.add(n - next);
    next = n + 1;
    if (next === PUBLICATIONS) end();
  });
  socket.addEventListener('error', () => {});
  socket.addEventListener('close', () => {
    if (!isOver) wrong.closed.add(1);
    end();
  });
}

// Each publication is marked with the time at which it was due, not with the one at which it could be sent: a server that makes the publisher
// wait shall not look quicker for that.
export function publish() {
  const fill = 'x'.repeat(BYTES);
  const params = { headers: { Authorization: `Bearer ${PUBLISH_TOKEN}`, 'Content-Type': 'application/json' } };
  const begun = Date.now();
  for (let n = 0; n < PUBLICATIONS; n += 1) {
    const due = begun + (n * 1000) / RATE;
    const early = due - Date.now();
    if (early > 0) sleep(early / 1000);
    const body = { event: EVENT, data: { n, t: Math.round(due), fill }, target: { room: ROOM } };
    const answer = http.post(`${REST}/api/ws/broadcast`, JSON.stringify(body), params);
    if (answer.status !== 200) {
      wrong.refused.add(1);
      console.error(`publication ${n}: ${answer.status} ${answer.body}`);
    }
  }
}
