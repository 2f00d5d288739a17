const TRIED = 'isolation-tried';
/** Milliseconds that a service worker may take to start. */
const PATIENCE = 4000;

/**
 * Makes the page cross-origin isolated where its server does not say so: a service worker adds the two
 * headers, and the page loads once more.
 * @returns whether the page is about to load again
 */
export async function isolate(): Promise<boolean> {
  if (crossOriginIsolated || !('serviceWorker' in navigator)) return false;
  try {
    // Once a visit: where it does not help, the page runs on one thread.
    if (sessionStorage.getItem(TRIED) !== null) return false;
    sessionStorage.setItem(TRIED, '');
    const url = new URL('isolation-worker.js', document.baseURI);
    const isReady = navigator.serviceWorker
      .register(url)
      .then(() => navigator.serviceWorker.ready)
      .then(() => true);
    // Where service workers are blocked, nothing ever is ready.
    const isLate = new Promise<false>((resolve) => setTimeout(resolve, PATIENCE, false));
    if (!(await Promise.race([isReady, isLate]))) return false;
    location.reload();
    return true;
  } catch {
    return false;
  }
}
