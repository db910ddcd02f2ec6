'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { World, Stream, Track, settle } = require('./fakes.js');
const { ZegoExpressEngine } = require('../client.js');

const user = { userID: 'anna', userName: 'Anna' };
const bert = { userID: 'bert', userName: 'Bert' };

async function setUp(t, streams = []) {
  const world = new World();
  const zg = new ZegoExpressEngine(1, 'ws://daemon.test/ws');
  zg.initContext({ wxContext: {}, pushAtr: 'pusher', playAtr: 'playerList' });
  const log = [];
  const note = ({ streamID, state, errorCode }) => log.push(`${streamID} ${state} ${errorCode}`);
  zg.on('publisherStateUpdate', note);
  zg.on('playerStateUpdate', note);
  world.answers.loginRoom = () => ({ roomID: 'r', sessionID: 's1', users: [], streams });
  t.after(() => zg.destroyEngine());
  const login = () => zg.loginRoom('r', '04x', user);
  return { world, zg, log, login };
}

const refuse = (code, message = 'refused') => () => {
  throw { code, message };
};

/** The service offers what was asked for, one media section for each stream. */
function offersWhatIsAsked(world) {
  const playing = [];
  const offer = () => queueMicrotask(() => world.offer(Object.fromEntries(playing.map((id, i) => [String(i), id]))));
  world.answers.startPlaying = ({ streamIDs }) => {
    playing.push(...streamIDs);
    offer();
    return {};
  };
  world.answers.stopPlaying = ({ streamIDs }) => {
    for (const id of streamIDs) playing.splice(playing.indexOf(id), 1);
    offer();
    return {};
  };
}

test('the tutorial: publish, play what comes, stop what goes, leave', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  offersWhatIsAsked(world);
  zg.on('roomStreamUpdate', (roomID, updateType, streamList) => {
    streamList.forEach((i) => {
      if (updateType === 'ADD') zg.getPlayerInstance(i.streamID).play();
      else zg.getPlayerInstance(i.streamID).stop();
    });
  });
  await login();
  zg.initContext({ wxContext: {}, pushAtr: 'pusher', playAtr: 'playerList' });
  const pusher = zg.createPusher();
  const started = pusher.start('streamID_xxx');
  assert.deepEqual(log, ['streamID_xxx PUBLISH_REQUESTING 0']);
  await started;
  assert.equal(zg.createPusher({ enableCamera: false }), pusher, 'one pusher, whatever the later call says');
  const list = [{ streamID: 'b1', user: bert, extraInfo: '' }];
  world.socket.notify('roomStreamUpdate', { roomID: 'r', updateType: 'ADD', streamList: list, extendedData: '' });
  await settle();
  assert.equal(world.audios.length, 1);
  assert.equal(world.audios[0].playing, true);
  assert.equal(world.audios[0].attached && world.audios[0].hidden, true);
  world.socket.notify('roomStreamUpdate', { roomID: 'r', updateType: 'DELETE', streamList: list, extendedData: '{}' });
  assert.equal(world.audios[0].attached, false);
  zg.getPusherInstance().stop();
  assert.equal(world.microphones[0].stream.getTracks()[0].readyState, 'ended', 'the microphone is let go');
  await settle();
  assert.deepEqual(world.called('stopPublishing'), [{ streamID: 'streamID_xxx' }]);
  assert.deepEqual(world.called('stopPlaying'), [{ streamIDs: ['b1'] }]);
  zg.logoutRoom('r');
  assert.deepEqual(log, [
    'streamID_xxx PUBLISH_REQUESTING 0', 'streamID_xxx PUBLISHING 0', 'b1 PLAY_REQUESTING 0', 'b1 PLAYING 0',
    'b1 NO_PLAY 0', 'streamID_xxx NO_PUBLISH 0',
  ]);
});

