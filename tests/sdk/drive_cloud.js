// wx-server-sdk 4.0.2 calls the seven interfaces by cloud calls. The results must equal those of the HTTPS interface. The SDK
// signs with the clock of the machine, so the server uses that clock too. A server with another clock must refuse the call.
// Then plain calls of Cloud Hosting, which need no token from an allowed address.
'use strict';
process.env.TENCENTCLOUD = 'true'; // otherwise the SDK would first call services of the cloud
const assert = require('node:assert/strict');
const http = require('node:http');
const { readFileSync } = require('node:fs');
const path = require('node:path');

const env = process.env;
const base = env.MSGCUBE_TEST_REAL_CLOCK_BASE;
const otherClock = env.MSGCUBE_TEST_BASE;
const appid = env.MSGCUBE_TEST_APPID;
const scenario = JSON.parse(readFileSync(path.join(__dirname, 'scenario.json'), 'utf8'));
const right = { env: 'cloud-sdk-test', secretId: 'secret-id-of-the-cloud', secretKey: 'secret-key-of-the-cloud' };
const uncertified = 'wx00000000000000a5';
const notInCloud = 'wx00000000000000a1';

const methods = {
  getupstreammsg: 'getUpstreamMsg', getupstreammsghour: 'getUpstreamMsgHour', getupstreammsgweek: 'getUpstreamMsgWeek',
  getupstreammsgmonth: 'getUpstreamMsgMonth', getupstreammsgdist: 'getUpstreamMsgDist',
  getupstreammsgdistweek: 'getUpstreamMsgDistWeek', getupstreammsgdistmonth: 'getUpstreamMsgDistMonth',
};

// The SDK keeps the settings of its first init, so each cloud needs a fresh SDK.
function cloudOf(config = {}, server = base) {
  delete require.cache[require.resolve('wx-server-sdk')];
  const cloud = require('wx-server-sdk');
  cloud.init({ ...right, serviceUrl: `${server}/cloud/admin`, ...config });
  return cloud;
}

const camel = (object) => Object.fromEntries(Object.entries(object)
  .map(([key, value]) => [key.replace(/_[a-z]/g, (match) => match[1].toUpperCase()), value]));

// The JSON parser of the SDK makes objects without a prototype.
const plain = (value) => JSON.parse(JSON.stringify(value));

async function feed() {
  const lines = [];
  for (const group of scenario.groups) {
    for (let index = 0; index < group.count; index += 1) {
      const CreateTime = Date.parse(group.at) / 1000 + index * group.step_s;
      const rest = group.type === 'event' ? { Event: 'subscribe', EventKey: '' }
        : { MsgId: String(BigInt(group.first_msg_id) + BigInt(index)) };
      lines.push(JSON.stringify({ FromUserName: group.user, CreateTime, MsgType: group.type, ...rest }));
    }
  }
  const answer = await fetch(`${base}/v1/accounts/${appid}/messages`, { method: 'POST', body: lines.join('\n'),
    headers: { Authorization: 'Bearer sdk-test-admin-key' } });
  assert.deepEqual(await answer.json(), { accepted: lines.length, duplicate: 0, rejected: 0, errors: [] });
}

async function tokenOf() {
  const query = new URLSearchParams({ grant_type: 'client_credential', appid, secret: env.MSGCUBE_TEST_SECRET });
  return (await (await fetch(`${base}/cgi-bin/token?${query}`)).json()).access_token;
}

// A plain POST from an address of this machine.
const post = (query, dates, localAddress, name = 'getupstreammsgmonth') => new Promise((resolve, reject) => {
  const request = http.request(`${base}/datacube/${name}?${new URLSearchParams(query)}`, { method: 'POST', localAddress });
  request.on('error', reject).on('response', async (response) => {
    let text = '';
    for await (const piece of response) text += piece;
    resolve({ ...JSON.parse(text), seqid: response.headers['x-openapi-seqid'], hint: response.headers['x-msgcube-hint'] });
  });
  request.end(JSON.stringify(dates));
});

