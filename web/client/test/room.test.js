'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const { World, settle } = require('./fakes.js');
const { ZegoExpressEngine } = require('../client.js');

const user = { userID: 'anna', userName: 'Anna' };
const bert = { userID: 'bert', userName: 'Bert' };
const carl = { userID: 'carl', userName: 'Carl' };
const stream = (streamID, by) => ({ streamID, user: by, extraInfo: '' });

/** An engine that notes the room's events as one-line strings. */
function setUp(t, server = 'http://daemon.test:8080') {
  const world = new World();
  const zg = new ZegoExpressEngine(1, server);
  const log = [];
  zg.on('roomStateUpdate', (...a) => log.push(`state ${a.slice(1).join(' ').trim()}`));
  zg.on('roomStateChanged', (...a) => log.push(`changed ${a[1]} ${a[2]}`));
  zg.on('roomUserUpdate', (room, type, list) => log.push(`user ${type} ${list.map((u) => u.userID)}`));
  zg.on('roomStreamUpdate', (room, type, list) => log.push(`stream ${type} ${list.map((s) => s.streamID)}`));
  t.after(() => zg.destroyEngine());
  return { world, zg, log };
}

const rejectsWith = (promise, errorCode) => assert.rejects(promise, (e) => {
  assert.equal(e.errorCode, errorCode);
  assert.equal(typeof e.extendedData, 'string');
  return true;
});

test('on and off know the documented names only', () => {
  new World();
  const zg = new ZegoExpressEngine(1, 'ws://daemon.test/ws');
  for (const name of ['roomStateUpdate', 'streamExtraInfoUpdate', 'soundLevelUpdate', 'recvReliableMessage']) {
    assert.equal(zg.on(name, () => {}), true, name);
    assert.equal(zg.off(name), true, name);
  }
  assert.equal(zg.on('roomStreamExtraInfoUpdate', () => {}), false);
  assert.equal(zg.off('nothing', () => {}), false);
});

test('server addresses take every documented form', async (t) => {
  const forms = {
    'ws://h.test/ws': 'ws://h.test/ws', 'wss://h.test/other': 'wss://h.test/other',
    'http://h.test:1': 'ws://h.test:1/ws', 'https://h.test/': 'wss://h.test/ws',
  };
  for (const [given, dialled] of Object.entries(forms)) {
    const { world, zg } = setUp(t, given);
    await zg.loginRoom('r', '04x', user);
    assert.equal(world.socket.url, dialled);
    zg.logoutRoom('r');
  }
  for (const bad of ['', 'ftp://h.test', []]) assert.throws(() => new ZegoExpressEngine(1, bad), { errorCode: 1100001 });
});

test('a list of servers is tried in turn', async (t) => {
  const { world, zg } = setUp(t, ['ws://first.test/ws', 'ws://second.test/ws']);
  world.reachable = false;
  const login = zg.loginRoom('r', '04x', user);
  queueMicrotask(() => queueMicrotask(() => (world.reachable = true)));
  await login;
  assert.deepEqual(world.sockets.map((s) => s.url), ['ws://first.test/ws', 'ws://second.test/ws']);
});

test('a login tells its states, then who and what is there', async (t) => {
  const { world, zg, log } = setUp(t);
  world.answers.loginRoom = (p, socket) => {
    // What the server says before the answer must come after it, once.
    socket.notify('roomStreamUpdate', { roomID: 'r', updateType: 'ADD', streamList: [stream('b1', bert)] });
    socket.notify('roomStreamUpdate', { roomID: 'r', updateType: 'ADD', streamList: [stream('c1', carl)] });
    return { roomID: 'r', sessionID: 's1', users: [user, bert, carl], streams: [stream('b1', bert), stream('own', user)] };
  };
  const login = zg.loginRoom('r', '04x', user, { isUserStatusNotify: true });
  assert.deepEqual(log, ['state CONNECTING 0', 'changed LOGINING 0']);
  assert.equal(await login, true);
  assert.deepEqual(log, [
    'state CONNECTING 0', 'changed LOGINING 0', 'state CONNECTED 0', 'changed LOGINED 0',
    'user ADD bert,carl', 'stream ADD b1', 'stream ADD c1',
  ]);
  assert.deepEqual(world.called('loginRoom'), [{ roomID: 'r', token: '04x', user, config: { userUpdate: true, maxMemberCount: 0 } }]);
});

