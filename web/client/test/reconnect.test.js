'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { World, settle } = require('./fakes.js');
const { ZegoExpressEngine } = require('../client.js');

const user = { userID: 'anna', userName: '' };
const bert = { userID: 'bert', userName: 'Bert' };
const carl = { userID: 'carl', userName: 'Carl' };
const stream = (streamID, by, extraInfo = '') => ({ streamID, user: by, extraInfo });

/** A login that publishes "own" and plays "b1", with the clock in the test's hand. */
async function inACall(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const world = new World();
  const zg = new ZegoExpressEngine(1, 'ws://daemon.test/ws');
  zg.initContext({});
  t.after(() => zg.destroyEngine());
  const log = [];
  zg.on('roomStateUpdate', (r, state, code) => log.push(`${state} ${code}`));
  zg.on('roomStateChanged', (r, reason, code) => log.push(`${reason} ${code}`));
  zg.on('publisherStateUpdate', (s) => log.push(`${s.streamID} ${s.state} ${s.errorCode}`));
  zg.on('playerStateUpdate', (s) => log.push(`${s.streamID} ${s.state} ${s.errorCode}`));
  zg.on('roomUserUpdate', (r, type, list) => log.push(`user ${type} ${list.map((u) => u.userID)}`));
  zg.on('roomStreamUpdate', (r, type, list) => log.push(`stream ${type} ${list.map((s) => s.streamID)}`));
  zg.on('streamExtraInfoUpdate', (r, list) => log.push(`info ${list.map((s) => s.extraInfo)}`));
  world.answers.loginRoom = () => ({ roomID: 'r', sessionID: 's1', users: [user, bert], streams: [stream('b1', bert)] });
  world.answers.startPlaying = ({ streamIDs }) => {
    queueMicrotask(() => world.offer(Object.fromEntries(streamIDs.map((id, i) => [String(i), id]))));
    return {};
  };
  await zg.loginRoom('r', '04x', user, { userUpdate: true });
  await zg.createPusher().start('own', { extraInfo: 'first' });
  const media = await zg.startPlayingStream('b1');
  log.length = 0;
  return { world, zg, log, media };
}

async function pass(t, ms) {
  for (let left = ms; left > 0; left -= 250) {
    t.mock.timers.tick(Math.min(250, left));
    await settle();
  }
}

test('a lost connection is made again, and everything goes on', async (t) => {
  const { world, zg, log, media } = await inACall(t);
  const before = media.getAudioTracks()[0];
  const tracks = [];
  zg.on('playerAudioTrackUpdate', (streamID, track) => tracks.push([streamID, track]));
  await zg.setStreamExtraInfo('own', 'second');
  world.answers.loginRoom = (p) => {
    assert.equal(p.sessionID, 's1');
    return { roomID: 'r', sessionID: 's1', resumed: true, users: [user, bert, carl], streams: [stream('b1', bert, 'new'), stream('c1', carl)] };
  };
  world.socket.cut();
  await settle();
  assert.deepEqual(log, [
    'CONNECTING 1000017', 'RECONNECTING 1000017', 'own PUBLISH_REQUESTING 1103050', 'b1 PLAY_REQUESTING 1000017',
    'CONNECTED 0', 'RECONNECTED 0', 'user ADD carl', 'stream ADD c1', 'info new', 'own PUBLISHING 0', 'b1 PLAYING 0',
  ]);
  assert.deepEqual(world.called('startPublishing').map((p) => [p.streamID, p.extraInfo]), [['own', 'first'], ['own', 'second']]);
  assert.deepEqual(world.called('startPlaying').at(-1), { streamIDs: ['b1'] });
  assert.equal(media.getAudioTracks().length, 1);
  assert.notEqual(media.getAudioTracks()[0], before, 'the same MediaStream carries the new track');
  assert.deepEqual(tracks, [['b1', media.getAudioTracks()[0]]]);
  assert.equal(world.peers.filter((p) => !p.closed).length, 2, 'the old media connections are closed');
  assert.equal(world.microphones.length, 1, 'the microphone stayed open');
});

test('what went while away is told as gone', async (t) => {
  const { world, log } = await inACall(t);
  world.answers.loginRoom = () => ({ roomID: 'r', sessionID: 's2', users: [user], streams: [] });
  world.socket.cut();
  await settle();
  assert.equal(log.includes('user DELETE bert') && log.includes('stream DELETE b1') && log.includes('b1 NO_PLAY 1004002'), true, log.join());
  assert.equal(world.called('startPlaying').length, 1, 'a stream that is gone is not asked for');
});

test('attempts grow apart and go on until the service is back', async (t) => {
  const { world, log } = await inACall(t);
  world.reachable = false;
  world.socket.cut();
  await pass(t, 60000);
  const tries = world.sockets.length - 1;
  assert.ok(tries >= 12 && tries <= 40, `${tries} attempts in a minute`);
  assert.equal(log.filter((l) => l === 'CONNECTING 1000017').length, 1, 'told once');
  world.reachable = true;
  await pass(t, 5500);
  assert.equal(log.includes('RECONNECTED 0'), true);
});

