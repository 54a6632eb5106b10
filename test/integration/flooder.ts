import { Agent, request } from 'node:http';
import { WebSocket } from 'ws';

// node --import tsx test/integration/flooder.ts everything|logins URL    until its standard input ends

const FLOOD = { 'x-forwarded-for': '192.0.2.66' };

/** Does all that it can from one address. */
class Flood {
  readonly #sockets = new Set<WebSocket>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  #going = true;
  #connects = 0;
  #messages = 0;
  #posts = 0;
  #refused = 0;
  #others = 0;

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
    this.#going = false;
    for (const socket of this.#sockets) socket.terminate();
    this.#agent.destroy();
    const [connects, messages, posts] = [this.#connects, this.#messages, this.#posts];
    return { connects, messages, posts, refused: this.#refused, others: this.#others };
  }

  async #connect(url: string): Promise<void> {
    while (this.#going) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers: FLOOD });
      this.#sockets.add(socket);
      this.#connects++;
      socket.on('error', () => {});
      const over = new Promise<boolean>((resolve) => {
        socket.on('open', () => resolve(true));
        socket.on('close', () => resolve(false));
      });
      if (!(await over)) this.#sockets.delete(socket);
      for (let i = 0; i < 50 && socket.readyState === WebSocket.OPEN; i++, this.#messages++) socket.send('flood');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #post(url: string): Promise<void> {
    while (this.#going) {
      this.#posts++;
      await new Promise<void>((resolve) => {
        const asked = request(`${url}/publish`, { method: 'POST', headers: FLOOD, agent: this.#agent });
        asked.on('response', (answer) => answer.resume().on('close', resolve));
        asked.on('error', () => resolve());
        asked.end('flood');
        setTimeout(resolve, 20); // does not wait for its turn
      });
    }
  }

  /** Guesses a password. */
  async #login(url: string): Promise<void> {
    while (this.#going) {
      const body = JSON.stringify({ username: `user${Math.random()}`, password: 'guess' });
      const { status } = await fetch(`${url}/login`, { method: 'POST', body, headers: FLOOD });
      if (status === 429) this.#refused++;
      else if (status !== 401) this.#others++;
    }
  }
}

const [kind = '', url = ''] = process.argv.slice(2);
const flood = new Flood(kind, url);
console.log('begun');
process.stdin.resume().on('end', () => {
  console.log(JSON.stringify(flood.end()));
  process.exit(0);
});
