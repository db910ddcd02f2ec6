// The call page: one room, one microphone, everybody else's sound.

import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Call } from './call';
import { JoinForm } from './join';
import { RoomView } from './room';
import './page.css';

function App() {
  const [, show] = useState({});
  const ref = useRef<Call>();
  const call = (ref.current ??= new Call(() => show({})));
  const { phase, error, recording, reconnecting, tokenExpires, status } = call.state;
  const inside = phase === 'in';

  useEffect(() => {
    document.title = inside ? `${call.state.room} – Mixdown call` : 'Mixdown call';
  }, [inside]);

  return (
    <>
      <Notice id="error" kind="error" role="alert" text={error} />
      <Notice id="recording" kind={recording === 'paused' ? 'recording paused' : 'recording'}
        text={recording === 'paused' ? 'The recording of this room is paused.' : recording === 'yes' ? 'This room is being recorded.' : ''} />
      <Notice id="connection" kind="warning"
        text={reconnecting ? 'The connection was lost. Connecting again…'
          : tokenExpires ? 'Your token expires in a moment. The call goes on; joining again needs a new one.' : ''} />
      {inside ? <RoomView call={call} /> : <JoinForm call={call} />}
      <p id="status" class="visually-hidden" role="status">{status}</p>
    </>
  );
}

/** It stays in the page when it is empty: screen readers tell changes of what is there. */
function Notice({ id, kind, text, role = 'status' }: { id: string; kind: string; text: string; role?: 'status' | 'alert' }) {
  return <p id={id} class={`notice ${kind}`} role={role} hidden={text === ''}>{text}</p>;
}

render(<App />, document.getElementById('app')!);