async function rows(token) {
  const camelCase = cloudOf().openapi({ appid }).officialAccount.datacube;
  const snakeCase = cloudOf().openapi({ appid, convertCase: false, version: 'v2' }).officialAccount.datacube;
  const asked = new Set();
  for (const { interface: name, begin, end, list: known } of scenario.answers) {
    const dates = { begin_date: begin, end_date: end };
    const { list } = await post({ access_token: token }, dates, undefined, name);
    // Periods that were open at the time of the scenario have ended by the clock of the machine. Their rows come last.
    assert.deepEqual(list.slice(0, known.length), known, name);
    const ok = { errCode: 0, errMsg: `openapi.officialAccount.datacube.${methods[name]}:ok` };
    assert.deepEqual(plain(await camelCase[methods[name]](camel(dates))), { list: list.map(camel), ...ok }, name);
    assert.deepEqual(plain(await snakeCase[methods[name]](dates)), { list, ...ok }, name);
    asked.add(name);
  }
  assert.equal(asked.size, 7);
}

const month = { beginDate: '2026-02-01', endDate: '2026-02-01' };

async function refused(cloud, options, code, message, dates = month, method = 'getUpstreamMsgMonth') {
  const call = cloud.openapi(options).officialAccount.datacube[method](dates);
  await assert.rejects(call, (error) => {
    assert.equal(error.errCode, code, error.errMsg);
    assert.match(error.errMsg, message);
    return true;
  });
}

async function errors() {
  const fail = 'openapi\\.officialAccount\\.datacube\\.';
  for (const wanted of scenario.errors.filter(({ end }) => end < '2026-03-02')) {
    const method = methods[wanted.interface];
    const dates = { beginDate: wanted.begin, endDate: wanted.end };
    await refused(cloudOf(), { appid }, wanted.errcode, new RegExp(`^${fail}${method}:fail ${wanted.errmsg} rid: `), dates, method);
  }
  await refused(cloudOf(), { appid, convertCase: false }, 61500, /:fail date format error rid: /);
  await refused(cloudOf(), { appid: uncertified }, 48001, /:fail api unauthorized rid: /);
  await refused(cloudOf(), { appid: notInCloud }, -501006, /wx api error: -605108, appid unauthorized/);
  await refused(cloudOf(), { appid }, -604100, /^system error: error code: -604100$/, month, 'getUserSummary');
  await refused(cloudOf({ secretKey: 'another' }), { appid }, -501001, /signature error; check secretKey/);
  await refused(cloudOf({ secretId: 'another' }), { appid }, -501001, /secret id error; /);
  await refused(cloudOf({ env: 'another' }), { appid }, -501001, /Env invalid; /);
  await refused(cloudOf({}, otherClock), { appid }, -501001, /signature is expired; /);
  // Without an appid the first account of the cloud is used.
  const first = await cloudOf().openapi({ convertCase: true }).officialAccount.datacube.getUpstreamMsgMonth(month);
  assert.equal(first.errCode, 0);
}

async function hosting(token) {
  const dates = { begin_date: '2026-02-01', end_date: '2026-02-01' };
  const { list } = await post({ access_token: token }, dates);
  const near = '127.0.0.2';
  for (const query of [{}, { cloudbase_access_token: 'kept-by-the-side-car' }, { from_appid: appid }]) {
    const answer = await post(query, dates, near);
    assert.deepEqual(answer.list, list);
    assert.ok(answer.seqid);
  }
  assert.equal((await post({ from_appid: notInCloud }, dates, near)).errcode, 48001);
  assert.equal((await post({ from_appid: uncertified }, dates, near)).errcode, 48001);
  assert.equal((await post({ access_token: 'wrong' }, dates, near)).errcode, 40001);
  for (const query of [{}, { cloudbase_access_token: 'x' }, { from_appid: appid }]) {
    const answer = await post(query, dates, '127.0.0.3');
    assert.equal(answer.errcode, 41001);
    assert.equal(answer.seqid, undefined);
  }
  assert.match((await post({ cloudbase_access_token: 'x' }, dates, '127.0.0.3')).hint, /allow_from .* 127\.0\.0\.3/);
}

async function counted() {
  const headers = { Authorization: 'Bearer sdk-test-admin-key' };
  const metrics = await (await fetch(`${base}/metrics`, { headers })).text();
  for (const reason of ['wrong_signature', 'unknown_secret_id', 'unknown_env', 'appid_not_allowed', 'unknown_api']) {
    assert.match(metrics, new RegExp(`msgcube_cloud_calls_total\\{result="refused",reason="${reason}"\\} 1\n`));
  }
}

async function main() {
  await feed();
  const token = await tokenOf();
  await rows(token);
  await errors();
  await hosting(token);
  await counted();
  console.log('wx-server-sdk and Cloud Hosting: all rows and errors as expected');
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
