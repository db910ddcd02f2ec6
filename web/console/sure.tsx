import { useEffect, useState } from 'preact/hooks';

const PATIENCE = 4000; // ms in which the second click counts

interface Props {
  /** What it says first, and then. */
  text: string;
  really: string;
  label?: string;
  class?: string;
  disabled?: boolean;
  act: () => void;
}

/** A button for what cannot be taken back: it wants two clicks. */
export function Sure({ text, really, label, class: name = '', disabled = false, act }: Props) {
  const [asked, ask] = useState(false);
  useEffect(() => {
    if (!asked) return;
    const timer = setTimeout(() => ask(false), PATIENCE);
    return () => clearTimeout(timer);
  }, [asked]);
  return (
    <button type="button" class={`danger ${name}`} disabled={disabled} aria-label={label && !asked ? label : undefined} onClick={() => {
      ask(!asked);
      if (asked) act();
    }}>
      {asked ? really : text}
    </button>
  );
}