test('offers and answers ask for retransmission, and speech is set up as such', async (t) => {
  const { world, zg, login } = await setUp(t);
  offersWhatIsAsked(world);
  await login();
  await zg.createPusher().start('s');
  const [{ sdp, streamID, extraInfo }] = world.called('startPublishing');
  assert.deepEqual([streamID, extraInfo], ['s', '']);
  assert.match(sdp, /a=rtpmap:111 opus\/48000\/2\r\na=rtcp-fb:111 nack\r\n/);
  assert.equal(world.peers[0].local.sdp, sdp);
  assert.match(world.peers[0].remote.sdp, /a=fmtp:111 .*useinbandfec=1/);
  assert.match(world.peers[0].remote.sdp, /a=fmtp:111 .*usedtx=0/);
  assert.equal(world.peers[0].transceivers[0].init.direction, 'sendonly');
  await zg.startPlayingStream('b1');
  const [answer] = world.called('answer');
  assert.match(answer.sdp, /a=rtcp-fb:111 nack\r\n/);
  assert.match(answer.sdp, /a=fmtp:111 .*stereo=1/);
  assert.equal(answer.sdp.match(/rtcp-fb:111 nack/g).length, 1);
});

test('a browser that takes no changed description still publishes', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  const real = RTCPeerConnection.prototype.setLocalDescription;
  globalThis.RTCPeerConnection.prototype.setLocalDescription = function (description) {
    if (/nack/.test(description.sdp)) return Promise.reject(new Error('SDP is modified'));
    return real.call(this, description);
  };
  await zg.createPusher().start('s');
  assert.match(world.called('startPublishing')[0].sdp, /nack/);
});

test('microphone processing is on, and off when told', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  await zg.createStream({ camera: { audio: true, video: false } });
  await zg.createZegoStream({ camera: { audio: { AEC: false, ANS: false, AGC: false, channelCount: 2, input: 'mic2' }, video: false } });
  await zg.createPusher({ enableAec: false, enableAns: false, enableAgc: false }).start('s');
  const [on, off, pusher] = world.microphones.map((m) => m.constraints);
  assert.deepEqual(on, { audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 }, video: false });
  assert.deepEqual(off.audio, {
    echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 2, deviceId: { exact: 'mic2' },
  });
  assert.deepEqual(pusher.audio, { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 });
});

test('a stream ID in use fails the later publisher and lets its microphone go', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  await login();
  world.answers.startPublishing = refuse(1003028, 'streamID is in use');
  await assert.rejects(zg.createPusher().start('s'), { errorCode: 1003028, extendedData: 'streamID is in use' });
  assert.deepEqual(log, ['s PUBLISH_REQUESTING 0', 's NO_PUBLISH 1003028']);
  assert.equal(world.microphones[0].stream.getTracks()[0].readyState, 'ended');
  assert.equal(world.peers[0].closed, true);
  world.answers.startPublishing = () => ({ sdp: world.peers[0].local.sdp });
  await zg.createPusher().start('s2');
  assert.equal(log.at(-1), 's2 PUBLISHING 0', 'the pusher stays usable');
});

test('microphone errors have their codes', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  await login();
  const codes = { NotAllowedError: 1103064, NotReadableError: 1103065, OverconstrainedError: 1103066, NotFoundError: 1103061 };
  for (const [name, errorCode] of Object.entries(codes)) {
    world.microphoneError = name;
    await assert.rejects(zg.createPusher().start('s'), { errorCode });
    assert.equal(log.at(-1), `s NO_PUBLISH ${errorCode}`);
  }
  navigator.mediaDevices = undefined;
  await assert.rejects(zg.createStream(), { errorCode: 1103053 });
  const found = await zg.checkSystemRequirements();
  assert.deepEqual([found.result, found.webRTC, found.microphone, found.code], [false, true, false, 10002]);
});

test('what needs a login says so', async (t) => {
  const { zg } = await setUp(t);
  await assert.rejects(zg.createPusher().start('s'), { errorCode: 1103001 });
  await assert.rejects(zg.getPlayerInstance('s').play(), { errorCode: 1000002 });
  await assert.rejects(zg.startPlayingStream('s'), { errorCode: 1000002 });
  await assert.rejects(zg.sendBroadcastMessage('r', 'x'), { errorCode: 1000002 });
  await assert.rejects(zg.setStreamExtraInfo('s', 'x'), { errorCode: 1103040 });
  assert.throws(() => zg.startPublishingStream('s', new Stream()), { errorCode: 1000002 });
  assert.equal(zg.stopPublishingStream('s'), false);
  assert.equal(zg.stopPlayingStream('s'), undefined);
  assert.equal(zg.logoutRoom(), undefined);
});

