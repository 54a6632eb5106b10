import type { ComponentChildren } from 'preact';
import type { Health } from '../state/health.ts';

const LABELS: Record<Health, string> = { unknown: 'No figures yet', normal: 'Normal', watch: 'Watch', act: 'Act' };

/** A state, as a text with a sign. */
export function HealthLabel({ health }: { health: Health }) {
  return (
    <span class="health" data-health={health}>
      {LABELS[health]}
    </span>
  );
}

export interface PanelProps {
  /** Its name, which is a part of the address of its heading. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly health: Health;
  /** What is normal, as a sentence. */
  readonly normal: string;
  /** What to do when it is not. */
  readonly advice: string;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
}

/** A panel: what it shows, in which unit, how it is, and what would be normal. */
export function Panel({ name, title, unit, health, normal, advice, wide, children }: PanelProps) {
  const isBad = health === 'watch' || health === 'act';
  return (
    <section class="panel" data-panel={name} data-wide={wide} data-health={health} aria-labelledby={`panel-${name}`}>
      <header>
        <h2 id={`panel-${name}`} tabIndex={-1}>
          {title}
        </h2>
        <span class="unit">{unit}</span>
        <HealthLabel health={health} />
      </header>
      {children}
      <p class="normal">
        {normal}
        {isBad && <strong> {advice}</strong>}
      </p>
    </section>
  );
}
