// The place of API keys: who may do what.

import { useContext, useState } from 'preact/hooks';
import { usePoll } from '../poll';
import { ask, get } from '../rest';
import { Who } from '../rights';
import { Secret } from '../secret';
import { Sure } from '../sure';
import { when } from '../text';
import type { PlaceProps } from '../places';
import '../lists.css';

interface Key {
  id: string;
  name: string;
  roles: string[];
  rooms?: string[];
  createdAt: string;
  createdBy: string;
  expiresAt?: string;
}

const ROLES: [role: string, does: string][] = [
  ['operator', 'runs captures, rules and rooms; hears nothing'],
  ['reviewer', 'listens live and plays recordings'],
  ['exporter', 'takes the files of recordings away'],
  ['compliance', 'retention, holds, erasure; hears nothing'],
  ['auditor', 'sees what was done; hears nothing'],
  ['admin', 'everything, and makes keys'],
];

export default function Keys({ failed, ok }: PlaceProps) {
  const me = useContext(Who);
  const [keys, again] = usePoll(async () => (await get<{ keys: Key[] }>('/v1/api-keys')).keys, 0, failed);
  const [made, setMade] = useState<{ name: string; key: string } | null>(null);
  const [wrong, setWrong] = useState('');
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const said = new FormData(form);
    const roles = said.getAll('role');
    if (roles.length === 0) return setWrong('A key needs a role.');
    const expires = String(said.get('expires'));
    try {
      const answer = await (await ask('POST', '/v1/api-keys', {
        name: String(said.get('name')).trim(), roles, rooms: String(said.get('rooms')).split(/[\s,]+/).filter((w) => w !== ''),
        ...(expires ? { expiresAt: new Date(expires).toISOString() } : {}),
      })).json();
      setMade(answer);
      setWrong('');
      form.reset();
      again();
      ok();
    } catch (e) {
      setWrong((e as Error).message);
    }
  };
  const revoke = (id: string) => ask('DELETE', `/v1/api-keys/${encodeURIComponent(id)}`).then(() => {
    ok();
    again();
  }, failed);
  return (
    <>
      {made ? <Secret what={`The key for ${made.name}`} value={made.key} done={() => setMade(null)} /> : null}
      <section aria-labelledby="keys-title">
        <h2 id="keys-title">Keys</h2>
        <p class="hint">The daemon's own key is not among them: it is configured.</p>
        {keys === null ? <p class="hint">Looking…</p> : keys.length === 0 ? <p class="hint">No keys were made.</p> : null}
        <ul class="list" id="keys" aria-label="Keys">
          {(keys ?? []).map((k) => (
            <li key={k.id} data-key={k.id}>
              <div class="person"><strong>{k.name}</strong><span class="note">{k.id}{k.id === me.id ? ' · this session' : ''}</span></div>
              <div class="what">
                {k.roles.map((r) => <span key={r} class={`chip ${r === 'admin' ? 'bad' : ''}`}>{r}</span>)}
                <span class="note">{k.rooms?.length ? `rooms ${k.rooms.join(', ')}` : 'all rooms'} · made {when(k.createdAt)} by {k.createdBy}{k.expiresAt ? ` · until ${when(k.expiresAt)}` : ''}</span>
              </div>
              <Sure text="Revoke" really="Really revoke?" label={`Revoke ${k.name}`} act={() => revoke(k.id)} />
            </li>
          ))}
        </ul>
      </section>
      <form id="make-key" class="card" aria-labelledby="make-title" onSubmit={submit}>
        <h2 id="make-title">Make a key</h2>
        <p class="notice error" role="alert" hidden={wrong === ''}>{wrong}</p>
        <div class="line">
          <label>For <input name="name" required maxLength={100} placeholder="whom or what" /></label>
          <label>Rooms <input name="rooms" placeholder="all, or sales-*" /></label>
          <label>Until <input name="expires" type="datetime-local" /></label>
        </div>
        <fieldset>
          <legend>Roles</legend>
          {ROLES.map(([role, does]) => (
            <label key={role} class="check"><input type="checkbox" name="role" value={role} /> <strong>{role}</strong> <span class="note">{does}</span></label>
          ))}
        </fieldset>
        <div class="buttons"><button type="submit">Make</button></div>
      </form>
    </>
  );
}