test('a browser that comes online tries at once', async (t) => {
  const { world, log } = await inACall(t);
  world.reachable = false;
  world.socket.cut();
  await pass(t, 30000);
  world.reachable = true;
  world.fire('online');
  await settle();
  assert.equal(log.includes('RECONNECTED 0'), true);
});

test('after the retry time it is over', async (t) => {
  const { world, zg, log } = await inACall(t);
  world.reachable = false;
  world.socket.cut();
  await pass(t, 310000);
  assert.deepEqual(log.slice(-2), ['DISCONNECTED 1002053', 'RECONNECT_FAILED 1002053']);
  assert.equal(world.microphones[0].stream.getTracks()[0].readyState, 'ended');
  const tries = world.sockets.length;
  await pass(t, 30000);
  assert.equal(world.sockets.length, tries);
  world.reachable = true;
  assert.equal(await zg.loginRoom('r', '04x', user), true);
});

test('a refusal that time does not heal ends the retries', async (t) => {
  const { world, log } = await inACall(t);
  world.answers.loginRoom = () => {
    throw { code: 1002086, message: 'logged in elsewhere' };
  };
  world.socket.cut();
  await pass(t, 20000);
  assert.deepEqual(log.slice(-2), ['DISCONNECTED 1002086', 'RECONNECT_FAILED 1002086']);
  assert.equal(world.sockets.length, 2);
});

test('a logout ends the retries', async (t) => {
  const { world, zg, log } = await inACall(t);
  world.reachable = false;
  world.socket.cut();
  await pass(t, 3000);
  zg.logoutRoom('r');
  const tries = world.sockets.length;
  world.reachable = true;
  await pass(t, 20000);
  assert.equal(world.sockets.length, tries);
  assert.deepEqual(log.slice(-2), ['DISCONNECTED 0', 'LOGOUT 0']);
});

test('media that dies under a living connection is made anew with it', async (t) => {
  const { world, log } = await inACall(t);
  for (const [direction, pick] of Object.entries({ played: (p) => !p.transceivers[0].sender, published: (p) => p.transceivers[0].sender })) {
    log.length = 0;
    world.peers.find((p) => !p.closed && pick(p)).change('failed');
    await settle();
    assert.deepEqual(log.filter((l) => /^(CONN|b1|own)/.test(l)), [
      'CONNECTING 1000017', 'own PUBLISH_REQUESTING 1103050', 'b1 PLAY_REQUESTING 1000017', 'CONNECTED 0', 'own PUBLISHING 0', 'b1 PLAYING 0',
    ], direction);
  }
});

test('a connection that only looks alive is found out', async (t) => {
  const { world, log } = await inACall(t);
  const first = world.socket;
  await pass(t, 40000);
  assert.equal(world.called('ping').length, 0, 'no question yet');
  await pass(t, 20000);
  assert.equal(world.called('ping').length, 1);
  assert.equal(log.length, 0, 'any answer, an error too, shows that the server is there');
  world.answers.ping = () => undefined;
  await pass(t, 80000);
  assert.equal(first.closed, true);
  assert.equal(log.includes('CONNECTING 1000017') && log.includes('RECONNECTED 0'), true, log.join());
});

test('a stream published while the connection is away starts when it is back', async (t) => {
  const { world, zg, log } = await inACall(t);
  world.reachable = false;
  world.socket.cut();
  await settle();
  zg.startPublishingStream('late', await zg.createStream());
  zg.startPlayingStream('c1').catch(() => {});
  await assert.rejects(zg.sendBroadcastMessage('r', 'x'), { errorCode: 1000017 });
  await zg.setStreamExtraInfo('own', 'told later');
  world.reachable = true;
  await pass(t, 6000);
  assert.equal(log.includes('late PUBLISHING 0') && log.includes('c1 PLAYING 0'), true, log.join());
  assert.equal(world.called('startPublishing').find((p) => p.streamID === 'own' && p.extraInfo === 'told later') !== undefined, true);
});

test('the server loses media: they are made anew without a new login', async (t) => {
  const { world, log, media } = await inACall(t);
  const before = media.getAudioTracks()[0];
  const [, first] = world.peers;
  world.offer = (streams) => World.prototype.offer.call(world, streams, 'o=- 2 1 IN IP4 0.0.0.0\r\n');
  world.socket.notify('playerStateUpdate', { streamID: 'b1', state: 'NO_PLAY', errorCode: 1004020, extendedData: 'play again' });
  world.socket.notify('publisherStateUpdate', { streamID: 'own', state: 'PUBLISH_REQUESTING', errorCode: 1103003, extendedData: 'publish again' });
  await settle();
  assert.deepEqual(log.sort(), ['b1 PLAYING 0', 'b1 PLAY_REQUESTING 1004020', 'own PUBLISHING 0', 'own PUBLISH_REQUESTING 1103003']);
  assert.equal(first.closed, true, 'offers of another connection are not applied to the old one');
  assert.notEqual(media.getAudioTracks()[0], before);
  assert.equal(world.sockets.length, 1);
  assert.equal(world.called('startPublishing').length, 2);
  assert.equal(world.called('startPlaying').length, 2);
});
