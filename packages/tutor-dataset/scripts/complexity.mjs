// Checks every claim of a complexity line against data/complexity.json: a table of operations with
// the costs that each may have, and the operations that each chat speaks of.
import { readFileSync } from 'node:fs';

const table = JSON.parse(readFileSync(new URL('../data/complexity.json', import.meta.url), 'utf8'));

/** The O(…), Ω(…) and Θ(…) of a line, with whatever parentheses they hold inside. */
export function claimsOf(line) {
  return [...line.matchAll(/[OΩΘ]\(/g)].map(({ index }) => {
    let depth = 0;
    let end = index + 1;
    do {
      depth += { '(': 1, ')': -1 }[line[end]] ?? 0;
      end += 1;
    } while (depth > 0 && end < line.length);
    return line.slice(index, end);
  });
}

/** How many claims the chats make, and what is wrong with them. */
export function checkComplexity(chats) {
  const faults = [];
  let claimed = 0;
  const ids = new Set(chats.map(({ row }) => row.id));
  for (const id of Object.keys(table.chats)) if (!ids.has(id)) faults.push(`${id}: no such chat`);
  for (const { row } of chats) {
    const operations = table.chats[row.id] ?? [];
    const costs = operations.map((operation) => new Set(table.operations[operation]));
    const claims = row.messages
      .flatMap(({ content }) => content.split('\n'))
      .filter((line) => line.startsWith('⏱️ '))
      .flatMap(claimsOf);
    claimed += claims.length;
    for (const claim of claims) {
      if (!costs.some((allowed) => allowed.has(claim))) {
        faults.push(`${row.id}: ${claim} is no cost of "${operations.join('", "')}"`);
      }
    }
    operations.forEach((operation, index) => {
      if (!claims.some((claim) => costs[index].has(claim))) {
        faults.push(`${row.id}: claims no cost of "${operation}"`);
      }
    });
  }
  return { claimed, faults };
}
