// A server with hooks: it requires a token, keeps one room for the staff, and rejects messages in
// capitals. A bot greets new members. Start it, then connect from another terminal:
//   node --import tsx examples/members-only.ts
//   npx wscat -s pumphouse.v1 -c 'ws://127.0.0.1:8080/ws?token=ada-1'
import { createServer } from 'pumphouse';
import { connect } from 'pumphouse/client';

interface Chat {
  readonly text: string;
}

const tokens = new Map([
  ['ada-1', { user: 'ada', staff: true }],
  ['bob-2', { user: 'bob', staff: false }],
]);
const bot = { token: crypto.randomUUID(), user: 'greeter' };

/** Looks a member up, with the delay of a database. */
async function findMember(token: string | null) {
  await new Promise((resolve) => setTimeout(resolve, 5));
  return token === bot.token ? { user: bot.user, staff: false } : tokens.get(token ?? '');
}

const server = await createServer({
  port: Number(process.env['PORT'] ?? 8080),
  // A hook returns true or a user to allow, or a string to reject: the reason, sent to the client.
  hooks: {
    async connect({ query }) {
      const member = await findMember(query.get('token'));
      return member ? { user: member.user } : 'members only';
    },
    join({ user }, room) {
      const isStaff = [...tokens.values()].some((member) => member.user === user && member.staff);
      return room !== 'staff' || isStaff || 'this room is for the staff';
    },
    send: (_, __, data) => !/^[^a-z]{5,}$/.test((data as Partial<Chat>).text ?? '') || 'please do not shout',
  },
});

const hub = connect(`${server.url}/ws?token=${bot.token}`);
const lobby = hub.join<Chat>('lobby');
lobby.on('presence', async ({ joined }) => {
  for (const user of joined) if (user !== bot.user) await lobby.send({ text: `welcome, ${user}` });
});

// Members who joined before the bot would get no greeting.
lobby.on('joined', ({ again }) => again || console.log(`listening on ${server.port}`));

process.on('SIGTERM', async () => {
  hub.close();
  await server.stop();
});
