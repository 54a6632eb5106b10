// A module hook that records calls: every function of the built server reports its file and its
// name when it is entered, to `globalThis.calls` while that is an array. Getters and constructors
// are left out: they only read and build.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const SERVER = new URL('../../../dist/', import.meta.url).href;

if (isMainThread) register(import.meta.url);
// Only the thread of the hooks parses, and TypeScript takes long to load.
const ts = isMainThread ? undefined : (await import('typescript')).default;

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  if (!url.startsWith(SERVER) || loaded.format !== 'module') return loaded;
  const file = url.slice(SERVER.length).replace(/\.js$/, '.ts');
  return { ...loaded, source: instrumented(String(loaded.source), `src/${file}`) };
}

function instrumented(source, file) {
  const parsed = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const edits = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body && !ts.isGetAccessor(node) && !ts.isConstructorDeclaration(node)) {
      const report = `globalThis.calls?.push(${JSON.stringify(`${file} ${nameOf(node)}`)})`;
      if (ts.isBlock(node.body)) edits.push([node.body.getStart(parsed) + 1, `${report};`]);
      else edits.push([node.body.getStart(parsed), `(${report}, `], [node.body.getEnd(), ')']);
    }
    ts.forEachChild(node, visit);
  };
  visit(parsed);
  let text = source;
  for (const [at, insert] of edits.sort(([a], [b]) => b - a)) text = text.slice(0, at) + insert + text.slice(at);
  return text;
}

/** The name of a function, or of the property that holds it. */
function nameOf(node) {
  return (node.name ?? node.parent.name)?.getText() ?? '(anonymous)';
}
