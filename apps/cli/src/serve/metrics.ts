/** Upper ends, in seconds, of the histogram of waiting times. */
const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Counts for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */
export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #firstToken = { counts: BUCKETS.map(() => 0), count: 0, sum: 0 };
  #promptTokens = 0;
  #generatedTokens = 0;
  #cancelled = 0;

  request(route: string, status: number): void {
    const labels = `route="${route}",status="${status}"`;
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1);
  }

  prompt(tokens: number): void {
    this.#promptTokens += tokens;
  }

  generated(tokens: number): void {
    this.#generatedTokens += tokens;
  }

  /** A client left before its answer was whole. */
  cancelled(): void {
    this.#cancelled++;
  }

  firstToken(seconds: number): void {
    const { counts } = this.#firstToken;
    BUCKETS.forEach((end, i) => {
      if (seconds <= end) counts[i]++;
    });
    this.#firstToken.count++;
    this.#firstToken.sum += seconds;
  }

  /** @param gauges values of this moment */
  text(gauges: Readonly<Record<string, readonly [value: number, help: string]>>): string {
    const lines: string[] = [];
    const head = (name: string, type: string, help: string) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    head('qlora_requests_total', 'counter', 'HTTP requests by route and status.');
    for (const [labels, count] of this.#requests)
      lines.push(`qlora_requests_total{${labels}} ${count}`);
    const counters = [
      ['qlora_prompt_tokens_total', this.#promptTokens, 'Tokens of prompts.'],
      ['qlora_generated_tokens_total', this.#generatedTokens, 'Tokens of answers.'],
      ['qlora_cancelled_total', this.#cancelled, 'Answers whose client left.'],
    ] as const;
    for (const [name, value, help] of counters) {
      head(name, 'counter', help);
      lines.push(`${name} ${value}`);
    }
    const { counts, count, sum } = this.#firstToken;
    const name = 'qlora_first_token_seconds';
    head(name, 'histogram', 'From the request to its first token.');
    BUCKETS.forEach((end, i) => {
      lines.push(`${name}_bucket{le="${end}"} ${counts[i]}`);
    });
    lines.push(
      `${name}_bucket{le="+Inf"} ${count}`,
      `${name}_sum ${sum}`,
      `${name}_count ${count}`,
    );
    for (const [gauge, [value, help]] of Object.entries(gauges)) {
      head(gauge, 'gauge', help);
      lines.push(`${gauge} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
