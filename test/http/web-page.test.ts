import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WebListener, webWarnings, wireOfPage } from '../../src/http/web-page.ts';

let root: string;
let count = 0;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'pumphouse-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** Creates a folder with these files. */
function folder(files: Record<string, string>): string {
  const path = join(root, `${++count}`);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

const page = (name: string) => `test/contracts/pages/${name}`;
const posts = (object: string) => `
  <script>
    new WebSocket('ws://' + location.host + '/subscribe').onmessage = ({ data }) => show(JSON.parse(data));
    fetch('/publish', { method: 'POST', body: JSON.stringify(${object}) });
  </script>`;
const reads = "new WebSocket('ws://x/subscribe'); fetch('/publish'); JSON.parse(d).messageType; d.created";

describe('the wire of a page', () => {
  test.each([
    ['spread', 'spread'],
    ['go-websockets', 'go-websockets'],
    ['coder', undefined],
    ['gorilla', undefined],
    ['events', undefined],
    ['blueprints', undefined],
  ] as const)('that does as %s is %s', (name, wire) => {
    expect(wireOfPage(page(name))).toBe(wire);
  });

  test.each(['{ name: myName, msg: content }', '{"name":a,"msg":b}', '{\n  name,\n  msg,\n}', '{msg:b,name:a}'])(
    'that posts %j is spread',
    (object) => {
      expect(wireOfPage(folder({ 'index.html': posts(object) }))).toBe('spread');
    },
  );

  test.each(['{ name: a }', '{ msg: b }', '{ username: a, msg: b }', '{ name: a, message: b }'])(
    'that posts %j is not known',
    (object) => {
      expect(wireOfPage(folder({ 'index.html': posts(object) }))).toBeUndefined();
    },
  );

  test.each(['main.js', './main.js', '/main.js', 'main.js?v=2'])('is found in the script %s', (source) => {
    expect(wireOfPage(folder({ 'index.html': `<script defer src="${source}"></script>`, 'main.js': reads }))).toBe(
      'go-websockets',
    );
  });

  test.each(['https://cdn.example/main.js', '//cdn.example/main.js', '../main.js', 'none.js', 'sub'])(
    'is not looked for at %s',
    (source) => {
      const site = folder({
        'site/index.html': `<script src="${source}"></script>`,
        'main.js': reads,
        'site/sub/x': '',
      });
      expect(wireOfPage(join(site, 'site'))).toBeUndefined();
    },
  );

  test('is not known for a page that speaks two, and without a page', () => {
    expect(wireOfPage(folder({ 'index.html': posts('{ name, msg }') + reads }))).toBeUndefined();
    expect(wireOfPage(folder({ 'about.html': posts('{ name, msg }') }))).toBeUndefined();
    expect(wireOfPage(undefined)).toBeUndefined();
  });
});

describe('the warnings of a page', () => {
  const local = { wire: 'auto', port: 8080, tls: false } as const;
  const warnings = (web: string | undefined, settings: Partial<WebListener> = {}) =>
    webWarnings({ ...local, web, ...settings });

  test('are none for the built-in chat, and for pages that work', () => {
    expect(warnings(undefined)).toEqual([]);
    for (const name of ['coder', 'gorilla', 'go-websockets', 'blueprints']) expect(warnings(page(name))).toEqual([]);
    expect(warnings(page('spread'), { port: 8000 })).toEqual([]);
    expect(warnings(page('events'), { tls: true })).toEqual([]);
  });

  test('name the wire that the page needs, in place of a pinned one', () => {
    expect(warnings(page('go-websockets'), { wire: 'coder' })).toEqual([
      'the page in "test/contracts/pages/go-websockets" needs --wire go-websockets, or auto; with --wire coder it shows no messages',
    ]);
    expect(warnings(page('spread'), { wire: 'go-websockets', port: 8000 })).toEqual([
      'the page in "test/contracts/pages/spread" needs --wire spread, or auto; with --wire go-websockets it shows no messages',
    ]);
    for (const wire of ['auto', 'spread', 'gorilla', 'v1'] as const) {
      expect(warnings(page('spread'), { wire, port: 8000 })).toEqual([]); // /subscribe is spread's
    }
  });

  test('name the port of a page with a fixed address, unless the program listens', () => {
    expect(warnings(page('spread'))).toEqual([
      'the page in "test/contracts/pages/spread" connects only to ws://localhost:8000; serve it with --port 8000 and open http://localhost:8000',
    ]);
    expect(webWarnings({ web: page('spread'), wire: 'auto' })).toEqual([]);
    const other = folder({ 'index.html': "new WebSocket('wss://chat.example/ws')" });
    expect(warnings(other, { port: 443, tls: true })).toEqual([]);
    expect(warnings(other, { tls: true })[0]).toMatch(/--port 443 and open https:\/\/chat.example, or edit it$/);
  });

  test('name the certificate that a page with wss:// needs, and that one with ws:// must not have', () => {
    expect(warnings(page('events'))).toEqual([
      'the page in "test/contracts/pages/events" connects with wss://; it needs --tls-cert and --tls-key, or a proxy with TLS in front',
    ]);
    expect(warnings(page('gorilla'), { tls: true })).toEqual([
      'the page in "test/contracts/pages/gorilla" connects with ws://, which browsers block on https; serve it without --tls-cert',
    ]);
    const both = folder({ 'index.html': 'location.protocol === "https:" ? "wss://" : "ws://"' });
    for (const tls of [true, false, undefined]) expect(warnings(both, { tls } as WebListener)).toEqual([]);
  });

  test('name a template field that nothing fills in', () => {
    expect(warnings(folder({ 'chat.html': '{{.Host}} {{ .Host }} {{ name }}' }))).toEqual([]);
    expect(warnings(folder({ 'chat.html': '<b>{{.Host}} {{.UserData.name}}' }))[0]).toMatch(
      /has the template field \{\{\.UserData\.name\}\}, which stays as it is/,
    );
  });
});