test('stream IDs out of rule are refused', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  for (const [id, errorCode] of [['', 1000015], ['x'.repeat(257), 1000014], ['a b', 1000016], ['ä', 1000016]]) {
    await assert.rejects(zg.createPusher().start(id), { errorCode });
    await assert.rejects(zg.startPlayingStream(id), { errorCode });
    assert.throws(() => zg.startPublishingStream(id, new Stream()), { errorCode });
  }
  assert.equal(world.calls.length, 1);
});

test('the web flavour: streams of the program\'s own', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  offersWhatIsAsked(world);
  await login();
  const stream = await zg.createZegoStream({ camera: { audio: true, video: false }, audioBitrate: 64 });
  assert.equal(zg.startPublishingStream('s', stream, { extraInfo: 'x', enableDTX: true }), true);
  assert.equal(zg.startPublishingStream('s', stream), false, 'it is published already');
  await assert.rejects(zg.createPusher().start('s'), { errorCode: 1103056 });
  await settle();
  assert.deepEqual(log, ['s PUBLISH_REQUESTING 0', 's PUBLISHING 0']);
  assert.equal(world.called('startPublishing')[0].extraInfo, 'x');
  assert.match(world.peers[0].remote.sdp, /usedtx=1;maxaveragebitrate=64000/);
  const track = stream.stream.getAudioTracks()[0];
  for (const args of [[true], ['s', true], [stream, true], [stream.stream, true]]) {
    assert.equal(zg.mutePublishStreamAudio(...args), true);
    assert.equal(track.enabled, false);
    assert.equal(zg.mutePublishStreamAudio(false), true);
    assert.equal(track.enabled, true);
  }
  assert.equal(zg.mutePublishStreamAudio('other', true), false);
  assert.deepEqual(await zg.setStreamExtraInfo('s', 'y'), { errorCode: 0, extendedData: '' });
  const media = await zg.startPlayingStream('b1');
  assert.equal(media.getAudioTracks().length, 1);
  await assert.rejects(zg.startPlayingStream('b1'), { errorCode: 1104032 });
  assert.equal(await zg.mutePlayStreamAudio('b1', true), true);
  assert.equal(media.getAudioTracks()[0].enabled, false);
  assert.equal(await zg.mutePlayStreamAudio('b2', true), false);
  zg.stopPlayingStream('b1');
  assert.equal(zg.stopPublishingStream('s'), true);
  assert.equal(track.readyState, 'live', 'the stream is the program\'s');
  zg.destroyStream(stream);
  assert.equal(track.readyState, 'ended');
  assert.throws(() => zg.startPublishingStream('s', undefined), { errorCode: 1000018 });
  assert.equal(zg.startPublishingStream('silent', new Stream()), true);
  await settle();
  assert.equal(log.at(-1), 'silent NO_PUBLISH 1000018');
});

test('a stop before the start is done leaves nothing behind', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  await login();
  const pusher = zg.createPusher();
  const started = pusher.start('s');
  pusher.stop();
  await started;
  await settle();
  assert.deepEqual(log, ['s PUBLISH_REQUESTING 0', 's NO_PUBLISH 0']);
  assert.equal(world.microphones[0].stream.getTracks()[0].readyState, 'ended');
  assert.equal(world.called('startPublishing').length, 0);
  const player = zg.getPlayerInstance('b1');
  const playing = player.play();
  player.stop();
  await playing;
  assert.equal(world.audios.length, 0);
});

test('a stop while the server is being asked is told after it', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  let publishes;
  world.answers.startPublishing = (p, socket) => {
    publishes = () => socket.receive({ jsonrpc: '2.0', id: 2, result: { sdp: world.peers[0].local.sdp } });
  };
  zg.createPusher().start('s');
  await settle();
  zg.createPusher().stop();
  await settle();
  assert.equal(world.called('stopPublishing').length, 0);
  publishes();
  await settle();
  assert.deepEqual(world.called('stopPublishing'), [{ streamID: 's' }]);
});

