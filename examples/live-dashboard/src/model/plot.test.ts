import { describe, expect, it } from 'vitest';
import { age, clock, difference, duration, percent, plural, title, whole } from './format.ts';
import { areaPath, extent, linePath, nearest, roundUp, scale } from './plot.ts';

describe('plots', () => {
  it('map values onto the screen', () => {
    expect(scale(0, 10, 100, 0)(5)).toBe(50);
    expect(scale(3, 3, 0, 10)(3)).toBe(5);
  });

  it('leave holes where nothing is known', () => {
    expect(linePath([[0, 1], [1, null], [2, 3], [3, 4]])).toBe('M0,1M2,3L3,4');
    expect(areaPath([[0, 1], [1, 2], [2, null], [3, 4]], 9)).toBe('M0,1L1,2L1,9L0,9ZM3,4L3,9L3,9Z');
  });

  it('find ends that are easy to read', () => {
    expect([0, 0.7, 3, 41, 180, 900].map(roundUp)).toEqual([1, 0.8, 4, 50, 200, 1_000]);
    expect(extent([null, 3, 1])).toEqual([1, 3]);
    expect(extent([null])).toEqual([0, 1]);
  });

  it('find the moment that is pointed at', () => {
    expect(nearest([0, 10, 20], 14)).toBe(1);
    expect(nearest([], 14)).toBe(-1);
  });
});

describe('figures in words', () => {
  it('are short, and a dash where there is none', () => {
    expect([whole(1234.4), percent(0.805), duration(247), duration(4_320), duration(59.7)]).toEqual(['1,234', '81 %', '4:07', '1 h 12', '1:00']);
    expect([whole(null), percent(null), duration(null), difference(null)]).toEqual(['–', '–', '–', '–']);
    expect([difference(0.081), difference(-0.2), difference(0.001)]).toEqual(['+8 %', '−20 %', '±0 %']);
    expect([age(3_300), age(6_660), age(183_600)]).toEqual(['55 min', '1 h 51', '2 d 3 h']);
    expect([clock(50_700), title('first-line'), plural(1, 'gap', 'gaps'), plural(0, 'gap', 'gaps')]).toEqual(['14:05', 'First line', '1 gap', '0 gaps']);
  });
});
