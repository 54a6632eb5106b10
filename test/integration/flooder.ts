import { Agent, request } from 'node:http';
import { WebSocket } from 'ws';

// Usage: node --import tsx test/integration/flooder.ts everything|logins URL
// Floods a server until standard input ends, then prints its counts as JSON.

const FLOOD = { 'x-forwarded-for': '192.0.2.66' };

/** Floods a server from one address with connections, messages and posts, or with logins. */
class Flood {
  readonly #sockets = new Set<WebSocket>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  #running = true;
  #connects = 0;
  #messages = 0;
  #posts = 0;
  /** Logins rejected with 429. */
  #throttled = 0;
  /** Logins answered with any other status than 401 and 429. */
  #unexpected = 0;

  constructor(kind: string, url: string) {
    for (let i = 0; i < 8; i++) {
      if (kind === 'logins') void this.#login(url);
      else {
        void this.#connect(url);
        void this.#post(url);
      }
    }
  }

  end() {
    this.#running = false;
    for (const socket of this.#sockets) socket.terminate();
    this.#agent.destroy();
    const [connects, messages, posts] = [this.#connects, this.#messages, this.#posts];
    return { connects, messages, posts, throttled: this.#throttled, unexpected: this.#unexpected };
  }

  async #connect(url: string): Promise<void> {
    while (this.#running) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers: FLOOD });
      this.#sockets.add(socket);
      this.#connects++;
      socket.on('error', () => {});
      const opened = new Promise<boolean>((resolve) => {
        socket.on('open', () => resolve(true));
        socket.on('close', () => resolve(false));
      });
      if (!(await opened)) this.#sockets.delete(socket);
      for (let i = 0; i < 50 && socket.readyState === WebSocket.OPEN; i++, this.#messages++) socket.send('flood');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #post(url: string): Promise<void> {
    while (this.#running) {
      this.#posts++;
      await new Promise<void>((resolve) => {
        const outgoing = request(`${url}/publish`, { method: 'POST', headers: FLOOD, agent: this.#agent });
        outgoing.on('response', (response) => response.resume().on('close', resolve));
        outgoing.on('error', () => resolve());
        outgoing.end('flood');
        setTimeout(resolve, 20); // the next post does not wait for the response
      });
    }
  }

  /** Guesses passwords. */
  async #login(url: string): Promise<void> {
    while (this.#running) {
      const body = JSON.stringify({ username: `user${Math.random()}`, password: 'guess' });
      const { status } = await fetch(`${url}/login`, { method: 'POST', body, headers: FLOOD });
      if (status === 429) this.#throttled++;
      else if (status !== 401) this.#unexpected++;
    }
  }
}

const [kind = '', url = ''] = process.argv.slice(2);
const flood = new Flood(kind, url);
console.log('started');
process.stdin.resume().on('end', () => {
  console.log(JSON.stringify(flood.end()));
  process.exit(0);
});
