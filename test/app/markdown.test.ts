import { expect, test } from 'vitest';
import { type Block, type Inline, parseMarkdown } from '../../web/app/state/markdown.ts';

/** Writes blocks in the manner of HTML, so that a test shows what is what. */
function html(blocks: readonly Block[]): string {
  return blocks
    .map((block) => {
      if (block.kind === 'text') return `<p>${inlines(block.children)}</p>`;
      if (block.kind === 'code') return `<pre ${block.language}>${block.text}</pre>`;
      if (block.kind === 'quote') return `<quote>${html(block.blocks)}</quote>`;
      const items = block.items.map(
        ({ value, blocks }) => `<li${block.ordered ? ` ${value}` : ''}>${html(blocks)}</li>`,
      );
      return `<list${block.bracket ? ' )' : ''}>${items.join('')}</list>`;
    })
    .join('');
}

function inlines(nodes: readonly Inline[]): string {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return node;
      if (node.kind === 'code') return `<code>${node.text}</code>`;
      if (node.kind === 'link') return `<a ${node.href}>${inlines(node.children)}</a>`;
      return `<${node.kind}>${inlines(node.children)}</${node.kind}>`;
    })
    .join('');
}

test.each([
  [
    '**b** *i* _i_ __b__ ~~s~~ `c`',
    '<p><strong>b</strong> <em>i</em> <em>i</em> <strong>b</strong> <del>s</del> <code>c</code></p>',
  ],
  [
    '***both*** **a *b*** *a **b***',
    '<p><strong><em>both</em></strong> <strong>a <em>b</em></strong> <em>a <strong>b</strong></em></p>',
  ],
  ['(*x*), "**y**"!', '<p>(<em>x</em>), "<strong>y</strong>"!</p>'],
  ['这是*强调*的', '<p>这是<em>强调</em>的</p>'],
  [
    '`` a`b `` `*x*` `[a](https://a.example)`',
    '<p><code>a`b</code> <code>*x*</code> <code>[a](https://a.example)</code></p>',
  ],
  ['a\n\nb\nc *d*', '<p>a\n\nb\nc <em>d</em></p>'],
  ['```js\na *b*\n  c\n```\nafter', '<pre js>a *b*\n  c</pre><p>after</p>'],
  ['see ```\na\n  b``` there', '<p>see </p><pre >a\n  b</pre><p> there</p>'],
  [
    '- a\n- b\n  - c\nafter',
    '<list><li><p>a</p></li><li><p>b</p><list><li><p>c</p></li></list></li></list><p>after</p>',
  ],
  ['2. a\n5. b', '<list><li 2><p>a</p></li><li 5><p>b</p></li></list>'],
  ['1. a\n1. b', '<list><li 1><p>a</p></li><li 2><p>b</p></li></list>'],
  ['3) c', '<list )><li 3><p>c</p></li></list>'],
  ['- [ ] open\n- [x] done', '<list><li><p>[ ] open</p></li><li><p>[x] done</p></li></list>'],
  ['> quoted\n> more\nreply', '<quote><p>quoted\nmore</p></quote><p>reply</p>'],
  ['>> deep\n> less', '<quote><quote><p>deep</p></quote><p>less</p></quote>'],
  ['[a **b**](https://a.example/b_(c))', '<p><a https://a.example/b_(c)>a <strong>b</strong></a></p>'],
  ['[a](mailto:a@b.example)', '<p><a mailto:a@b.example>a</a></p>'],
  ['\\*not\\* \\`code`', '<p>*not\\* `code`</p>'],
  ['**see https://a.example/a_b_c**', '<p><strong>see https://a.example/a_b_c</strong></p>'],
])('%j is formatted', (text, expected) => {
  expect(html(parseMarkdown(text))).toBe(expected);
});

test.each([
  '2*3*4',
  'a * b * c',
  'snake_case_names and _ alone',
  ':-* and :-*',
  '*.ts, *.js and **/*.ts',
  '*args, **kwargs',
  'b ** c ** d',
  '__init__.py and __init__()',
  '¯\\_(ツ)_/¯',
  'C:\\*.ts \\\\server\\share',
  '~5 or ~6, ~/a and ~/b, ~one~',
  '>_< and >.>',
  '-',
  '- \n- ',
  '* * *',
  '---',
  '# no heading',
  'heading\n===',
  '| a | b |\n|---|---|\n| 1 | 2 |',
  '![image](https://a.example/b.png)',
  '[reference][a]\n\n[a]: https://a.example',
  '[a](javascript:alert(1)) [b](data:x) [c](//a.example) [d](https://a@b.example)',
  '<b>bold</b> <!-- comment --> &amp; &#65;',
  '```\nnot closed',
  '*not closed',
  'I was born in\n1986. A good year',
  'text\n    indented',
  '*one\nline*',
  'https://a.example/_x_/*y*',
])('%j stays as it was typed', (text) => {
  expect(html(parseMarkdown(text))).toBe(`<p>${text}</p>`);
});

test('an open code block is one if the text goes on', () => {
  expect(html(parseMarkdown('```\nnot closed', true))).toBe('<pre >not closed</pre>');
});

test('nesting is bounded', () => {
  const depthOf = (text: string) => html(parseMarkdown(text)).split(/<(?:quote|list|strong|em)>/).length - 1;
  expect(depthOf(`${'> '.repeat(100)}x`)).toBe(5);
  expect(depthOf(`${'- '.repeat(100)}x`)).toBe(5);
  expect(depthOf(`${'**a *b '.repeat(50)}${'*c **'.repeat(50)}`)).toBeLessThanOrEqual(5);
});

const unit = [
  '>',
  '> ',
  '>\n',
  '> x\n',
  '[',
  '[a](',
  '[a](b',
  '[a](http://x',
  '![',
  '*',
  '**',
  '*x *x ',
  '- *',
  '_a_b',
  '~~x ',
];
const more = [
  '`',
  '`a``b',
  '- ',
  '- a\n',
  '- - ',
  '* * *\n',
  '1. a\n',
  '```a\n',
  '~~~a\n',
  '\\',
  '<',
  '<!--',
  'a@b.',
  '&',
];

test('16 KiB of any marker are parsed in 20 ms', () => {
  for (const piece of [...unit, ...more]) {
    const text = piece.repeat(16_384 / piece.length);
    // The fastest of a few runs: the machine may be busy.
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now();
      parseMarkdown(text);
      return performance.now() - start;
    });
    expect(Math.min(...times), JSON.stringify(piece)).toBeLessThan(20);
  }
});
