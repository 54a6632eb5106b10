// Checks the import rules. Also checks that the checker saw every module: one that scans nothing
// would pass, too.
import { readdirSync } from 'node:fs';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import config, { layers } from '../../.dependency-cruiser.mjs';

const folders = ['src', 'web/sdk', 'web/app', 'web/admin'];
const sources = folders
  .flatMap((folder) => readdirSync(folder, { recursive: true }))
  .filter((file) => /\.tsx?$/.test(String(file))).length;
const { output } = await cruise(
  [...folders, 'bench'],
  { ruleSet: { forbidden: config.forbidden }, validate: true, ...config.options },
  undefined,
  { tsConfig: extractTSConfig('tsconfig.json') },
);
const scanned = output.modules.filter(({ source }) => folders.some((folder) => source.startsWith(`${folder}/`))).length;
const edges = output.modules.flatMap(({ dependencies }) => dependencies).length;
for (const { rule, from, to } of output.summary.violations) console.error(`${rule.name}: ${from} -> ${to}`);
if (scanned < sources || edges < sources) {
  console.error(`the checker scanned ${scanned} of ${sources} modules and ${edges} imports`);
  process.exit(1);
}
const uncovered = readdirSync('src', { withFileTypes: true })
  .map((entry) => (entry.isDirectory() ? entry.name : `(file) ${entry.name}`))
  .filter((name) => !Object.hasOwn(layers, name) && !['(file) index.ts', '(file) cli.ts'].includes(name));
if (uncovered.length > 0) {
  console.error(`no import rule covers src/${uncovered.join(', src/')}`);
  process.exit(1);
}
console.log(`imports: ${scanned} modules, ${edges} imports, ${output.summary.violations.length} violations`);
process.exit(output.summary.violations.length > 0 ? 1 : 0);
