import { duration } from './text';

/** Classes of a ledger in the order of the bar, with what they look like. */
const CLASSES: [name: string, look: string][] = [
  ['received', 'good'], ['dtx', 'quiet'], ['muted', 'quiet'], ['recoveredRetransmission', 'mended'], ['recoveredFEC', 'mended'],
  ['recoveredRED', 'mended'], ['concealed', 'bad'], ['lost', 'bad'], ['stalled', 'bad'], ['recorderDown', 'bad'],
];

/** What became of a stream's time. */
export function LedgerBar({ ledger, name }: { ledger: Record<string, number>; name: string }) {
  const known = CLASSES.filter(([c]) => (ledger[c] ?? 0) > 0);
  const others = Object.keys(ledger).filter((c) => c !== 'span' && (ledger[c] ?? 0) > 0 && !CLASSES.some(([k]) => k === c));
  const parts: [string, string][] = [...known, ...others.map((c): [string, string] => [c, 'quiet'])];
  const span = ledger.span || 1;
  const text = parts.map(([c]) => `${c} ${duration(ledger[c]!)}`).join(', ');
  return (
    <span class="ledger" role="img" aria-label={`Ledger of ${name}: ${text}`} title={text}>
      {parts.map(([c, look]) => <i key={c} class={look} style={{ width: `${(100 * ledger[c]!) / span}%` }} />)}
    </span>
  );
}
