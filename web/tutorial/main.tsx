// A page that goes through the tutorial: each step as it is written, and every
// event as it comes. Two of them in one room talk to each other.

import { render } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { explain } from '../call/texts';
import { readTicket } from '../call/ticket';
import { steps, type Page } from './steps';
import source from './steps.ts?raw';
import '../call/page.css';
import './page.css';

/** Title and text of every step, out of the source that runs. */
const texts = [...source.matchAll(/^\/\/ ## (.*)\nexport .*\{\n([^]*?)\n\}$/gm)].map(([, title, body]) => ({
  title: title!,
  code: body!.replace(/^ {2}/gm, '').replace(/\)!/g, ')').replace(/: (unknown\[\]|ZegoWxEvent|\(keyof ZegoEvent\)\[\])/g, '').replace(/\((data\.\w+) as .*?\)/, '($1)'),
}));

interface Line {
  at: string;
  name: string;
  text: string;
}

function App() {
  const form = useRef<HTMLFormElement>(null);
  const page = useRef<Page>();
  const events = useRef<HTMLDivElement>(null);
  const [done, setDone] = useState(0);
  const [busy, setBusy] = useState(false);
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState('');

  const input = (name: string) => form.current!.elements.namedItem(name) as HTMLInputElement;
  useLayoutEffect(() => { // at once: the token must not stay in the address
    const ticket = readTicket();
    for (const name of ['room', 'user', 'token'] as const) input(name).value = ticket[name];
    input('appID').value = String(ticket.appID || '');
    input('stream').value = ticket.stream || (ticket.user ? `${ticket.user}-mic` : '');
  }, []);
  useEffect(() => events.current!.scrollTo(0, events.current!.scrollHeight), [lines]);

  const log = (name: string, ...args: unknown[]) => {
    const text = args.map((a) => (typeof a === 'string' ? a : JSON.stringify(a).replace(/,"/g, ', "'))).join(' · ');
    setLines((before) => [...before.slice(-199), { at: new Date().toLocaleTimeString('en-GB'), name, text }]);
  };
  const next = async () => {
    if (done === 0) page.current = newPage(input, log);
    setBusy(true);
    setError('');
    try {
      await steps[done]!(page.current!);
      setDone((done + 1) % steps.length);
    } catch (e) {
      setError(explain(e as { errorCode: number }));
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <p id="error" class="notice error" role="alert" hidden={error === ''}>{error}</p>
      <div class="columns">
        <section class="card" aria-labelledby="steps-title">
          <h2 id="steps-title">Steps</h2>
          <form ref={form} class="grid" onSubmit={(e) => e.preventDefault()}>
            <Input name="room" label="Room" disabled={done > 0} />
            <Input name="user" label="User" disabled={done > 0} />
            <Input name="stream" label="Stream" disabled={done > 0} />
            <Input name="appID" label="App id" disabled={done > 0} />
            <Input name="token" label="Token" disabled={done > 0} type="password" />
          </form>
          <ol id="steps">
            {texts.map(({ title, code }, i) => (
              <li key={title} class={i < done ? 'done' : i === done ? 'next' : ''} aria-current={i === done ? 'step' : undefined}>
                <span>{title}</span>
                {i === done ? <pre tabIndex={0} role="region" aria-label={`Code of: ${title}`}><code>{code}</code></pre> : null}
              </li>
            ))}
          </ol>
          <button id="next" class="primary" type="button" disabled={busy} onClick={next}>
            {busy ? 'Running…' : `Run step ${done + 1}`}
          </button>
        </section>
        <section class="card" aria-labelledby="log-title">
          <h2 id="log-title">Events</h2>
          {lines.length === 0 ? <p class="hint">What the engine tells appears here. Open this page twice, as two users of one room.</p> : null}
          <div id="log" ref={events} role="log" tabIndex={0} aria-labelledby="log-title">
            <ol>
              {lines.map((line, i) => (
                <li key={i} data-name={line.name}>
                  <time>{line.at}</time> <b>{line.name}</b> <span>{line.text}</span>
                </li>
              ))}
            </ol>
          </div>
        </section>
      </div>
    </>
  );
}

function Input({ name, label, disabled, type = 'text' }: { name: string; label: string; disabled: boolean; type?: string }) {
  return (
    <div>
      <label for={name}>{label}</label>
      <input id={name} name={name} type={type} disabled={disabled} autocomplete="off" spellcheck={false} />
    </div>
  );
}

function newPage(input: (name: string) => HTMLInputElement, log: Page['log']): Page {
  const value = (name: string) => input(name).value.trim();
  const data: Record<string, unknown> = {};
  return {
    appID: Number(value('appID')), server: `${location.origin.replace('http', 'ws')}/ws`,
    roomID: value('room'), token: value('token'), userID: value('user'), userName: value('user'), streamID: value('stream'),
    data, log, setData: (change) => {
      Object.assign(data, change);
      log('setData', change);
    },
  };
}

render(<App />, document.getElementById('app')!);
