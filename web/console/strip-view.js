// Draws the strip of sequence numbers and the sentence that judges it.

import { byId, element, setText } from './dom.js';

/** A cell with the space to its right, in CSS pixels; style.css has the same. */
const CELL_PX = 14;
const ROWS = 3;
const NOTHING_YET = 'Every publication has a number. They appear here as they arrive.';

let columns = 0;

/** @param {() => void} onResize */
export function watchStrip(onResize) {
  const strip = byId('strip');
  new ResizeObserver(() => {
    const fit = Math.max(1, Math.floor((strip.clientWidth + 2) / CELL_PX));
    if (fit === columns) return;
    columns = fit;
    strip.replaceChildren(...Array.from({ length: fit * ROWS }, () => element('li')));
    onResize();
  }).observe(strip);
}

export function renderStrip(strip, position, gaps) {
  const nodes = byId('strip').children;
  // A full strip moves on by whole rows, so that cells keep their place while a row fills.
  const all = strip.newest(Infinity);
  const skipped = columns * Math.max(0, Math.ceil(all.length / Math.max(1, columns)) - ROWS);
  const cells = all.slice(skipped);
  for (let index = 0; index < nodes.length; index += 1) draw(nodes[index], cells[index]);
  setText(byId('position'), position ?? '–');
  renderVerdict(strip, gaps);
}

function draw(node, cell) {
  const kind = cell?.kind ?? '';
  const cut = cell?.cut ? 'yes' : '';
  if (node.dataset.kind !== kind) node.dataset.kind = kind;
  if (node.dataset.cut !== cut) node.dataset.cut = cut;
  const title = cell ? `${cell.seq} · ${kind === 'elsewhere' ? 'in other rooms' : kind}${cut ? ' · connection lost after this' : ''}` : '';
  if (node.title !== title) node.title = title;
}

function renderVerdict({ totals }, gaps) {
  const node = byId('verdict');
  const received = totals.live + totals.replayed;
  if (received === 0 && gaps === 0) {
    node.dataset.verdict = 'none';
    setText(node, NOTHING_YET);
    return;
  }
  const replayed = totals.replayed > 0 ? `, ${totals.replayed} of them replayed` : '';
  const loss = gaps === 0 ? 'no gap' : `${gaps} ${gaps === 1 ? 'gap' : 'gaps'} admitted`;
  node.dataset.verdict = gaps === 0 ? 'whole' : 'gap';
  setText(node, `${received} received${replayed}: ${loss}.`);
}
