// The call page: one room, one microphone, everybody else's sound.
// Room, name and token may come in the fragment (#room=…&user=…&token=…&appID=…),
// which browsers send to nobody. Further keys: stream (the stream ID to use) and
// microphone=raw (no echo cancellation, noise suppression and gain control).

import { explain } from './texts.js';
import { People } from './people.js';

const $ = (id) => document.getElementById(id);
const fields = { room: $('room'), user: $('user'), token: $('token') };
const people = new People($('people'));

let appID = 0;
let wishedStream = '';
let rawMicrophone = false;
let engine = null;
let roomID = '';
let streamID = '';
let muted = false;

readFragment();
recall();
showCommand();
for (const field of Object.values(fields)) {
  field.addEventListener('input', () => {
    field.removeAttribute('aria-invalid');
    showCommand();
  });
}
addEventListener('hashchange', () => {
  readFragment();
  showCommand();
});
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  join();
});
$('mute').addEventListener('click', () => mute(!muted));
$('leave').addEventListener('click', () => {
  sessionStorage.removeItem('login');
  leave('You left the room.');
});

function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, field] of Object.entries(fields)) if (given.has(name)) field.value = given.get(name);
  appID = Number(given.get('appID')) || appID;
  wishedStream = given.get('stream') || wishedStream;
  rawMicrophone = given.get('microphone') === 'raw' || rawMicrophone;
  if (!given.has('token')) return;
  // The token stays out of the address bar, where others see it and the history keeps it.
  given.delete('token');
  history.replaceState(null, '', `${location.pathname}${location.search}#${given}`);
}

/** A page that is loaded again in its tab finds its token. */
function remember({ room, user, token }) {
  sessionStorage.setItem('login', JSON.stringify({ room, user, token, appID }));
}

function recall() {
  const last = JSON.parse(sessionStorage.getItem('login') || 'null');
  if (!last || fields.token.value) return;
  if ((fields.room.value || last.room) !== last.room || (fields.user.value || last.user) !== last.user) return;
  for (const [name, field] of Object.entries(fields)) field.value = last[name];
  appID = appID || last.appID;
}