test('users are told only to those who asked', async (t) => {
  const { world, zg, log } = setUp(t);
  await zg.loginRoom('r', '04x', user);
  world.socket.notify('roomUserUpdate', { roomID: 'r', updateType: 'ADD', userList: [bert] });
  assert.equal(log.some((l) => l.startsWith('user')), false);
});

test('a refused login ends as documented', async (t) => {
  const { world, zg, log } = setUp(t);
  world.answers.loginRoom = () => {
    throw { code: 1102018, message: 'token expired' };
  };
  await rejectsWith(zg.loginRoom('r', '04x', user), 1102018);
  assert.deepEqual(log, ['state CONNECTING 0', 'changed LOGINING 0', 'state DISCONNECTED 1102018 token expired', 'changed LOGIN_FAILED 1102018']);
  world.answers.loginRoom = (p) => ({ roomID: p.roomID, sessionID: 's1', users: [], streams: [] });
  assert.equal(await zg.loginRoom('r', '04x', user), true, 'the engine stays usable');
});

test('an unreachable service is a refused login too', async (t) => {
  const { world, zg, log } = setUp(t);
  world.reachable = false;
  await rejectsWith(zg.loginRoom('r', '04x', user), 1100003);
  assert.equal(log.at(-1), 'changed LOGIN_FAILED 1100003');
});

test('arguments out of rule are refused without a connection', async (t) => {
  const { world, zg, log } = setUp(t);
  const cases = [
    ['', '04x', user, 1002011], ['r'.repeat(129), '04x', user, 1002013], ['a room', '04x', user, 1002012], ['räum', '04x', user, 1002012],
    ['r', '', user, 1100001], ['r', undefined, user, 1100001], ['r', '04x', undefined, 1002005], ['r', '04x', { userID: '' }, 1002005],
    ['r', '04x', { userID: 'u'.repeat(65) }, 1002007], ['r', '04x', { userID: 'a/b' }, 1002006],
    ['r', '04x', { userID: 'u', userName: 'x'.repeat(257) }, 1002010],
  ];
  for (const [room, token, who, code] of cases) await rejectsWith(zg.loginRoom(room, token, who), code);
  assert.equal(world.sockets.length, 0);
  assert.deepEqual(log, []);
});

test('a second login needs a logout first', async (t) => {
  const { zg, log } = setUp(t);
  const first = zg.loginRoom('r', '04x', user);
  await rejectsWith(zg.loginRoom('r', '04x', user), 1002001);
  assert.equal(await first, true);
  await rejectsWith(zg.loginRoom('other', '04x', user), 1002001);
  assert.equal(log.filter((l) => l.startsWith('state DISCONNECTED')).length, 0, 'the first login is untouched');
});

test('a logout is told to the server and ends quietly', async (t) => {
  const { world, zg, log } = setUp(t);
  await zg.loginRoom('r', '04x', user);
  assert.equal(zg.logoutRoom('another'), undefined);
  assert.equal(world.called('logoutRoom').length, 0);
  assert.equal(zg.logoutRoom('r'), undefined);
  await settle();
  assert.deepEqual(log.slice(-2), ['state DISCONNECTED 0', 'changed LOGOUT 0']);
  assert.deepEqual(world.called('logoutRoom'), [{ roomID: 'r' }]);
  assert.equal(world.socket.closed, true);
  assert.equal(await zg.loginRoom('r', '04x', user), true);
});

test('a logout during the login ends it', async (t) => {
  const { world, zg, log } = setUp(t);
  world.answers.loginRoom = () => undefined;
  const login = zg.loginRoom('r', '04x', user);
  await settle();
  zg.logoutRoom('r');
  await rejectsWith(login, 1000002);
  assert.equal(world.socket.closed, true);
  assert.equal(log.filter((l) => l.startsWith('state DISCONNECTED')).length, 1);
});

test('the closing page logs out', async (t) => {
  const { world, zg } = setUp(t);
  await zg.loginRoom('r', '04x', user);
  world.fire('pagehide');
  await settle();
  assert.equal(world.called('logoutRoom').length, 1);
});

