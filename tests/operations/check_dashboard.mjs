// Holds the dashboard against Grafana's own types: its frame, and of each panel the options and field settings of its kind. Written out as a
// literal, it is refused by the compiler for every key that Grafana does not know.
//
// usage: node check_dashboard.mjs roomcast.json FOLDER; node_modules of FOLDER has @grafana/schema and a compiler.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TYPES = './node_modules/@grafana/schema/dist/types';
const KINDS = ['stat', 'timeseries', 'heatmap'];
// Grafana has no types of this panel's options.
const UNTYPED = ['alertlist'];

const [, , file, folder] = process.argv;
const { panels, ...frame } = JSON.parse(readFileSync(file, 'utf8'));
const text = (value) => JSON.stringify(value, null, 1);

const lines = [
  `import type { Dashboard, Panel, RowPanel } from '${TYPES}/veneer/dashboard.types';`,
  ...KINDS.map((kind) => `import type * as ${kind} from '${TYPES}/raw/composable/${kind}/panelcfg/x/types.gen';`),
  // JSON has the words of enums, not the enums.
  'type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;',
  `export const frame: Json<Omit<Dashboard, 'panels'>> = ${text(frame)};`,
];
for (const [number, panel] of panels.entries()) {
  const name = `panel${number}`;
  const { options, fieldConfig, targets, ...rest } = panel;
  lines.push(`export const ${name}: Json<${panel.type === 'row' ? 'RowPanel' : 'Panel'}> = ${text(rest)};`);
  if (KINDS.includes(panel.type)) {
    lines.push(`export const ${name}Options: Json<Partial<${panel.type}.Options>> = ${text(options)};`);
    if (panel.type !== 'stat') lines.push(`export const ${name}Custom: Json<${panel.type}.FieldConfig> = ${text(fieldConfig.defaults.custom)};`);
    const { custom, ...defaults } = fieldConfig.defaults;
    lines.push(`export const ${name}Defaults: Json<NonNullable<Panel['fieldConfig']>['defaults']> = ${text(defaults)};`);
  } else if (panel.type !== 'row' && !UNTYPED.includes(panel.type)) {
    throw new Error(`${panel.title}: there are no types for panels of the kind ${panel.type} here`);
  }
}
writeFileSync(join(folder, 'dashboard.ts'), `${lines.join('\n')}\n`);
const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler'];
try {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options, 'dashboard.ts'], { cwd: folder, stdio: 'pipe' });
} catch (error) {
  throw new Error(`the dashboard is not as Grafana has it:\n${error.stdout}`);
}
console.log(`${panels.length} panels are of Grafana's own types`);
