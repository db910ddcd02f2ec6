import { Meter } from '../../call/microphone';
import { useRights } from '../rights';
import { percent, type Room } from './types';

const MOST = 12; // streams that are shown

/** A room that nobody records. */
export function RoomCard({ room, record }: { room: Room; record: () => void }) {
  const may = useRights();
  return (
    <article class="card" data-room={room.roomID} aria-label={`Room ${room.roomID}`}>
      <div class="title">
        <h3>{room.roomID}</h3>
        <span class="count">{room.onlineUsers} here</span>
      </div>
      <ul class="streams plain" aria-label={`Streams of ${room.roomID}`}>
        {room.streams.slice(0, MOST).map((s) => (
          <li key={s.streamID}>
            <div class="person"><strong>{s.userName || s.userID}</strong><span class="note">{s.streamID}</span></div>
            <Meter level={percent(s.level)} label={`Level of ${s.userName || s.userID}`} />
          </li>
        ))}
      </ul>
      {room.streams.length > MOST ? <p class="hint">and {room.streams.length - MOST} more streams</p> : null}
      <div class="buttons">
        {may('captures.run') ? <button type="button" class="record" onClick={record}>Record</button> : null}
        {may('rules.see') ? <a href={`#rules/${encodeURIComponent(room.roomID)}`}>Why is it not recorded?</a> : null}
      </div>
    </article>
  );
}
