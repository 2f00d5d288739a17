const TRIED = 'isolation-tried';

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
    await navigator.serviceWorker.register(url);
    await navigator.serviceWorker.ready;
    location.reload();
    return true;
  } catch {
    return false;
  }
}
