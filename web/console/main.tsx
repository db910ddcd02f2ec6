// The operator's console. Everything it does is a call of the REST API.

import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { lazily } from './lazily';
import { Live } from './live';
import { ask, key, Refused } from './rest';
import '../call/page.css';
import './page.css';

const Recordings = lazily(() => import('./recordings'));

const PLACES = { live: 'Live', recordings: 'Recordings' } as const;

/** #recordings/ID is a place, with what is chosen there. */
function place(): { name: keyof typeof PLACES; chosen: string } {
  const [name = '', chosen = ''] = location.hash.slice(1).split('/').map(decodeURIComponent);
  return { name: name === 'recordings' ? name : 'live', chosen };
}

function App() {
  const [inside, setInside] = useState(key.get() !== '');
  const [at, setAt] = useState(place());
  const [error, setError] = useState('');
  useEffect(() => {
    const moved = () => setAt(place());
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  /** Shows what went wrong; a key that is no good ends the session. */
  const failed = (e: unknown) => {
    setError(e instanceof Error ? e.message : String(e));
    if (!(e instanceof Refused) || e.status !== 401) return;
    key.set('');
    setInside(false);
  };
  const leave = () => {
    ask('DELETE', '/v1/session').catch(() => {}).then(() => key.set(''));
    setInside(false);
    setError('');
  };
  return (
    <>
      <p id="error" class="notice error" role="alert" hidden={error === ''}>{error}</p>
      {inside ? (
        <>
          <nav aria-label="Places">
            {Object.entries(PLACES).map(([name, text]) => (
              <a key={name} href={`#${name}`} aria-current={at.name === name ? 'page' : undefined}>{text}</a>
            ))}
            <a href="/call">Call</a>
            <button id="leave" type="button" onClick={leave}>Sign out</button>
          </nav>
          {at.name === 'live' ? <Live failed={failed} ok={() => setError('')} /> : <Recordings chosen={at.chosen} failed={failed} ok={() => setError('')} />}
        </>
      ) : <KeyForm failed={failed} entered={() => {
        setError('');
        setInside(true);
      }} />}
    </>
  );
}

function KeyForm({ failed, entered }: { failed: (e: unknown) => void; entered: () => void }) {
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    key.set(new FormData(event.currentTarget as HTMLFormElement).get('key')?.toString().trim() ?? '');
    try {
      await ask('POST', '/v1/session');
      entered();
    } catch (e) {
      failed(e);
    }
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