test('a hundred streams are asked for at once, and one bad one harms none', async (t) => {
  const ids = Array.from({ length: 100 }, (_, i) => `s${i}`);
  const { world, zg, log, login } = await setUp(t);
  offersWhatIsAsked(world);
  await login();
  const all = await Promise.all(ids.map((id) => zg.startPlayingStream(id)));
  assert.deepEqual(world.called('startPlaying'), [{ streamIDs: ids }]);
  assert.equal(new Set(all.map((m) => m.getAudioTracks()[0].id)).size, 100);
  assert.equal(world.peers.length, 1, 'one connection for everything that is played');
  const take = world.answers.startPlaying;
  world.answers.startPlaying = (p) => (p.streamIDs.includes('bad') ? refuse(1004002)() : take(p));
  const [bad, good] = await Promise.allSettled([zg.startPlayingStream('bad'), zg.startPlayingStream('good')]);
  assert.equal(bad.reason.errorCode, 1004002);
  assert.equal(good.status, 'fulfilled');
  assert.equal(log.includes('bad NO_PLAY 1004002'), true);
});

test('offers are handled one at a time, in order', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  const first = zg.startPlayingStream('a');
  const second = zg.startPlayingStream('b');
  await settle();
  world.offer({ 0: 'a' });
  world.offer({ 0: 'a', 1: 'b' });
  world.offer({ 0: 'a', 1: 'b', 2: 'c' });
  await Promise.all([first, second]);
  await settle();
  assert.equal(world.called('answer').length, 3);
  assert.equal(world.sdpTogether, 1);
  assert.equal(world.peers[0].transceivers.length, 3);
});

test('a played stream that ends is over, even if the program does nothing', async (t) => {
  const { world, zg, log, login } = await setUp(t, [{ streamID: 'b1', user: bert, extraInfo: '' }]);
  offersWhatIsAsked(world);
  await login();
  await zg.getPlayerInstance('b1').play();
  world.socket.notify('roomStreamUpdate', { roomID: 'r', updateType: 'DELETE', streamList: [{ streamID: 'b1', user: bert }] });
  assert.equal(log.at(-1), 'b1 NO_PLAY 1004002');
  assert.equal(world.audios[0].attached, false);
});

test('the server ends a publication', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  await login();
  await zg.createPusher().start('s');
  world.socket.notify('publisherStateUpdate', { streamID: 's', state: 'NO_PUBLISH', errorCode: 1003025, extendedData: 'forbidden' });
  assert.equal(log.at(-1), 's NO_PUBLISH 1003025');
  assert.equal(world.microphones[0].stream.getTracks()[0].readyState, 'ended');
});

test('media that never connects is given up, with a code', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const { world, zg, log, login } = await setUp(t);
  offersWhatIsAsked(world);
  world.mediaWorks = false;
  await login();
  const start = assert.rejects(zg.createPusher().start('s'), { errorCode: 1103003 });
  const play = assert.rejects(zg.startPlayingStream('b1'), { errorCode: 1104021 });
  await settle();
  t.mock.timers.tick(21000);
  await Promise.all([start, play]);
  assert.equal(log.includes('s NO_PUBLISH 1103003') && log.includes('b1 NO_PLAY 1104021'), true);
  await settle();
  assert.deepEqual(world.called('stopPublishing'), [{ streamID: 's' }], 'the server is told');
});

