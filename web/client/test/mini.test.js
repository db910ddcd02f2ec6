'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { miniProgram, Page } = require('./wechat.js');

const user = { userID: 'anna', userName: 'Anna' };
const bert = { userID: 'bert', userName: 'Bert' };
const event = Page.event;
const pause = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

/** The tutorial's page of a mini program, up to initContext. */
async function setUp(t, answers) {
  const { ZegoExpressEngine, wx, page } = miniProgram(answers);
  const zg = new ZegoExpressEngine(1234, 'wss://daemon.test/ws');
  const log = [];
  zg.on('roomStateUpdate', (roomID, state, errorCode) => log.push(`${state} ${errorCode}`));
  zg.on('publisherStateUpdate', (r) => log.push(`push ${r.streamID} ${r.state} ${r.errorCode}`));
  zg.on('playerStateUpdate', (r) => log.push(`play ${r.streamID} ${r.state} ${r.errorCode}`));
  t.after(() => zg.destroyEngine());
  const enter = async () => {
    assert.equal(await zg.loginRoom('r', '04x', user, { isUserStatusNotify: true }), true);
    zg.initContext({ wxContext: page, pushAtr: 'pusher', playAtr: 'playerList' });
    log.length = 0;
  };
  return { zg, wx, page, log, enter };
}

// Objects of the mini program's engine have prototypes of their own.
const plain = (x) => JSON.parse(JSON.stringify(x));

test('a login goes through wx.connectSocket', async (t) => {
  const { zg, wx, log } = await setUp(t, { loginRoom: () => ({ roomID: 'r', sessionID: 's1', users: [bert], streams: [{ streamID: 'b1', user: bert }] }) });
  const streams = [];
  zg.on('roomStreamUpdate', (roomID, type, list) => streams.push([roomID, type, list.map((s) => s.streamID)]));
  const login = zg.loginRoom('r', '04x', user, { isUserStatusNotify: true });
  assert.deepEqual(log, ['CONNECTING 0']);
  assert.equal(await login, true);
  assert.deepEqual(log, ['CONNECTING 0', 'CONNECTED 0']);
  assert.equal(wx.sockets[0].url, 'wss://daemon.test/ws');
  assert.deepEqual(plain(wx.calls[0]), ['loginRoom', { roomID: 'r', token: '04x', user, config: { userUpdate: true, maxMemberCount: 0 } }]);
  assert.deepEqual(plain(streams), [['r', 'ADD', ['b1']]]);
  assert.deepEqual(plain(await zg.sendBroadcastMessage('r', 'hi')), { errorCode: 0, extendedData: '' });
  zg.logoutRoom('r');
  await pause();
  assert.deepEqual(log.slice(-1), ['DISCONNECTED 0']);
  assert.equal(wx.calls.at(-1)[0], 'logoutRoom');
  assert.equal(wx.sockets[0].code, 1000);
  assert.equal(wx.networkListeners.length, 0);
});

test('a lost socket is made again, at once when the network is back', async (t) => {
  const { zg, wx, log, enter } = await setUp(t);
  await enter();
  wx.reachable = false;
  wx.sockets[0].cut();
  await pause(400);
  assert.deepEqual(log, ['CONNECTING 1000017']);
  wx.reachable = true;
  for (const f of wx.networkListeners) f({ isConnected: true, networkType: 'wifi' });
  await pause();
  assert.deepEqual(log, ['CONNECTING 1000017', 'CONNECTED 0']);
  assert.equal(wx.calls.at(-1)[1].sessionID, 's1');
  zg.logoutRoom();
});

test('a server that cannot be reached, and no free socket, fail the login', async (t) => {
  const { zg, wx, log } = await setUp(t);
  wx.reachable = false;
  await assert.rejects(zg.loginRoom('r', '04x', user), (e) => e.errorCode === 1100003 && e.code === 1100003 && e.message !== '');
  assert.deepEqual(log, ['CONNECTING 0', 'DISCONNECTED 1100003']);
  for (let i = 0; i < 5; i++) wx.connectSocket({ url: 'wss://other.test' });
  await assert.rejects(zg.loginRoom('r', '04x', user), (e) => e.errorCode === 1100003);
});