test('a kick ends the login for good', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const { world, zg, log } = setUp(t);
  await zg.loginRoom('r', '04x', user);
  world.socket.notify('roomStateUpdate', { roomID: 'r', state: 'DISCONNECTED', errorCode: 1002050, extendedData: 'again' });
  world.socket.cut();
  assert.deepEqual(log.slice(-2), ['state DISCONNECTED 1002050 again', 'changed KICKOUT 1002050']);
  for (let i = 0; i < 20; i++) {
    t.mock.timers.tick(5000);
    await settle();
  }
  assert.equal(world.sockets.length, 1, 'no retry');
});

test('messages, counts, extra infos and the token warning pass through', async (t) => {
  const { world, zg } = setUp(t);
  const log = [];
  for (const name of ['roomOnlineUserCountUpdate', 'streamExtraInfoUpdate', 'roomExtraInfoUpdate', 'tokenWillExpire', 'IMRecvBroadcastMessage']) {
    zg.on(name, (...a) => log.push([name, ...a]));
  }
  world.answers.loginRoom = () => ({ roomID: 'r', sessionID: 's', users: [], streams: [stream('b1', bert)] });
  await zg.loginRoom('r', '04x', user);
  const message = { fromUser: bert, message: 'hi', sendTime: 1, messageID: 2 };
  const socket = world.socket;
  socket.notify('roomOnlineUserCountUpdate', { roomID: 'r', count: 3 });
  socket.notify('streamExtraInfoUpdate', { roomID: 'r', streamList: [{ ...stream('b1', bert), extraInfo: 'x' }] });
  socket.notify('roomExtraInfoUpdate', { roomID: 'r', roomExtraInfoList: [{ key: 'recording', value: 'paused' }] });
  socket.notify('tokenWillExpire', { roomID: 'r' });
  socket.notify('IMRecvBroadcastMessage', { roomID: 'r', list: [message] });
  assert.deepEqual(log.map((l) => l[0]), ['roomOnlineUserCountUpdate', 'streamExtraInfoUpdate', 'roomExtraInfoUpdate', 'tokenWillExpire', 'IMRecvBroadcastMessage']);
  assert.deepEqual(log[0].slice(1), ['r', 3]);
  assert.equal(log[1][2][0].extraInfo, 'x');
  assert.deepEqual(log[2].slice(1), ['r', [{ key: 'recording', value: 'paused' }]]);
  assert.deepEqual(log[4].slice(1), ['r', [message]]);
  assert.deepEqual(await zg.sendBroadcastMessage('r', 'hello'), { errorCode: 0, extendedData: '' });
  assert.deepEqual(world.called('sendBroadcastMessage'), [{ roomID: 'r', message: 'hello' }]);
  await rejectsWith(zg.sendBroadcastMessage('other', 'hello'), 1000002);
  world.answers.sendBroadcastMessage = () => {
    throw { code: 1009002, message: 'too long' };
  };
  await rejectsWith(zg.sendBroadcastMessage('r', 'x'), 1009002);
});

test('barrage messages, commands and the note on the room', async (t) => {
  const { world, zg } = setUp(t);
  const log = [];
  for (const name of ['IMRecvBarrageMessage', 'IMRecvCustomCommand', 'roomExtraInfoUpdate']) zg.on(name, (...a) => log.push([name, ...a]));
  await rejectsWith(zg.sendCustomCommand('r', 'x', []), 1000002);
  await zg.loginRoom('r', '04x', user);
  const message = { fromUser: bert, message: 'wow', sendTime: 1, messageID: '2' };
  const note = { key: 'topic', value: 'budget', updateUser: bert, updateTime: 3 };
  world.socket.notify('IMRecvBarrageMessage', { roomID: 'r', list: [message] });
  world.socket.notify('IMRecvCustomCommand', { roomID: 'r', fromUser: bert, command: 'wave' });
  world.socket.notify('roomExtraInfoUpdate', { roomID: 'r', roomExtraInfoList: [note] });
  assert.deepEqual(log, [
    ['IMRecvBarrageMessage', 'r', [message]], ['IMRecvCustomCommand', 'r', bert, 'wave'], ['roomExtraInfoUpdate', 'r', [note]],
  ]);
  const ok = { errorCode: 0, extendedData: '' };
  assert.deepEqual(await zg.sendBarrageMessage('r', 'wow'), ok);
  assert.deepEqual(await zg.sendCustomCommand('r', 'wave', ['bert']), ok);
  assert.deepEqual(await zg.sendCustomCommand('r', 'wave'), ok);
  assert.deepEqual(await zg.setRoomExtraInfo('r', 'topic', 'budget'), ok);
  assert.deepEqual(world.calls.slice(-4), [
    ['sendBarrageMessage', { roomID: 'r', message: 'wow' }], ['sendCustomCommand', { roomID: 'r', command: 'wave', toUserIDList: ['bert'] }],
    ['sendCustomCommand', { roomID: 'r', command: 'wave', toUserIDList: [] }], ['setRoomExtraInfo', { roomID: 'r', key: 'topic', value: 'budget' }],
  ]);
});

