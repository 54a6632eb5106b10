import { render } from 'preact';
import { Chat } from './state/chat.ts';
import { registerWorker } from './state/worker.ts';
import { App } from './view/app.tsx';
import { watchScreen } from './view/screen.ts';

const chat = new Chat();
void chat.start();
watchScreen();
void registerWorker();
render(<App chat={chat} />, document.getElementById('app') as HTMLElement);
