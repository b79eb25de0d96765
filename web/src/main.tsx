// The web chat of `minimax serve`.
import { render } from 'preact';
import { start } from './chat/state';
import { App } from './components/App';
import { loadRich } from './text/Markdown';
import './theme/app.css';

render(<App />, document.getElementById('app')!);
void start();
// Soon needed, and not before the page is there.
setTimeout(() => void loadRich().catch(() => {}), 300);
