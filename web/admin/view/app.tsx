import { refusal } from '../state/access.ts';
import type { Board } from '../state/board.ts';
import type { Feed } from '../state/feed.ts';
import { hashOf, type Route, route } from '../state/route.ts';
import { Header } from './header.tsx';
import { KeyForm } from './key-form.tsx';
import { SessionView } from './session.tsx';
import { UserView } from './user.tsx';
import { Work } from './work.tsx';

interface Server {
  readonly board: Board;
  readonly feed: Feed;
}

/** The page: the form for the key, or what the address names. */
export function App(server: Server) {
  if (refusal.value !== undefined) return <KeyForm />;
  return (
    <>
      <Header />
      <main>
        <View route={route.value} {...server} />
      </main>
    </>
  );
}

function View({ route, ...server }: Server & { route: Route }) {
  switch (route.kind) {
    case 'work':
      return <Work {...server} />;
    case 'session':
      return (
        <>
          <SessionView key={route.id} id={route.id} />
          <p class="otherwise">
            Or <a href={hashOf({ kind: 'user', name: route.id })}>look for a user of this name</a>, or go back to{' '}
            <a href={hashOf({ kind: 'work' })}>the Hub at work</a>.
          </p>
        </>
      );
    case 'user':
      return (
        <>
          <UserView key={route.name} name={route.name} />
          <p class="otherwise">
            Or <a href={hashOf({ kind: 'session', id: route.name })}>look for a session of this id</a>, or go back to{' '}
            <a href={hashOf({ kind: 'work' })}>the Hub at work</a>.
          </p>
        </>
      );
  }
}