test('without initContext there are neither pusher nor players', async (t) => {
  const { zg } = await setUp(t);
  assert.equal(zg.createPusher({ enableCamera: false }), null);
  assert.equal(zg.getPusherInstance(), null);
  assert.equal(zg.getPlayerInstance('s2'), null);
});

test('pusher and players show in the page\'s data', async (t) => {
  const { zg, wx, page, enter } = await setUp(t);
  await enter();
  const pusher = zg.createPusher();
  assert.deepEqual(page.data.pusher, { enableCamera: true, enableMic: true });
  assert.equal(zg.createPusher({ enableCamera: false }), pusher);
  assert.equal(zg.getPusherInstance(), pusher);
  assert.deepEqual(page.data.pusher, { enableCamera: true, enableMic: true }, 'a running pusher keeps its configuration');
  const component = {};
  const player = zg.getPlayerInstance('s2', component);
  assert.deepEqual(page.data.playerList, [{ id: 's2' }]);
  assert.equal(zg.getPlayerInstance('s2'), player);
  zg.getPlayerInstance('s3');
  zg.setPlayerAttributes('s2', { soundMode: 'ear' });
  assert.deepEqual(page.data.playerList, [{ id: 's2', soundMode: 'ear' }, { id: 's3' }]);
  assert.equal(await zg.mutePlayStreamAudio('s2', true), true);
  assert.equal(page.data.playerList[0].muteAudio, true);
  player.pause({});
  player.stop();
  assert.deepEqual(page.data.playerList, [{ id: 's3' }]);
  assert.deepEqual(wx.contexts, ['pusher made', 'player s2 made', 'player s3 made', 'player s2 pause', 'player s2 stop']);
  zg.mutePublishStreamAudio(true);
  assert.equal(page.data.pusher.enableMic, false);
  zg.mutePublishStreamVideo(true);
  assert.deepEqual(page.data.pusher, { enableCamera: false, enableMic: false });
  pusher.stop();
  assert.deepEqual(page.data.pusher, { enableCamera: true, enableMic: true });
  assert.equal(wx.contexts.at(-1), 'pusher stop');
});

test('the first createPusher\'s configuration counts', async (t) => {
  const { zg, page, enter } = await setUp(t);
  await enter();
  zg.createPusher({ enableCamera: false, audioQuality: 'high' });
  assert.deepEqual(page.data.pusher, { enableCamera: false, enableMic: true, audioQuality: 'high' });
});

test('starting says clearly that there is no media for mini programs', async (t) => {
  const { zg, page, log, enter } = await setUp(t);
  zg.initContext({ wxContext: page, pushAtr: 'pusher', playAtr: 'playerList' });
  await assert.rejects(zg.createPusher().start('own'), (e) => e.errorCode === 1103001);
  await assert.rejects(zg.getPlayerInstance('b1').play(), (e) => e.errorCode === 1000002);
  await enter();
  await assert.rejects(zg.createPusher().start('a b'), (e) => e.errorCode === 1000016);
  const refused = (code) => (e) => {
    assert.equal(e.errorCode, code);
    assert.match(e.extendedData, /RTMP/);
    return true;
  };
  await assert.rejects(zg.createPusher().start('own'), refused(1103020));
  assert.equal(page.data.pusher.id, 'own');
  await assert.rejects(zg.getPlayerInstance('b1').play(), refused(1104020));
  await assert.rejects(zg.startPublishingStream('web'), refused(1103020));
  await assert.rejects(zg.startPlayingStream('b2'), refused(1104020));
  assert.deepEqual(log, [
    'push own PUBLISH_REQUESTING 0', 'push own NO_PUBLISH 1103020', 'play b1 PLAY_REQUESTING 0', 'play b1 NO_PLAY 1104020',
    'push web PUBLISH_REQUESTING 0', 'push web NO_PUBLISH 1103020', 'play b2 PLAY_REQUESTING 0', 'play b2 NO_PLAY 1104020',
  ]);
});

