// Holds rendered custom resources against the types of their definitions. Written out as literals, they are refused by the compiler for
// every key that there is not; patterns and bounds are checked by the models themselves.
//
// usage: node check_custom_resources.mjs custom.json FOLDER; node_modules of FOLDER has the models and a compiler.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const MODELS = {
  'gateway.networking.k8s.io/v1 HTTPRoute': '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute',
  'keda.sh/v1alpha1 ScaledObject': '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject',
  'monitoring.coreos.com/v1 PrometheusRule': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule',
  'monitoring.coreos.com/v1 ServiceMonitor': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor',
};

const [, , file, folder] = process.argv;
const resources = JSON.parse(readFileSync(file, 'utf8'));
const seen = new Set(resources.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`));
for (const name of Object.keys(MODELS)) if (!seen.has(name)) throw new Error(`no values of ci/ render a ${name}`);

const lines = resources.map((resource, number) => {
  const model = MODELS[`${resource.apiVersion} ${resource.kind}`];
  if (!model) throw new Error(`there is no model of ${resource.apiVersion} ${resource.kind}`);
  return `import type { I${resource.kind} as T${number} } from '${model}';\nexport const r${number}: T${number} = ${JSON.stringify(resource, null, 1)};`;
});
writeFileSync(join(folder, 'resources.ts'), `${lines.join('\n')}\n`);
const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--moduleResolution', 'nodenext'];
try {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options, 'resources.ts'], { cwd: folder, stdio: 'pipe' });
} catch (error) {
  throw new Error(`a custom resource is not of its type:\n${error.stdout}`);
}
for (const resource of resources) {
  const path = join(folder, 'node_modules', `${MODELS[`${resource.apiVersion} ${resource.kind}`]}.js`);
  const Model = (await import(pathToFileURL(path)))[resource.kind];
  new Model(resource).validate();
}
console.log(`${resources.length} custom resources are of their types`);
