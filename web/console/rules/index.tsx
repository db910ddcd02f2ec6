// The place of rules: what is recorded by itself, and why a room is or is not.

import { useState } from 'preact/hooks';
import { usePoll } from '../poll';
import { get } from '../rest';
import { useRights } from '../rights';
import { Sure } from '../sure';
import { when } from '../text';
import type { PlaceProps } from '../places';
import { Explain } from './explain';
import { RuleForm } from './form';
import { body, look, put, remove, type Seen } from './one';
import type { Rule } from './types';
import '../lists.css';

export default function Rules({ chosen, failed, ok }: PlaceProps) {
  const may = useRights();
  const [rules, again] = usePoll(async () => (await get<{ rules: Rule[] }>('/v1/rules')).rules, 0, failed);
  const [editing, edit] = useState<Seen | 'new' | null>(null);
  if (!rules) return <p class="hint">Looking…</p>;
  const done = () => {
    edit(null);
    ok();
    again();
  };
  const leave = () => {
    edit(null);
    again(); // somebody may have changed the rule meanwhile
  };
  const act = (work: () => Promise<unknown>) => work().then(done, failed);
  const flip = async (r: Rule) => {
    const now = await look(r.id);
    await put(r.id, body(now.rule, { disabled: !r.disabled }), now.tag);
  };
  return (
    <>
      <Explain key={chosen} room={chosen} failed={failed} ok={ok} />
      <section aria-labelledby="rules-title">
        <div class="title">
          <h2 id="rules-title">Rules</h2>
          {may('rules.set') && editing !== 'new' ? <button id="new-rule" type="button" onClick={() => edit('new')}>New rule</button> : null}
        </div>
        <p class="hint">They are asked in this order; the first that matches a room records it.</p>
        {editing === 'new' ? <RuleForm taken={rules.map((r) => r.id)} done={done} cancel={leave} failed={failed} /> : null}
        {rules.length === 0 && editing !== 'new' ? <p class="hint">No rules: nothing is recorded by itself.</p> : null}
        {rules.map((r) => (editing && editing !== 'new' && editing.rule.id === r.id
          ? <RuleForm key={r.id} seen={editing} taken={[]} done={done} cancel={leave} failed={failed} />
          : (
            <article key={r.id} class="card rule" data-rule={r.id} aria-label={`Rule ${r.id}`}>
              <div class="title">
                <h3>{r.id} {r.disabled ? <span class="chip">disabled</span> : null}</h3>
                <span class="count">priority {r.priority ?? 0}</span>
              </div>
              <p class="terms">{terms(r)}</p>
              <p class="hint">Version {r.version}, {when(r.changedAt)}, by {r.changedBy}</p>
              {may('rules.set') ? (
                <div class="buttons">
                  <button type="button" class="edit" onClick={() => look(r.id).then(edit, failed)}>Edit</button>
                  <button type="button" class="switch" onClick={() => act(() => flip(r))}>{r.disabled ? 'Enable' : 'Disable'}</button>
                  <Sure text="Delete" really="Really delete?" act={() => act(() => remove(r.id))} />
                </div>
              ) : null}
            </article>
          )))}
      </section>
    </>
  );
}

function terms(r: Rule): string {
  const rooms = `rooms ${r.rooms.join(', ')}${r.system && r.system !== 'mixdown' ? ` of ${r.system}` : ''}`;
  const users = r.users?.length ? ` in which one of ${r.users.join(', ')} is` : '';
  const times = r.between?.length ? `, ${r.between.map((w) => `${w.days?.length ? `${w.days.join(' ')} ` : ''}${w.from} to ${w.to}`).join(', ')} (${r.timezone ?? 'UTC'})` : '';
  const what = (r.capture.record ?? []).map((o) => `${o.what} as ${o.format ?? 'ogg'}${o.storage && o.storage !== 'local' ? ` to ${o.storage}` : ''}`);
  const mixes = (r.capture.republish ?? []).map((p) => `a live mix as ${p.streamID}`);
  return `Records ${[...what, ...mixes].join(', ') || 'nothing'} of ${rooms}${users}, from the first ${r.start ?? 'stream'} on${times}.`;
}
