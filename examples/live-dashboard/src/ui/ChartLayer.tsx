import { areaPath, linePath } from '../model/plot.ts';
import type { Point } from '../model/plot.ts';

export interface Layer {
  name: string;
  kind: 'bars' | 'line' | 'area';
  /** What the colour means: see charts.css. */
  tone: 'actual' | 'expected' | 'load' | 'free';
  values: readonly (number | null)[];
  text: (value: number | null) => string;
  /** It reaches beyond now, so it does not say where now is. */
  ahead?: boolean;
}

interface Props {
  layer: Layer;
  times: readonly number[];
  x: (timeS: number) => number;
  y: (value: number) => number;
}

export function ChartLayer({ layer: { kind, tone, values }, times, x, y }: Props) {
  const points: Point[] = times.map((timeS, index) => {
    const value = values[index] ?? null;
    return [x(timeS), value === null ? null : y(value)];
  });
  if (kind === 'bars') return <Bars points={points} tone={tone} floor={y(0)} />;
  return (
    <g className={tone}>
      {kind === 'area' && <path className="area" d={areaPath(points, y(0))} />}
      <path className="line" d={linePath(points)} />
    </g>
  );
}

function Bars({ points, tone, floor }: { points: readonly Point[]; tone: string; floor: number }) {
  const [first, second] = points;
  const width = first === undefined || second === undefined ? 4 : Math.max(1, (second[0] - first[0]) * 0.72);
  return (
    <g className={`bars ${tone}`}>
      {points.map(([x, top]) => top !== null && <rect key={x} x={x - width / 2} y={top} width={width} height={Math.max(0, floor - top)} rx={1} />)}
    </g>
  );
}
