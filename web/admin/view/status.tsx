import type { Board, Moment } from '../state/board.ts';
import { cursor } from '../state/cursor.ts';
import type { Connection } from '../state/feed.ts';
import type { Scope } from '../state/figures.ts';
import { type Health, judges, type PanelName } from '../state/health.ts';
import { formatSpan, formatTime, plural } from './format.ts';
import { HealthLabel } from './panel.tsx';
import { TITLES } from './titles.ts';

/** A line about the state of the server or of the connection to it. */
interface Line {
  readonly tone: 'good' | 'watch' | 'act';
  readonly title: string;
  readonly text: string;
}

/** Returns what an operator must know first, the most urgent last. */
function linesOf(connection: Connection, moment: Moment | undefined): Line[] {
  const lines: Line[] = [];
  if (moment && connection.kind !== 'retrying') {
    const { snapshot } = moment;
    if (snapshot.state === 'serving') lines.push({ tone: 'good', title: 'Serving', text: '' });
    if (snapshot.state === 'draining') {
      const text = 'The server stops: it closes its clients and accepts no new ones.';
      lines.push({ tone: 'watch', title: 'Draining', text });
    }
    if (snapshot.state === 'engine_away') {
      const text = `The store of the engine ${snapshot.engine} cannot be reached, so nothing is committed.`;
      lines.push({ tone: 'act', title: 'Engine away', text });
    }
    if (snapshot.missing > 0) {
      const [title, subject] = [plural(snapshot.missing, 'worker'), snapshot.missing === 1 ? 'It has' : 'They have'];
      lines.push({
        tone: 'watch',
        title: `${title} missing`,
        text: `${subject} not answered in time, so that sums are unknown.`,
      });
    }
  }
  if (connection.kind === 'connecting' && !moment) lines.push({ tone: 'watch', title: 'Connecting', text: '' });
  if (connection.kind === 'retrying') {
    const reason = connection.reason === '' ? '' : `The last reason: ${connection.reason}. `;
    const age = moment ? `The figures are those of ${formatTime(moment.snapshot.at)}.` : '';
    lines.push({ tone: 'act', title: 'Disconnected, retrying', text: reason + age });
  }
  return lines;
}

/** The state of the server, announced as it changes. */
export function Status({ connection, moment }: { connection: Connection; moment: Moment | undefined }) {
  return (
    <div role="status">
      <ul class="status">
        {linesOf(connection, moment).map(({ tone, title, text }) => (
          <li key={title} data-tone={tone}>
            <strong>{title}</strong> {text}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What runs, for how long, whose figures are shown, and which panels need a look. */
export function Overview({ board, moment }: { board: Board; moment: Moment }) {
  const { version, engine, uptime, at } = moment.snapshot;
  const time = cursor.value === undefined ? formatTime(at) : `${formatTime(cursor.value * 1000)}, at the cursor`;
  return (
    <div class="overview">
      <dl class="facts">
        <Fact name="Version" value={version} />
        <Fact name="Engine" value={engine} />
        <Fact name="Up for" value={formatSpan(uptime)} />
        <Fact name="Time" value={time} />
      </dl>
      <Workers board={board} moment={moment} />
      <Verdict healths={moment.healths} />
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** Chooses the threads whose figures are shown, where there are several. */
function Workers({ board, moment: { snapshot, scope } }: { board: Board; moment: Moment }) {
  const workers = snapshot.threads.map(({ worker }) => worker).filter((worker) => worker > 0);
  if (workers.length === 0) return null;
  if (scope !== 'all' && !workers.includes(scope)) workers.push(scope); // it has not answered
  const select = (value: string) => {
    const chosen: Scope = value === 'all' ? 'all' : Number(value);
    board.scope.value = chosen;
  };
  return (
    <label class="workers">
      Figures of
      <select value={String(scope)} onChange={(event) => select(event.currentTarget.value)}>
        <option value="all">all {plural(snapshot.threads.length + snapshot.missing, 'worker')}</option>
        {workers
          .sort((a, b) => a - b)
          .map((worker) => (
            <option key={worker} value={String(worker)}>
              worker {worker}
            </option>
          ))}
      </select>
    </label>
  );
}

/** Names the panels that are not normal, with links to them. */
function Verdict({ healths }: { healths: Readonly<Record<PanelName, Health>> }) {
  const names = (Object.keys(judges) as PanelName[]).filter((name) => healths[name] === 'act');
  names.push(...(Object.keys(judges) as PanelName[]).filter((name) => healths[name] === 'watch'));
  if (names.length === 0) return <p class="verdict">Every panel is normal.</p>;
  return (
    <ul class="verdict" aria-label="Panels that are not normal">
      {names.map((name) => (
        <li key={name}>
          <button type="button" onClick={() => showPanel(name)}>
            <HealthLabel health={healths[name]} /> {TITLES[name]}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** The hash of the address names the view, so it cannot lead to a panel. */
function showPanel(name: PanelName): void {
  const panel = document.querySelector<HTMLElement>(`[data-panel="${name}"]`);
  panel?.scrollIntoView({ block: 'center' });
  panel?.querySelector<HTMLElement>('h2')?.focus({ preventScroll: true });
}
