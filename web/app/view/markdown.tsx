import './markdown.css';
import { useSignal } from '@preact/signals';
import { announceLine } from '../state/announcer.ts';
import { type Block, type Inline, parseMarkdown } from '../state/markdown.ts';
import { copyText } from './copy.ts';
import { InlineText, propsOf } from './inline-text.tsx';

/** The time for which the result of copying is visible, in milliseconds. */
const RESULT_MS = 2_000;

/** The Markdown of a message. @param cut whether the text goes on after its end */
export function Markdown({ text, cut }: { text: string; cut: boolean }) {
  return (
    <div class="text rich" dir="auto">
      <Blocks blocks={parseMarkdown(text, cut)} />
      {cut && '…'}
    </div>
  );
}

function Blocks({ blocks }: { blocks: readonly Block[] }) {
  return (
    <>
      {blocks.map((block) => (
        <BlockView block={block} />
      ))}
    </>
  );
}

function BlockView({ block }: { block: Block }) {
  switch (block.kind) {
    case 'text':
      return (
        <p>
          <Inlines nodes={block.children} />
        </p>
      );
    case 'code':
      return <CodeBlock text={block.text} language={block.language} />;
    case 'quote':
      return (
        <blockquote>
          <Blocks blocks={block.blocks} />
        </blockquote>
      );
    case 'list': {
      const items = block.items.map(({ value, blocks }) => (
        <li value={block.ordered ? value : undefined}>
          <Blocks blocks={blocks} />
        </li>
      ));
      return block.ordered ? <ol class={block.bracket ? 'bracket' : undefined}>{items}</ol> : <ul>{items}</ul>;
    }
  }
}

function Inlines({ nodes, inLink = false }: { nodes: readonly Inline[]; inLink?: boolean }) {
  return (
    <>
      {nodes.map((node) => {
        if (typeof node === 'string') return inLink ? node : <InlineText text={node} />;
        if (node.kind === 'code') return <code>{node.text}</code>;
        if (node.kind === 'link') return <Link href={node.href} nodes={node.children} />;
        const Tag = node.kind;
        return (
          <Tag>
            <Inlines nodes={node.children} inLink={inLink} />
          </Tag>
        );
      })}
    </>
  );
}

/** A link with its own text. Its target is visible beside it: the text may name another one. */
function Link({ href, nodes }: { href: string; nodes: readonly Inline[] }) {
  return (
    <>
      <a href={href} {...propsOf(href)}>
        <Inlines nodes={nodes} inLink />
      </a>
      <span class="target"> ({targetText(href)})</span>
    </>
  );
}

function targetText(href: string): string {
  const { protocol, host, pathname } = new URL(href);
  return protocol === 'mailto:' ? pathname : host;
}

/** Code as it was typed. The box scrolls sideways, also by the keyboard. */
function CodeBlock({ text, language }: { text: string; language: string }) {
  const result = useSignal('');
  const copy = async () => {
    result.value = (await copyText(text)) ? 'Copied' : 'Copy failed';
    announceLine(result.value);
    setTimeout(() => {
      result.value = '';
    }, RESULT_MS);
  };
  return (
    <div class="code-block">
      {/* biome-ignore-start lint/a11y/noNoninteractiveTabindex: keyboard users scroll it */}
      {/* biome-ignore-start lint/a11y/useSemanticElements: a fieldset is for controls */}
      <pre tabIndex={0} role="group" aria-label={language ? `Code: ${language}` : 'Code'}>
        <code>{text}</code>
      </pre>
      {/* biome-ignore-end lint/a11y/useSemanticElements: a fieldset is for controls */}
      {/* biome-ignore-end lint/a11y/noNoninteractiveTabindex: keyboard users scroll it */}
      <button type="button" class="copy-code" onClick={copy}>
        {result.value || 'Copy'}
        {result.value === '' && <span class="visually-hidden"> code</span>}
      </button>
    </div>
  );
}
