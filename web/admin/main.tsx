import { render } from 'preact';
import { followAddress } from './state/route.ts';
import { App } from './view/app.tsx';

followAddress();
render(<App />, document.getElementById('app') as HTMLElement);