/** The command that makes the token, with what is known of it. */
function showCommand() {
  const quote = (s) => (/^[\w.@-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`);
  const room = quote(fields.room.value.trim() || 'ROOM');
  const user = quote(fields.user.value.trim() || 'NAME');
  // Each part stays on one line.
  const parts = ['mixdown token', `--room ${room}`, `--user ${user}`, '--publish'].map((text) => {
    const span = document.createElement('span');
    span.textContent = text;
    return span;
  });
  $('command').replaceChildren(...parts.flatMap((span, i) => (i > 0 ? [' ', span] : [span])));
}

async function join() {
  const values = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value.trim()]));
  show('error', '');
  for (const [name, field] of Object.entries(fields)) {
    field.removeAttribute('aria-invalid');
    if (values[name]) continue;
    blame(name);
    show('error', { room: 'Which room?', user: 'What is your name?', token: 'A token is needed to join; the form says how to get one.' }[name]);
    return;
  }
  $('join').disabled = true;
  $('join').textContent = 'Joining…';
  roomID = values.room;
  const zg = new ZegoExpressEngine(appID, location.origin);
  engine = zg;
  listen(zg, { userID: values.user, userName: values.user });
  try {
    await zg.loginRoom(roomID, values.token, { userID: values.user, userName: values.user }, { userUpdate: true });
  } catch (error) {
    zg.destroyEngine();
    if (engine === zg) engine = null;
    if ($('error').hidden) show('error', explain(error));
    const field = FIELD_OF[error.errorCode];
    if (field) blame(field);
    else $('join').focus();
    return;
  } finally {
    $('join').disabled = false;
    $('join').textContent = 'Join';
  }
  if (engine !== zg) return;
  remember(values);
  enter(zg, values.user);
}

/** Which field an error of the login is about. */
const FIELD_OF = {
  1002011: 'room', 1002012: 'room', 1002013: 'room', 1002005: 'user', 1002006: 'user', 1002007: 'user',
  1001004: 'token', 1002033: 'token', 1102016: 'token', 1102018: 'token', 1102020: 'token',
};

function blame(name) {
  fields[name].setAttribute('aria-invalid', 'true');
  fields[name].focus();
}

async function enter(zg, user) {
  $('room-name').textContent = roomID;
  $('login').hidden = true;
  $('call').hidden = false;
  $('call-title').focus();
  tell(`You are in room ${roomID}.`);
  setMuted(false);
  zg.setSoundLevelDelegate(true, 150);
  const unique = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  streamID = wishedStream || `${user.replace(/[^0-9A-Za-z_-]/g, '_')}-${unique}`;
  people.addStream({ streamID, user: { userID: user, userName: user }, extraInfo: '' }, true);
  const raw = rawMicrophone ? { enableAec: false, enableAns: false, enableAgc: false } : {};
  zg.initContext();
  const pusher = zg.createPusher({ enableCamera: false, ...raw });
  // What goes wrong comes as publisherStateUpdate, with the same code.
  pusher.start(streamID).catch(() => {});
}

function listen(zg, self) {
  zg.on('roomStateUpdate', (room, state, errorCode, extendedData) => {
    if (state === 'CONNECTED') {
      show('connection', '');
      people.add(self, true);
      count();
    } else if (state === 'CONNECTING' && errorCode) {
      show('connection', 'The connection was lost. Connecting again…');
    } else if (state === 'DISCONNECTED' && errorCode) {
      leave('');
      show('error', explain({ errorCode, extendedData }));
    }
  });
  zg.on('roomUserUpdate', (room, updateType, userList) => {
    for (const user of userList) {
      if (updateType === 'ADD') people.add(user);
      else people.remove(user.userID);
    }
    const names = userList.map((u) => u.userName || u.userID).join(', ');
    tell(updateType === 'ADD' ? `${names} is here.` : `${names} left.`);
    count();
  });
  zg.on('roomStreamUpdate', (room, updateType, streamList) => {
    for (const stream of streamList) {
      if (isMix(stream)) continue;
      const player = zg.getPlayerInstance(stream.streamID);
      if (updateType === 'ADD') {
        people.addStream(stream);
        player.play().catch((error) => show('error', explain(error)));
      } else {
        people.removeStream(stream.streamID);
        player.stop();
      }
    }
    count();
  });
  zg.on('streamExtraInfoUpdate', (room, streamList) => {
    for (const stream of streamList) people.setInfo(stream.streamID, stream.extraInfo);
  });
  zg.on('roomExtraInfoUpdate', (room, list) => {
    for (const { key, value } of list) if (key === 'recording') showRecording(value);
  });
  zg.on('publisherStateUpdate', ({ state, errorCode, extendedData }) => {
    if (state !== 'NO_PUBLISH' || !errorCode) return;
    people.removeStream(streamID);
    $('mute').disabled = true;
    show('error', `${explain({ errorCode, extendedData })} You can still listen.`);
  });
  zg.on('soundLevelUpdate', (levels) => people.levels(levels));
  zg.on('publishQualityUpdate', (stream, stats) => {
    show('quality', `Sending ${Math.round(stats.audio.audioBitrate)} kbit/s · ${Math.round(stats.roundTripTime)} ms · ${stats.packetsLostRate} % lost`);
  });
  zg.on('tokenWillExpire', () => {
    show('connection', 'Your token expires in a moment. The call goes on; joining again needs a new one.');
  });
}

/** The mix of a capture is nobody who is here, and played to those who are in it
    they would hear themselves, late. */
function isMix({ extraInfo }) {
  try {
    return JSON.parse(extraInfo || 'null')?.mixdown === 'mix';
  } catch {
    return false; // another program's own text
  }
}

function showRecording(value) {
  const paused = value === 'paused';
  $('recording').classList.toggle('paused', paused);
  show('recording', paused ? 'The recording of this room is paused.' : value === true ? 'This room is being recorded.' : '');
}

function mute(on) {
  setMuted(on);
  engine.mutePublishStreamAudio(streamID, on);
  engine.setStreamExtraInfo(streamID, JSON.stringify({ muted: on })).catch(() => {});
  people.setInfo(streamID, JSON.stringify({ muted: on }));
}

function setMuted(on) {
  muted = on;
  $('mute').disabled = false;
  $('mute').setAttribute('aria-pressed', String(on));
  $('mute').querySelector('.text').textContent = on ? 'Muted' : 'Mute';
}

function leave(message) {
  const zg = engine;
  engine = null;
  if (zg) zg.destroyEngine();
  people.clear();
  for (const id of ['connection', 'recording', 'quality', 'error']) show(id, '');
  $('call').hidden = true;
  $('login').hidden = false;
  if (message) tell(message);
  $('join').focus();
}

function count() {
  $('count').textContent = people.size === 1 ? 'only you' : `${people.size} people`;
}

/** For screen readers. */
function tell(text) {
  $('status').textContent = text;
}

function show(id, text) {
  $(id).textContent = text;
  $(id).hidden = text === '';
}
