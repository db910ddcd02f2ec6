import type { Call } from './capture';
import type { Capture } from './types';

/** A pause with all that can be said of it. */
export function PauseForm({ capture: c, call }: { capture: Capture; call: Call }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const said = new FormData(form);
    const [kind = '', ...id] = String(said.get('scope')).split(' ');
    call('POST', '/pause', {
      mode: said.get('mode'), reason: said.get('reason'), maxSeconds: 60 * Number(said.get('minutes') || 0),
      ...(kind ? { [kind]: id.join(' ') } : {}),
    });
    form.closest('details')!.open = false;
  };
  return (
    <details class="otherwise">
      <summary>Pause otherwise</summary>
      <form class="line" onSubmit={submit}>
        <label>What
          <select name="scope">
            <option value="">Everything</option>
            {c.streams.filter((s) => s.present).map((s) => <option key={s.streamID} value={`streamID ${s.streamID}`}>{s.user.userName || s.user.userID} ({s.streamID})</option>)}
            {c.outputs.filter((o) => o.what !== 'streams').map((o) => <option key={o.id} value={`output ${o.id}`}>Output {o.id}</option>)}
            <option value="output listeners">Listeners</option>
          </select>
        </label>
        <label>How
          <select name="mode">
            <option value="silence">Silence: time goes on</option>
            <option value="skip">Skip: no time passes</option>
            <option value="tone">A tone now and then</option>
          </select>
        </label>
        <label>For minutes <input name="minutes" type="number" min="0" max="1440" placeholder="until resumed" /></label>
        <label>Reason <input name="reason" maxLength={200} /></label>
        <button type="submit">Pause</button>
      </form>
    </details>
  );
}