test('initContext comes first, the pusher is one, and the page\'s data follow', async (t) => {
  const { world } = await setUp(t);
  const zg = new ZegoExpressEngine(1, 'ws://daemon.test/ws');
  t.after(() => zg.destroyEngine());
  assert.equal(zg.createPusher({ enableCamera: false }), null);
  assert.equal(zg.getPusherInstance(), null);
  const early = zg.getPlayerInstance('s1');
  assert.equal(typeof early.play, 'function', 'a browser has no component that must be there first');
  const data = {};
  zg.initContext({ wxContext: { setData: (d) => Object.assign(data, d) }, pushAtr: 'push', playAtr: 'play' });
  assert.deepEqual(data, { play: [{ id: 's1' }] });
  early.stop();
  const pusher = zg.createPusher({ enableCamera: false });
  assert.deepEqual(data.push, { enableCamera: false, enableMic: true });
  assert.equal(zg.createPusher({ enableMic: false }), pusher);
  assert.equal(zg.getPusherInstance(), pusher);
  assert.deepEqual(data.push, { enableCamera: false, enableMic: true });
  const player = zg.getPlayerInstance('s2');
  assert.equal(zg.getPlayerInstance('s2'), player);
  zg.setPlayerAttributes('s2', { soundMode: 'ear' });
  assert.deepEqual(data.play, [{ id: 's2', soundMode: 'ear' }]);
  assert.deepEqual(zg.getPlayerList('s2'), data.play);
  player.stop();
  assert.deepEqual(data.play, []);
  await zg.loginRoom('r', '04x', user);
  await pusher.start('own');
  assert.equal(data.push.id, 'own');
  zg.setPusherAttributes({ enableAgc: false });
  assert.equal(data.push.enableAgc, false);
  pusher.stop();
  assert.deepEqual(data.push, { enableCamera: true, enableMic: true }, 'a stop forgets the configuration');
  zg.updatePlayerState('own', { detail: { code: 1002 } });
  zg.updatePlayerNetStatus('own', { detail: { info: {} } });
  assert.equal(world.microphones.length, 1);
});

test('playing what does not exist rejects, and says so', async (t) => {
  const { world, zg, log, login } = await setUp(t);
  world.answers.startPlaying = refuse(1004002);
  await login();
  await assert.rejects(zg.getPlayerInstance('gone').play(), { errorCode: 1004002 });
  assert.equal(log.at(-1), 'gone NO_PLAY 1004002');
});

test('another microphone goes on in the same stream, without a new negotiation', async (t) => {
  const { world, zg, login } = await setUp(t);
  await login();
  navigator.mediaDevices.enumerateDevices = async () => [
    { kind: 'audioinput', deviceId: 'm1', label: 'One' }, { kind: 'audiooutput', deviceId: 'o', label: 'Out' }, { kind: 'audioinput', deviceId: 'm2', label: 'Two' },
  ];
  assert.deepEqual(await zg.getMicrophones(), [{ deviceName: 'One', deviceID: 'm1' }, { deviceName: 'Two', deviceID: 'm2' }]);
  const stream = await zg.createZegoStream({ camera: { audio: { AEC: false }, video: false } });
  zg.startPublishingStream('s', stream);
  await settle();
  zg.mutePublishStreamAudio(true);
  const [before] = stream.stream.getAudioTracks();
  assert.deepEqual(await zg.useAudioDevice(stream, 'm2'), { errorCode: 0, extendedData: '' });
  const [after] = stream.stream.getAudioTracks();
  assert.equal(stream.stream.getAudioTracks().length, 1);
  assert.notEqual(after, before);
  assert.deepEqual([before.readyState, after.enabled], ['ended', false], 'a muted stream stays muted');
  assert.equal(world.peers[0].transceivers[0].sender.track, after);
  assert.equal(world.called('startPublishing').length, 1);
  assert.deepEqual(world.microphones[1].constraints.audio.deviceId, { exact: 'm2' });
  assert.equal(world.microphones[1].constraints.audio.echoCancellation, false);
  world.microphoneError = 'NotReadableError';
  await assert.rejects(zg.useAudioDevice(stream, 'm1'), { errorCode: 1103065 });
  assert.equal(after.readyState, 'live', 'the old one goes on');
  await assert.rejects(zg.useAudioDevice(new Stream(), 'm1'), { errorCode: 1000018 });
});

