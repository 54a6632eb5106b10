import { render } from 'preact';
import { Board } from './state/board.ts';
import { Feed } from './state/feed.ts';
import { followAddress } from './state/route.ts';
import { App } from './view/app.tsx';
import { followScreen } from './view/theme.ts';

const board = new Board();
const feed = new Feed(board);
followAddress();
followScreen();
feed.start();
render(<App board={board} feed={feed} />, document.getElementById('app') as HTMLElement);
