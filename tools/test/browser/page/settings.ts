/** What the suite is told about the host before it runs: an engine's own fields. */
export const settings: { current: unknown } = { current: null };
