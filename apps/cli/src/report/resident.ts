/** Most memory that the process held so far. */
export function peakResidentBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