test('the components\' events drive the states', async (t) => {
  const { zg, log, enter } = await setUp(t);
  await enter();
  zg.createPusher();
  zg.getPlayerInstance('b1');
  const push = (code) => zg.updatePlayerState('own', event('statechange', { code, message: `code ${code}` }));
  const play = (code) => zg.updatePlayerState('b1', event('statechange', { code, message: '' }, 'b1'));
  for (const code of [1001, 1002, 1002, 1007, 1008, 1102, 1002, 3002, 1102, -1307]) push(code);
  assert.deepEqual(log, [
    'push own PUBLISHING 0', 'push own PUBLISH_REQUESTING 1103003', 'push own PUBLISHING 0',
    'push own PUBLISH_REQUESTING 1103003', 'push own PUBLISH_REQUESTING 1103003', 'push own NO_PUBLISH 1103051',
  ]);
  log.length = 0;
  for (const code of [2001, 2002, 2007, 2004, 2103, 3005, 2004, -2301, 9999]) play(code);
  assert.deepEqual(log, [
    'play b1 PLAYING 0', 'play b1 PLAY_REQUESTING 1004020', 'play b1 PLAY_REQUESTING 1004020', 'play b1 PLAYING 0', 'play b1 NO_PLAY 1104031',
  ]);
  log.length = 0;
  push(1002);
  play(2004);
  zg.stopPublishingStream('own');
  push(1002); // comes late
  zg.getPlayerInstance('b1').stop();
  play(2004);
  assert.deepEqual(log, ['push own PUBLISHING 0', 'play b1 PLAYING 0', 'push own NO_PUBLISH 0', 'play b1 NO_PLAY 0']);
});

test('a component that publishes although start was refused is believed', async (t) => {
  const { zg, log, enter } = await setUp(t);
  await enter();
  await assert.rejects(zg.createPusher().start('own'), { errorCode: 1103020 });
  await assert.rejects(zg.getPlayerInstance('b1').play(), { errorCode: 1104020 });
  const told = log.length;
  zg.updatePlayerState('own', event('statechange', { code: 1002, message: '' }));
  zg.updatePlayerState('b1', event('statechange', { code: 2004, message: '' }, 'b1'));
  assert.deepEqual(log.slice(told), ['push own PUBLISHING 0', 'play b1 PLAYING 0']);
});

test('net status and volume become quality and levels', async (t) => {
  const { zg, enter } = await setUp(t);
  await enter();
  const told = [];
  zg.on('publishQualityUpdate', (id, stats) => told.push(['push', id, stats]));
  zg.on('playQualityUpdate', (id, stats) => told.push(['play', id, stats]));
  zg.on('soundLevelUpdate', (list) => told.push(...list));
  zg.updatePlayerState('own', event('statechange', { code: 1002 }));
  zg.updatePlayerState('b1', event('statechange', { code: 2004 }));
  const info = { videoBitrate: 0, audioBitrate: 48, videoFPS: 0, videoGOP: 0, netSpeed: 50, netJitter: 3, videoWidth: 0, videoHeight: 0 };
  zg.updatePlayerNetStatus('own', event('netstatus', { info }));
  zg.updatePlayerNetStatus('b1', event('netstatus', { info: { ...info, audioBitrate: 32 } }, 'b1'));
  zg.updateAudioVolumeNotify('own', event('audiovolumenotify', { volume: 40 }));
  const video = { videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0 };
  assert.deepEqual(plain(told), [
    ['push', 'own', { video, audio: { audioBitrate: 48 } }], ['play', 'b1', { video, audio: { audioBitrate: 32 } }],
    { streamID: 'own', soundLevel: 40, type: 'push' },
  ]);
});

test('leaving the room ends what ran', async (t) => {
  const { zg, page, log, enter } = await setUp(t);
  await enter();
  zg.createPusher();
  zg.updatePlayerState('own', event('statechange', { code: 1002 }));
  zg.getPlayerInstance('b1');
  zg.updatePlayerState('b1', event('statechange', { code: 2004 }));
  log.length = 0;
  zg.logoutRoom();
  assert.deepEqual(log, ['push own NO_PUBLISH 0', 'play b1 NO_PLAY 0', 'DISCONNECTED 0']);
  assert.deepEqual(page.data, { pusher: { enableCamera: true, enableMic: true }, playerList: [] });
});

test('requirements are those of a mini program', async (t) => {
  const { zg, wx } = await setUp(t);
  assert.equal((await zg.checkSystemRequirements()).code, 0);
  delete wx.createLivePusherContext;
  assert.equal((await zg.checkSystemRequirements()).code, 10001);
});