test('switchRoom leaves one room and enters the other', async (t) => {
  const { world, zg, log } = setUp(t);
  await rejectsWith(zg.switchRoom('r', 'q', { token: '04y' }), 1000002);
  await zg.loginRoom('r', '04x', user);
  await rejectsWith(zg.switchRoom('r', 'q q', { token: '04y' }), 1002012);
  log.length = 0;
  assert.equal(await zg.switchRoom('r', 'q', { token: '04y', isUserStatusNotify: true }), true);
  assert.deepEqual(log.filter((l) => l.startsWith('state')), ['state DISCONNECTED 0', 'state CONNECTING 0', 'state CONNECTED 0']);
  const { roomID, token, config } = world.called('loginRoom').at(-1);
  assert.deepEqual([roomID, token, config.userUpdate], ['q', '04y', true]);
});

test('what this service cannot do says so, and its settings are accepted', async () => {
  new World();
  const zg = new ZegoExpressEngine(1, 'ws://h.test');
  for (const name of ['use', 'setGeoFence', 'setEngineOptions', 'setCloudProxyConfig', 'setLocalProxyConfig', 'presetLogConfig']) {
    assert.equal(ZegoExpressEngine[name]({}), undefined, name);
  }
  for (const [name, code] of Object.entries({
    startMixerTask: 1005010, stopMixerTask: 1005011, startAutoMixerTask: 1005010, stopAutoMixerTask: 1005011, setMixerTaskConfig: 1100001,
    addPublishCdnUrl: 1003040, removePublishCdnUrl: 1003040, setAudioFrameCallback: 1100001, setCaptureAudioFrameCallback: 1100001,
    sendTransparentMessage: 1100001, callExperimentalAPI: 1100001,
  })) await rejectsWith(zg[name]('x'), code);
  assert.deepEqual([zg.sendSEI('s'), zg.getNextUrl('s'), zg.enableMultiRoom(true), zg.setLogConfig({}), zg.uploadLog()], [false, '', false, true, undefined]);
  await rejectsWith(zg.getPublishingStreamQuality('s'), 1103040);
  await rejectsWith(zg.getPlayingStreamQuality('s'), 1004002);
});

test('renewToken checks the form and the new token is the next login\'s', async (t) => {
  const { world, zg } = setUp(t);
  assert.equal(zg.renewToken('04new'), false, 'not logged in');
  await zg.loginRoom('r', '04old', user);
  assert.equal(zg.renewToken('nonsense'), false);
  assert.equal(zg.renewToken('04new', 'r'), true);
  await settle();
  assert.deepEqual(world.called('renewToken'), [{ roomID: 'r', token: '04new' }]);
  world.socket.cut();
  await settle();
  assert.equal(world.called('loginRoom').at(-1).token, '04new');
});

test('a faulty callback harms nobody else', async (t) => {
  const { zg, log } = setUp(t);
  const faults = [];
  globalThis.reportError = (e) => faults.push(e.message);
  t.after(() => delete globalThis.reportError);
  zg.off('roomStateUpdate');
  zg.on('roomStateUpdate', () => {
    throw new Error('oops');
  });
  zg.on('roomStateUpdate', (r, state) => log.push(state));
  assert.equal(await zg.loginRoom('r', '04x', user), true);
  assert.deepEqual(faults, ['oops', 'oops']);
  assert.equal(log.includes('CONNECTED'), true);
});

test('the version is the package\'s', () => {
  new World();
  assert.equal(new ZegoExpressEngine(1, 'ws://h.test').getVersion(), require('../package.json').version);
});