test('quality and levels are figures of the statistics', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'] });
  const { world, zg, login } = await setUp(t);
  offersWhatIsAsked(world);
  await login();
  await zg.createPusher().start('s');
  const media = await zg.startPlayingStream('b1');
  let n = 1;
  world.stats = (pc) => (pc.transceivers[0].sender ? [
    { type: 'outbound-rtp', kind: 'audio', timestamp: n * 3000, bytesSent: n * 12000, packetsSent: n * 150, codecId: 'c' },
    { type: 'remote-inbound-rtp', kind: 'audio', packetsLost: n * 3, jitter: 0.004, roundTripTime: 0.025 },
    { type: 'media-source', kind: 'audio', audioLevel: 0.1 },
    { id: 'c', type: 'codec', mimeType: 'audio/opus', clockRate: 48000 },
  ] : [
    {
      type: 'inbound-rtp', kind: 'audio', trackIdentifier: media.getAudioTracks()[0].id, timestamp: n * 3000, bytesReceived: n * 18000,
      packetsReceived: n * 147, packetsLost: n * 3, jitter: 0.01, audioLevel: 1, totalSamplesReceived: n * 144000, concealedSamples: n * 1440,
      jitterBufferDelay: n * 7200, jitterBufferEmittedCount: n * 144000, codecId: 'c',
    },
    { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.03 },
    { id: 'c', type: 'codec', mimeType: 'audio/opus', clockRate: 48000 },
  ]);
  const stats = {};
  let levels;
  zg.on('publishQualityUpdate', (id, s) => (stats[id] = s));
  zg.on('playQualityUpdate', (id, s) => (stats[id] = s));
  zg.on('soundLevelUpdate', (list) => (levels = list));
  zg.setSoundLevelDelegate(true, 500);
  for (n of [1, 2]) {
    t.mock.timers.tick(3000);
    await settle();
    assert.equal(stats.s.audio.audioBitrate, 32);
    assert.equal(stats.b1.audio.audioBitrate, 48);
  }
  const { s, b1 } = stats;
  assert.deepEqual([s.audio.audioBitrate, s.audio.audioFPS, s.audio.audioPacketsLostRate, s.roundTripTime], [32, 50, 2, 25]);
  assert.deepEqual([s.audio.audioCodec, s.audio.audioSamplingRate, s.audio.audioJitter, s.audio.audioPacketsLost], ['opus', 48000, 4, 6]);
  assert.deepEqual([b1.audio.audioBitrate, b1.audio.audioPacketsLostRate, b1.audio.audioCumulativeBreakRate], [48, 2, 1]);
  assert.deepEqual([b1.audio.audioBufferDelay, b1.peerToPeerDelay, b1.audio.audioJitter], [50, 80, 10]);
  assert.deepEqual(levels, [{ streamID: 's', soundLevel: 67, type: 'push' }, { streamID: 'b1', soundLevel: 100, type: 'pull' }]);
  zg.mutePublishStreamAudio(true);
  t.mock.timers.tick(500);
  await settle();
  assert.equal(levels[0].soundLevel, 0);
});

test('where the browser wants a gesture, play waits for one', async (t) => {
  const { world, zg, login } = await setUp(t);
  offersWhatIsAsked(world);
  await login();
  world.playError = 'NotAllowedError';
  let plays = false;
  const playing = zg.getPlayerInstance('b1').play().then(() => (plays = true));
  await settle();
  assert.equal(plays, false);
  world.playError = null;
  world.fire('pointerdown');
  await playing;
  assert.equal(world.audios[0].playing, true);
  world.playError = 'NotSupportedError';
  await assert.rejects(zg.getPlayerInstance('b2').play(), { errorCode: 1104021 });
});

test('a callback may log out at any moment', async (t) => {
  const { world, zg, login } = await setUp(t, [{ streamID: 'b1', user: bert, extraInfo: '' }]);
  for (const name of ['roomStateUpdate', 'roomStreamUpdate', 'publisherStateUpdate', 'playerStateUpdate']) {
    const out = [];
    const timers = process.getActiveResourcesInfo().filter((r) => r === 'Timeout').length;
    zg.on('roomStateUpdate', (r, state) => out.push(state));
    let armed = true;
    zg.on(name, () => {
      if (armed && world.socket && world.socket.open) {
        armed = false;
        zg.logoutRoom();
      }
    });
    const outcome = await Promise.allSettled([login(), settle().then(() => zg.createPusher().start('s')), settle().then(() => zg.startPlayingStream('b1'))]);
    await settle();
    zg.logoutRoom();
    assert.equal(out.filter((s) => s === 'DISCONNECTED').length, 1, `${name}: ${outcome.map((o) => o.status)}`);
    assert.equal(world.peers.every((p) => p.closed), true, name);
    assert.equal(world.microphones.every((m) => m.stream.getTracks()[0].readyState === 'ended'), true, name);
    assert.equal(process.getActiveResourcesInfo().filter((r) => r === 'Timeout').length, timers, `${name}: a timer is left`);
    zg.off('roomStateUpdate');
    zg.off(name);
  }
});
