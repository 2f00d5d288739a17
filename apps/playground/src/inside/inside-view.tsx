import { words } from '../text/index.js';
import { LoraExplorer } from './lora-explorer.js';
import { Nf4Explorer } from './nf4-explorer.js';
import { TokenExplorer } from './token-explorer.js';

export function InsideView() {
  const { inside } = words.value;
  return (
    <div class="stack">
      <section class="card" aria-label={inside.tokens}>
        <h2>{inside.tokens}</h2>
        <p class="muted">{inside.tokensHelp}</p>
        <TokenExplorer />
      </section>
      <section class="card" aria-label={inside.nf4}>
        <h2>{inside.nf4}</h2>
        <p class="muted">{inside.nf4Help}</p>
        <Nf4Explorer />
      </section>
      <section class="card" aria-label={inside.lora}>
        <h2>{inside.lora}</h2>
        <p class="muted">{inside.loraHelp}</p>
        <LoraExplorer />
      </section>
    </div>
  );
}
