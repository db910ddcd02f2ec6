/**
 * Calls work once in the next frame, however often it is asked for. A page
 * that nobody sees has no frames: its work waits until it is seen.
 */
export function perFrame(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
