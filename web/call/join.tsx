import type { ComponentChildren, JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Call, Ticket } from './call';
import { MicrophoneTest } from './microphone';
import { readTicket, remember, tokenCommand } from './ticket';

type Field = 'room' | 'user' | 'token';

const MISSING: Record<Field, string> = {
  room: 'Which room?', user: 'What is your name?', token: 'A token is needed to join; the form says how to get one.',
};

/** Which field an error of the login is about. */
const FIELD_OF: Record<number, Field> = {
  1002011: 'room', 1002012: 'room', 1002013: 'room', 1002005: 'user', 1002006: 'user', 1002007: 'user',
  1001004: 'token', 1002033: 'token', 1102016: 'token', 1102018: 'token', 1102020: 'token',
};

/** The way into a room. Its inputs keep their own values; a link fills them. */
export function JoinForm({ call }: { call: Call }) {
  const form = useRef<HTMLFormElement>(null);
  const ticket = useRef<Ticket>();
  const [blamed, blame] = useState<Field | null>(null);
  const [command, setCommand] = useState<string[]>([]);
  const joining = call.state.phase === 'joining';

  const input = (name: Field) => form.current!.elements.namedItem(name) as HTMLInputElement;
  const show = () => setCommand(tokenCommand(input('room').value, input('user').value));
  const fill = () => {
    const t = (ticket.current = readTicket());
    for (const name of ['room', 'user', 'token'] as const) if (t[name]) input(name).value = t[name];
    show();
  };
  useLayoutEffect(() => { // at once: the token must not stay in the address
    fill();
    addEventListener('hashchange', fill);
    if (call.state.status) (form.current!.elements.namedItem('join') as HTMLElement).focus(); // back from a call
    return () => removeEventListener('hashchange', fill);
  }, []);

  const accuse = (name: Field) => {
    blame(name);
    input(name).focus();
  };
  const submit = async (event: JSX.TargetedEvent) => {
    event.preventDefault();
    if (joining) return;
    blame(null);
    const values = { room: input('room').value.trim(), user: input('user').value.trim(), token: input('token').value.trim() };
    const missing = (['room', 'user', 'token'] as const).find((name) => !values[name]);
    if (missing) {
      accuse(missing);
      call.say(MISSING[missing]);
      return;
    }
    const full = { ...ticket.current!, ...values };
    const code = await call.join(full);
    if (code === 0) remember(full);
    else if (FIELD_OF[code]) accuse(FIELD_OF[code]);
    else (form.current?.elements.namedItem('join') as HTMLElement | undefined)?.focus();
  };

  const field = (name: Field) => ({
    id: name, name, required: true, spellcheck: false, autocapitalize: 'off' as const, 'aria-invalid': blamed === name, onInput: () => {
      if (blamed === name) blame(null);
      show();
    },
  });
  return (
    <form id="login" class="card" noValidate ref={form} onSubmit={submit}>
      <h2>Join a room</h2>
      <Labelled name="room" label="Room"><input {...field('room')} maxLength={128} /></Labelled>
      <Labelled name="user" label="Your name" hint={<>The user the token was made for. Letters, digits and <code>- _ .</code>, no spaces.</>}>
        <input {...field('user')} maxLength={64} autocomplete="username" aria-describedby="user-hint" />
      </Labelled>
      <Labelled name="token" label="Token" hint="Whoever runs this service makes one with">
        <input {...field('token')} type="password" autocomplete="off" aria-describedby="token-hint" />
      </Labelled>
      <pre class="hint" tabIndex={0} role="region" aria-label="Command that makes a token">
        <code id="command">{command.map((part, i) => <>{i > 0 ? ' ' : ''}<span>{part}</span></>)}</code>
      </pre>
      <MicrophoneTest call={call} />
      <button id="join" name="join" class="primary" type="submit" disabled={joining}>{joining ? 'Joining…' : 'Join'}</button>
    </form>
  );
}

function Labelled({ name, label, hint, children }: { name: string; label: string; hint?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <label for={name}>{label}</label>
      {children}
      {hint ? <p id={`${name}-hint`} class="hint">{hint}</p> : null}
    </>
  );
}
