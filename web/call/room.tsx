import { useEffect, useRef } from 'preact/hooks';
import type { Call } from './call';
import { Meter, MicrophoneChoice } from './microphone';
import type { Person } from './people';
import { forget } from './ticket';

const SPEAKING = 35; // sound level, 0 to 100
const GRADES = ['excellent', 'good', 'medium', 'bad', 'lost'];

/** The room: who is here, and what one can do. */
export function RoomView({ call }: { call: Call }) {
  const { room, people, muted, speaking } = call.state;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current!.focus(), []);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'm' || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if ((event.target as HTMLElement).closest('select, input, textarea')) return;
      call.mute(!call.state.muted);
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  const leave = () => {
    forget();
    call.leave('You left the room.');
  };
  return (
    <section id="call" class="card" aria-labelledby="call-title">
      <div class="title">
        <h2 id="call-title" tabIndex={-1} ref={title}>Room {room}</h2>
        <span id="count" class="count">{people.length === 1 ? 'only you' : `${people.length} people`}</span>
      </div>
      <ul id="people" aria-label="People in the room">
        {people.map((person) => <Row key={person.userID} person={person} />)}
      </ul>
      <div class="controls">
        <button id="mute" type="button" aria-pressed={muted} aria-keyshortcuts="m" title="Mute or unmute (M)" disabled={!speaking}
          onClick={() => call.mute(!muted)}>
          <MicrophoneIcon off={muted || !speaking} />{muted ? 'Muted' : 'Mute'}
        </button>
        <button id="leave" type="button" class="danger" onClick={leave}>Leave</button>
      </div>
      <label for="microphone">Microphone</label>
      <MicrophoneChoice call={call} />
    </section>
  );
}

function Row({ person }: { person: Person }) {
  const { name, self, level, muted, userID } = person;
  const speaks = level >= SPEAKING && !muted;
  return (
    <li class={speaks ? 'speaking' : ''} data-user-id={userID}>
      <span class={`initial tint-${tint(userID)}`} aria-hidden="true">{[...name][0]!.toUpperCase()}</span>
      <div class="person">
        <strong>{self ? `${name} (you)` : name}</strong>
        <span class="note">{note(person)}</span>
      </div>
      <Meter level={level} label={`Level of ${name}`} />
      <Bars person={person} />
    </li>
  );
}

function note({ streamIDs, muted, self }: Person): string {
  if (muted) return 'muted';
  if (streamIDs.size > 0) return self ? 'microphone on' : 'speaks';
  return self ? 'microphone off' : 'listens';
}

/** How well somebody is heard: four bars, fewer the worse it is. */
function Bars({ person: { grade, figures, name, self } }: { person: Person }) {
  if (grade === null) return <span class="bars" aria-hidden="true" />;
  const text = `Connection ${self ? 'of your sound' : `of ${name}`}: ${GRADES[grade]}. ${figures}`;
  return (
    <span class={`bars grade-${grade}`} role="img" aria-label={text} title={text}>
      {[1, 2, 3, 4].map((bar) => <i key={bar} class={bar <= 4 - grade ? 'on' : ''} />)}
    </span>
  );
}

function MicrophoneIcon({ off }: { off: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round">
      <rect x="9" y="3" width="6" height="11" rx="3" />
      <path d="M5 11a7 7 0 0 0 14 0M12 18v3" />
      {off ? <path d="M4 4l16 16" /> : null}
    </svg>
  );
}

/** One of six tints, the same for the same user. */
function tint(userID: string): number {
  let n = 0;
  for (const c of userID) n = (n * 31 + c.codePointAt(0)!) % 6;
  return n;
}
