// The place of webhooks: whether events get to others, and what did not.

import { useState } from 'preact/hooks';
import { usePoll } from '../poll';
import { ask, get } from '../rest';
import { Secret } from '../secret';
import { Sure } from '../sure';
import { when } from '../text';
import type { PlaceProps } from '../places';
import '../lists.css';

interface Webhook {
  name: string;
  url: string;
  events?: string[];
  rooms?: string[];
  configured: boolean;
  state: 'ok' | 'retrying' | 'down' | 'disabled';
  pending: number;
  behind: number;
  dead: number;
  sent: number;
  nextTry?: string;
  last?: { at: string; seq: number; status?: number; error?: string };
}

interface Letter {
  seq: number;
  diedAt: string;
  attempts: number;
  error: string;
}

const EVERY = 5000; // ms

export default function Deliveries({ failed, ok }: PlaceProps) {
  const [webhooks, again] = usePoll(async () => (await get<{ webhooks: Webhook[] }>('/v1/webhooks')).webhooks, EVERY, failed);
  const [adding, add] = useState(false);
  const [secret, setSecret] = useState<{ name: string; secret: string } | null>(null);
  const act = async <T,>(work: () => Promise<T>): Promise<T | null> => {
    try {
      const answer = await work();
      ok();
      again();
      return answer;
    } catch (e) {
      failed(e);
      return null;
    }
  };
  if (!webhooks) return <p class="hint">Looking…</p>;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const said = new FormData(event.currentTarget as HTMLFormElement);
    const words = (name: string) => String(said.get(name)).split(/[\s,]+/).filter((w) => w !== '');
    const name = String(said.get('name')).trim();
    if (webhooks.some((w) => w.name === name)) return failed(new Error(`There is a webhook ${name} already.`));
    const made = await act(async () => (await ask('PUT', `/v1/webhooks/${encodeURIComponent(name)}`, {
      url: said.get('url'), events: words('events'), rooms: words('rooms'),
    })).json());
    if (!made) return;
    add(false);
    if (made.secret) setSecret({ name, secret: made.secret });
  };
  return (
    <section aria-labelledby="deliveries-title">
      <div class="title">
        <h2 id="deliveries-title">Deliveries</h2>
        {adding ? null : <button type="button" id="new-webhook" onClick={() => add(true)}>New webhook</button>}
      </div>
      <p class="hint">Events are posted to these addresses, signed, until they are taken or 72 h old.</p>
      {secret ? <Secret what={`The secret of webhook ${secret.name}`} value={secret.secret} done={() => setSecret(null)} /> : null}
      {adding ? (
        <form class="card" aria-label="New webhook" onSubmit={submit}>
          <div class="line">
            <label>Name <input name="name" required pattern="[0-9a-z][0-9a-z\-]{0,31}" title="1 to 32 small letters, digits and -" /></label>
            <label>Address <input name="url" type="url" required placeholder="https://" /></label>
          </div>
          <div class="line">
            <label>Events <input name="events" placeholder="all, or capture.*, segment.sealed" /></label>
            <label>Rooms <input name="rooms" placeholder="all, or sales-*" /></label>
          </div>
          <div class="buttons"><button type="submit">Save</button><button type="button" onClick={() => add(false)}>Cancel</button></div>
        </form>
      ) : null}
      {webhooks.length === 0 ? <p class="hint">No webhooks.</p> : null}
      {webhooks.map((w) => <Card key={w.name} webhook={w} act={act} failed={failed} rotated={(s) => setSecret({ name: w.name, secret: s })} />)}
    </section>
  );
}

interface CardProps {
  webhook: Webhook;
  act: <T>(work: () => Promise<T>) => Promise<T | null>;
  failed: (e: unknown) => void;
  rotated: (secret: string) => void;
}

function Card({ webhook: w, act, failed, rotated }: CardProps) {
  const [dead, setDead] = useState<Letter[] | null>(null);
  const [tested, setTested] = useState('');
  const path = `/v1/webhooks/${encodeURIComponent(w.name)}`;
  const look = () => get<{ dead: Letter[] }>(`${path}/dead`).then((page) => setDead(page.dead), failed);
  const resend = (which: string) => act(() => ask('POST', `${path}/dead${which}/resend`)).then(look);
  const test = async () => {
    setTested('Posting…');
    const said = await act(async () => (await ask('POST', `${path}/test`)).json());
    setTested(said ? (said.delivered ? `Taken after ${said.ms} ms.` : `Not taken: ${said.error ?? said.status}`) : '');
  };
  return (
    <article class="card" data-webhook={w.name} aria-label={`Webhook ${w.name}`}>
      <div class="title">
        <h3>{w.name} <span class={`chip ${w.state === 'ok' ? 'well' : w.state === 'down' ? 'bad' : 'paused'}`}>{w.state}</span></h3>
        <span class="count">{w.sent} taken</span>
      </div>
      <p class="terms">{w.url}</p>
      <p class="hint">
        {[w.events?.length ? w.events.join(', ') : 'all events', w.rooms?.length ? `rooms ${w.rooms.join(', ')}` : 'all rooms',
          `${w.pending + w.behind} wait`, `${w.dead} dead`, w.configured ? 'configured' : ''].filter(Boolean).join(' · ')}
      </p>
      {w.last?.error ? <p class="notice warning">Event {w.last.seq} at {when(w.last.at)}: {w.last.error}{w.nextTry ? ` Next try ${when(w.nextTry)}.` : ''}</p> : null}
      <div class="buttons">
        <button type="button" class="test" onClick={test}>Test</button>
        <button type="button" class="dead" aria-expanded={dead !== null} disabled={w.dead === 0 && dead === null} onClick={() => (dead ? setDead(null) : look())}>Dead letters ({w.dead})</button>
        {w.configured ? null : (
          <>
            <Sure text="New secret" really="Really?" act={() => act(async () => (await ask('POST', `${path}/rotate`)).json()).then((a) => a?.secret && rotated(a.secret))} />
            <Sure text="Delete" really="Really delete?" act={() => act(() => ask('DELETE', path))} />
          </>
        )}
        <span class="tested" role="status">{tested}</span>
      </div>
      {dead ? (
        <>
          <ol class="list letters" aria-label={`Dead letters of ${w.name}`}>
            {dead.map((l) => (
              <li key={l.seq}>
                <span class="about">Event {l.seq}</span>
                <span class="note">{when(l.diedAt)} · {l.attempts} tries · {l.error}</span>
                <button type="button" onClick={() => resend(`/${l.seq}`)}>Send again</button>
              </li>
            ))}
          </ol>
          {dead.length === 0 ? <p class="hint">None.</p> : <button type="button" class="resend" onClick={() => resend('')}>Send all again</button>}
        </>
      ) : null}
    </article>
  );
}
