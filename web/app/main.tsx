import { render } from 'preact';
import { Chat } from './state/chat.ts';
import { registerWorker } from './state/worker.ts';
import { App } from './view/app.tsx';
import { retryFailedStyles } from './view/failed-styles.ts';
import { watchScreen } from './view/screen.ts';

const chat = new Chat();
void chat.start();
watchScreen();
retryFailedStyles();
void registerWorker();
render(<App chat={chat} />, document.getElementById('app') as HTMLElement);
