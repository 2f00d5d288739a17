import './styles.css';
import { render } from 'preact';
import { App } from './app.js';
import { isolate } from './isolation.js';
import { start } from './state/engine.js';

render(<App />, document.getElementById('app')!);
// On a plain static server the page loads once more, isolated; then threads can share memory.
isolate().then((isReloading) => {
  if (!isReloading) void start();
});
