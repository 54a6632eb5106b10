import type { PanelName } from '../state/health.ts';

/** The titles of the panels that have a state. */
export const TITLES: Readonly<Record<PanelName, string>> = {
  load: 'Headroom and load',
  turns: 'Turn duration',
  sends: 'Send to commit',
  messages: 'Messages',
  deliveries: 'Deliveries and frames',
  connections: 'Connections and rooms',
  members: 'Members',
  lag: 'Lag',
  evictions: 'Evictions',
  memory: 'Memory',
};
