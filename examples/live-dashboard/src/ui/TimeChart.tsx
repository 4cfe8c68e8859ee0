// One chart over the time of day. With the pointer or the arrow keys one reads the figures of a moment; without, the last ones.

import { useMemo, useState } from 'react';
import type { KeyboardEvent, PointerEvent } from 'react';
import { clock } from '../model/format.ts';
import type { Layer } from './ChartLayer.tsx';
import { ChartLayer } from './ChartLayer.tsx';
import { nearest, scale } from '../model/plot.ts';
import { useWidth } from './useWidth.ts';

export interface TimeChartProps {
  title: string;
  /** The whole chart in a sentence, for who cannot see it. */
  summary: string;
  /** Rising, in seconds since midnight. */
  times: readonly number[];
  fromS: number;
  toS: number;
  yMax: number;
  yText: (value: number) => string;
  layers: readonly Layer[];
  target?: { value: number; name: string };
}

const HEIGHT = 136;
const MARGIN = { top: 6, right: 4, bottom: 18, left: 38 };

export function TimeChart({ title, summary, times, fromS, toS, yMax, yText, layers, target }: TimeChartProps) {
  const [box, width] = useWidth();
  const [cursor, setCursor] = useState<number | null>(null);
  const x = useMemo(() => scale(fromS, toS, MARGIN.left, width - MARGIN.right), [fromS, toS, width]);
  const y = useMemo(() => scale(0, yMax, HEIGHT - MARGIN.bottom, MARGIN.top), [yMax]);
  const lastKnown = times.findLastIndex((_, index) => layers.some(({ values, ahead }) => !ahead && (values[index] ?? null) !== null));
  const shown = cursor !== null && cursor < times.length ? cursor : lastKnown;
  const point = ({ currentTarget, clientX }: PointerEvent<SVGSVGElement>) => {
    const timeAt = scale(MARGIN.left, width - MARGIN.right, fromS, toS);
    setCursor(nearest(times, timeAt(clientX - currentTarget.getBoundingClientRect().left)));
  };
  const walk = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setCursor(Math.max(0, Math.min(times.length - 1, shown + step)));
  };
  return (
    <figure className="panel chart">
      <figcaption>
        <h2>{title}</h2>
        <Readout time={times[shown]} index={shown} layers={layers} asked={cursor !== null} />
      </figcaption>
      <div ref={box} className="plot">
        <svg width={width} height={HEIGHT} role="img" aria-label={`${summary} Arrow keys walk through it.`} tabIndex={0}
          onPointerMove={point} onPointerLeave={() => setCursor(null)} onKeyDown={walk} onBlur={() => setCursor(null)}>
          {[0, 0.5, 1].map((share) => <Rule key={share} y={y(share * yMax)} width={width} text={yText(share * yMax)} />)}
          {ticks(fromS, toS, width).map((timeS) => <Tick key={timeS} x={x(timeS)} text={clock(timeS)} width={width} />)}
          {layers.map((layer) => <ChartLayer key={layer.name} layer={layer} times={times} x={x} y={y} />)}
          {target !== undefined && (
            <g className="target">
              <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(target.value)} y2={y(target.value)} />
              <text x={width - MARGIN.right - 2} y={y(target.value) + 11} textAnchor="end">{target.name}</text>
            </g>
          )}
          {cursor !== null && times[shown] !== undefined && (
            <line className="cursor" x1={x(times[shown])} x2={x(times[shown])} y1={MARGIN.top} y2={HEIGHT - MARGIN.bottom} />
          )}
        </svg>
      </div>
    </figure>
  );
}

function Rule({ y, width, text }: { y: number; width: number; text: string }) {
  return (
    <g className="rule">
      <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y} y2={y} />
      <text className="tick" x={MARGIN.left - 6} y={y + 4} textAnchor="end">{text}</text>
    </g>
  );
}

/** At the right end a label stands before its mark, so that it is not cut off. */
function Tick({ x, text, width }: { x: number; text: string; width: number }) {
  return <text className="tick" x={x} y={HEIGHT - 4} textAnchor={x > width - 18 ? 'end' : 'middle'}>{text}</text>;
}

/** Spoken only while somebody walks through the chart. */
function Readout({ time, index, layers, asked }: { time: number | undefined; index: number; layers: readonly Layer[]; asked: boolean }) {
  return (
    <p className="readout" aria-live={asked ? 'polite' : 'off'}>
      <span className="at">{time === undefined ? '' : clock(time)}</span>
      {layers.map(({ name, tone, values, text }) => (
        <span key={name}><i className={`swatch ${tone}`} aria-hidden="true" />{name} <b>{text(values[index] ?? null)}</b></span>
      ))}
    </p>
  );
}

/** Full hours or their halves, so that labels have room. */
function ticks(fromS: number, toS: number, width: number): number[] {
  const room = Math.max(2, Math.floor(width / 62));
  const step = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400].find((one) => (toS - fromS) / one <= room) ?? 14_400;
  const first = Math.ceil(fromS / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((toS - first) / step) + 1) }, (_, index) => first + index * step);
}
