import { useState } from 'preact/hooks';
import { body, put, type Seen } from './one';
import type { Rule } from './types';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const CAPTURE = { record: [{ what: 'mix' }, { what: 'streams' }] };

type Window = NonNullable<Rule['between']>[number];

interface Props {
  /** The rule as it was when editing began; missing for a new one. */
  seen?: Seen;
  /** Ids that a new one cannot have. */
  taken: string[];
  done: () => void;
  cancel: () => void;
  failed: (e: unknown) => void;
}

/** Everything a rule can say; its capture as the JSON that starts one. */
export function RuleForm({ seen, taken, done, cancel, failed }: Props) {
  const rule = seen?.rule;
  const [windows, setWindows] = useState<Window[]>(rule?.between ?? []);
  const [wrong, setWrong] = useState('');
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const said = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(said.get(name) ?? '').trim();
    const id = rule?.id ?? text('id');
    if (!rule && taken.includes(id)) return setWrong(`There is a rule ${id} already.`);
    let capture: Rule['capture'];
    try {
      capture = JSON.parse(text('capture'));
    } catch (e) {
      return setWrong(`The capture is not JSON: ${(e as Error).message}`);
    }
    const terms = {
      disabled: said.get('enabled') === null, priority: Number(text('priority') || 0), rooms: words(text('rooms')), users: words(text('users')),
      start: text('start') as 'stream' | 'user', between: windows, timezone: text('timezone') || 'UTC', capture,
    };
    const whole = rule ? body(rule, terms) : terms;
    try {
      await put(id, whole, seen?.tag ?? '');
      done();
    } catch (e) {
      setWrong((e as Error).message);
      if ((e as { status?: number }).status === 401) failed(e);
    }
  };
  const change = (i: number, w: Partial<Window>) => setWindows(windows.map((old, n) => (n === i ? { ...old, ...w } : old)));
  return (
    <form class="card rule-form" aria-label={rule ? `Edit rule ${rule.id}` : 'New rule'} onSubmit={submit}>
      <p class="notice error" role="alert" hidden={wrong === ''}>{wrong}</p>
      <div class="line">
        {rule ? <h3>{rule.id}</h3> : <label>Name <input name="id" required pattern="[0-9A-Za-z_\-]{1,32}" title="1 to 32 letters, digits, - and _" /></label>}
        <label>Priority <input name="priority" type="number" defaultValue={String(rule?.priority ?? 0)} /></label>
        <label class="check"><input name="enabled" type="checkbox" defaultChecked={!rule?.disabled} /> Enabled</label>
      </div>
      <label>Rooms <input name="rooms" required placeholder="sales-*, board" defaultValue={rule?.rooms.join(', ') ?? ''} aria-describedby="patterns-hint" /></label>
      <label>Users, one of whom must be there <input name="users" placeholder="anybody" defaultValue={rule?.users?.join(', ') ?? ''} /></label>
      <p id="patterns-hint" class="hint">Patterns: * is anything, ? one character; several with commas.</p>
      <div class="line">
        <label>Begins with the first
          <select name="start">
            <option value="stream">stream</option>
            <option value="user" selected={rule?.start === 'user'}>user</option>
          </select>
        </label>
        <label>Time zone <input name="timezone" defaultValue={rule?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone} /></label>
      </div>
      <fieldset>
        <legend>Times</legend>
        {windows.length === 0 ? <p class="hint">Always.</p> : null}
        {windows.map((w, i) => (
          <div class="line window" key={i}>
            <label>From <input type="time" required value={w.from} onInput={(e) => change(i, { from: e.currentTarget.value })} /></label>
            <label>To <input type="time" required value={w.to} onInput={(e) => change(i, { to: e.currentTarget.value })} /></label>
            <span class="days" role="group" aria-label="Days">
              {DAYS.map((d) => (
                <label key={d} class="check">
                  <input type="checkbox" checked={!w.days?.length || w.days.includes(d)} onInput={() => change(i, { days: toggled(w.days, d) })} /> {d}
                </label>
              ))}
            </span>
            <button type="button" onClick={() => setWindows(windows.filter((_, n) => n !== i))}>Remove</button>
          </div>
        ))}
        <button type="button" class="add-window" onClick={() => setWindows([...windows, { from: '08:00', to: '18:00' }])}>Add times</button>
      </fieldset>
      <label>What is captured
        <textarea name="capture" rows={8} spellcheck={false} defaultValue={JSON.stringify(rule ? rule.capture : CAPTURE, null, 2)} aria-describedby="capture-hint" />
      </label>
      <p id="capture-hint" class="hint">The body of a capture without its room, as <a href="/docs" target="_blank">the API</a> describes it. {'{roomID}'} in the streamID of a republished mix stands for the room.</p>
      <div class="buttons">
        <button type="submit" class="save">Save</button>
        <button type="button" onClick={cancel}>Cancel</button>
      </div>
    </form>
  );
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((w) => w !== '');
}

/** All days are none: every day. */
function toggled(days: string[] | undefined, day: string): string[] {
  const now = new Set(days?.length ? days : DAYS);
  if (!now.delete(day)) now.add(day);
  return now.size === DAYS.length ? [] : DAYS.filter((d) => now.has(d));
}
