import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../rest';
import { useRights } from '../rights';
import { when } from '../text';
import type { Decision } from './types';

interface Props {
  /** The room that is asked about at once; '' is none. */
  room: string;
  failed: (e: unknown) => void;
  ok: () => void;
}

/** Why a room is, or was, recorded or not. */
export function Explain({ room, failed, ok }: Props) {
  const may = useRights();
  const [decision, setDecision] = useState<Decision | null>(null);
  const [captures, setCaptures] = useState<string[]>([]); // that run there
  const newest = useRef(0); // what was asked last: only its answer counts
  const explain = async (about: string, at: string) => {
    const asked = ++newest.current;
    try {
      const query = new URLSearchParams({ room: about, ...(at ? { at: new Date(at).toISOString() } : {}) });
      const made = await get<Decision>(`/v1/rules/explain?${query}`);
      const run = may('captures.see') && !at ? await running(about) : [];
      if (asked !== newest.current) return;
      setCaptures(run);
      setDecision(made);
      ok();
    } catch (e) {
      if (asked !== newest.current) return;
      setDecision(null);
      failed(e);
    }
  };
  useEffect(() => {
    if (room) explain(room, '');
  }, []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const said = new FormData(event.currentTarget as HTMLFormElement);
    explain(String(said.get('room')).trim(), String(said.get('at')));
  };
  return (
    <section class="card" aria-labelledby="explain-title">
      <h2 id="explain-title">Why was this room (not) recorded?</h2>
      <form id="explain" class="line" onSubmit={submit}>
        <label>Room <input name="room" required maxLength={128} defaultValue={room} /></label>
        <label>At <input name="at" type="datetime-local" step="1" aria-describedby="at-hint" /></label>
        <button type="submit">Explain</button>
      </form>
      <p id="at-hint" class="hint">Without a time: now.{may('audit.see') ? <> <a href="/v1/completeness/page" target="_blank">What was said and recorded in the last day</a></> : null}</p>
      {decision ? (
        <div id="decision" role="status">
          <p><strong>{sentence(decision)}</strong>{others(decision, captures)}</p>
          <p class="hint">
            {when(decision.at)}{decision.open ? ` · here: ${[...decision.users, ...decision.streams].join(', ')}` : ' · nobody is in the room'}
          </p>
          {decision.verdicts.length > 0 ? (
            <ol class="verdicts">
              {decision.verdicts.map((v) => (
                <li key={v.rule}><span class={`chip ${v.result === 'recorded' || v.result === 'starting' ? 'well' : v.result === 'refused' ? 'paused' : ''}`}>{v.result.replaceAll('_', ' ')}</span> <strong>{v.rule}</strong> {v.because}</li>
              ))}
            </ol>
          ) : <p>There are no rules.</p>}
        </div>
      ) : null}
    </section>
  );
}

async function running(room: string): Promise<string[]> {
  return (await get<{ captures: { id: string }[] }>(`/v1/captures?running=true&room=${encodeURIComponent(room)}`)).captures.map((c) => c.id);
}

function others(d: Decision, captures: string[]): string {
  const byHand = captures.filter((id) => id !== d.capture);
  return byHand.length > 0 ? ` Started by somebody: capture ${byHand.join(', ')}.` : '';
}

function sentence(d: Decision): string {
  const by = d.verdicts.find((v) => v.result === 'recorded' || v.result === 'starting');
  if (by) return `${d.roomID} is recorded by rule ${by.rule}${d.capture ? `: capture ${d.capture}` : ''}.`;
  const refused = d.verdicts.find((v) => v.result === 'refused');
  if (refused) return `${d.roomID} should be recorded by rule ${refused.rule}, but the start failed; it is tried again.`;
  return `${d.roomID} is recorded by no rule.`;
}
