import { useState } from 'preact/hooks';

/** What is shown once and never again. */
export function Secret({ what, value, done }: { what: string; value: string; done: () => void }) {
  const [copied, setCopied] = useState(false);
  return (
    <div class="card secret" role="status">
      <p><strong>{what}</strong>. It is shown this once.</p>
      <output tabIndex={0} aria-label={what}>{value}</output>
      <div class="buttons">
        <button type="button" onClick={() => navigator.clipboard.writeText(value).then(() => setCopied(true), () => {})}>{copied ? 'Copied' : 'Copy'}</button>
        <button type="button" class="seen" onClick={done}>I have it</button>
      </div>
    </div>
  );
}
