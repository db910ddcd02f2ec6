// The operator's console. Everything it does is a call of the REST API.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { open, placeOf } from './places';
import { ask, get, key, Refused } from './rest';
import { may, Who, type Me } from './rights';
import '../call/page.css';
import './page.css';

/** The end of the session before. */
let left: Promise<unknown> = Promise.resolve();

/** Begins a session, for what a browser fetches by itself, and finds out who the key is. */
async function begin(): Promise<Me> {
  await left; // or it would end the new session
  await ask('POST', '/v1/session');
  return get<Me>('/v1/me');
}

function App() {
  const [me, setMe] = useState<Me | null>(null);
  const [entering, setEntering] = useState(key.get() !== '');
  const [hash, setHash] = useState(location.hash);
  const [error, setError] = useState('');
  /** Shows what went wrong; a key that is no good ends the session. */
  const failed = (e: unknown) => {
    const refused = e instanceof Refused ? e.status : 0;
    const said = e instanceof Error ? e.message : String(e);
    setError(refused === 401 ? 'This key is not valid, or not any more. Enter another one.' : refused === 403 ? `Not allowed: ${said}` : said);
    if (refused !== 401) return;
    key.set('');
    setMe(null);
  };
  const enter = async () => {
    setEntering(true);
    try {
      setMe(await begin());
      setError('');
    } catch (e) {
      failed(e);
    }
    setEntering(false);
  };
  useEffect(() => {
    const moved = () => {
      setHash(location.hash);
      setError('');
    };
    addEventListener('hashchange', moved);
    if (key.get()) enter();
    return () => removeEventListener('hashchange', moved);
  }, []);
  const leave = () => {
    left = ask('DELETE', '/v1/session').catch(() => {});
    key.set('');
    setMe(null);
    setError('');
  };
  return (
    <>
      <p id="error" class="notice error" role="alert" hidden={error === ''}>{error}</p>
      {me ? <Inside me={me} hash={hash} failed={failed} ok={() => setError('')} leave={leave} /> : entering ? <p class="hint">Entering…</p> : <KeyForm enter={enter} />}
    </>
  );
}

function Inside({ me, hash, failed, ok, leave }: { me: Me; hash: string; failed: (e: unknown) => void; ok: () => void; leave: () => void }) {
  const { name, place, chosen } = placeOf(hash, me);
  return (
    <Who.Provider value={me}>
      <nav aria-label="Places">
        {open(me).map(([n, p]) => <a key={n} href={`#${n}`} aria-current={name === n ? 'page' : undefined}>{p.text}</a>)}
        {may(me, 'tokens.mint') ? <a href="/call">Call</a> : null}
        <span class="who">
          <span class="note" title={`Key ${me.id}, roles ${me.roles.join(', ')}`}>{me.name || me.id}{me.rooms.length > 0 ? `, rooms ${me.rooms.join(', ')}` : ''}</span>
          <button id="leave" type="button" onClick={leave}>Sign out</button>
        </span>
      </nav>
      {place ? <place.Page key={name} chosen={chosen} failed={failed} ok={ok} /> : <p class="notice warning">This key (roles {me.roles.join(', ')}) may do nothing that the console shows.</p>}
    </Who.Provider>
  );
}

function KeyForm({ enter }: { enter: () => void }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    key.set(new FormData(event.currentTarget as HTMLFormElement).get('key')?.toString().trim() ?? '');
    enter();
  };
  return (
    <form id="login" class="card narrow" onSubmit={submit}>
      <h2>Who are you?</h2>
      <label for="key">API key</label>
      <input id="key" name="key" type="password" required autocomplete="off" aria-describedby="key-hint" />
      <p id="key-hint" class="hint">The daemon keeps its own in <code>api-key</code> in its data folder. It stays in this tab.</p>
      <button class="primary" type="submit">Enter</button>
    </form>
  );
}

render(<App />, document.getElementById('app')!);
