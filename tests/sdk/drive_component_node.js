// The unmodified third-party platform of node-easywechat 3.6.2 (base URL: its setting `http.baseURL`): it decrypts the pushes,
// stores the ticket, gets its tokens and calls the seven interfaces for the account.
'use strict';
const assert = require('node:assert/strict');
const http = require('node:http');
const { once, EventEmitter } = require('node:events');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { CacheInterface, OpenPlatform, ServerRequest } = require('node-easywechat');
const WXBizMsgCrypt = require('wechat-crypto');

const env = process.env;
const base = env.MSGCUBE_TEST_BASE;
const account = { appid: env.MSGCUBE_TEST_APPID, token: env.MSGCUBE_TEST_TOKEN, key: env.MSGCUBE_TEST_AES_KEY };
const platform = {
  appid: env.MSGCUBE_TEST_COMPONENT, secret: env.MSGCUBE_TEST_COMPONENT_SECRET, token: env.MSGCUBE_TEST_COMPONENT_TOKEN,
  key: env.MSGCUBE_TEST_COMPONENT_AES_KEY, port: Number(env.MSGCUBE_TEST_PUSH_PORT),
};
const own = `${base}/v1/components/${platform.appid}`;
const authorization = { Authorization: `Bearer ${env.MSGCUBE_TEST_ADMIN_KEY}` };
const scenario = JSON.parse(readFileSync(path.join(__dirname, 'scenario.json'), 'utf8'));
const now = Date.parse('2026-03-02T09:00:00+08:00') / 1000;

async function sendAll() {
  const cryptor = new WXBizMsgCrypt(account.token, account.key, account.appid);
  let index = 0;
  for (const group of scenario.groups) {
    for (let n = 0; n < group.count; n += 1) {
      const tail = group.type === 'event' ? '<Event>subscribe</Event><EventKey></EventKey>'
        : `<MsgId>${BigInt(group.first_msg_id) + BigInt(n)}</MsgId>`;
      const encrypt = cryptor.encrypt(`<xml><ToUserName>gh_sdktest</ToUserName><FromUserName>${group.user}</FromUserName>`
        + `<CreateTime>${Date.parse(group.at) / 1000 + n * group.step_s}</CreateTime><MsgType>${group.type}</MsgType>${tail}</xml>`);
      index += 1;
      const signed = { timestamp: String(now), nonce: `n${index}`, encrypt_type: 'aes' };
      signed.msg_signature = cryptor.getSignature(signed.timestamp, signed.nonce, encrypt);
      const answer = await fetch(`${base}/callback/${account.appid}?${new URLSearchParams(signed)}`,
        { method: 'POST', body: `<xml><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>` });
      assert.equal(await answer.text(), 'success');
    }
  }
}

async function askOwn(method, what, body) {
  const answer = await fetch(`${own}/${what}`, { method, headers: authorization, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return JSON.parse(text);
}

// The address of the platform for events, as users write it. The SDK needs a new application for each request.
async function listen(newApp, events) {
  const server = http.createServer(async (req, res) => {
    const app = newApp();
    app.setRequest(await ServerRequest.createFromIncomingMessage(req));
    const handling = app.getServer();
    handling.handleAuthorized((message, next) => { events.emit('authorized', message); return next(message); });
    handling.handleAuthorizeUpdated((message, next) => { events.emit('updateauthorized', message); return next(message); });
    handling.handleUnauthorized((message, next) => { events.emit('unauthorized', message); return next(message); });
    const response = await handling.serve();
    res.end(response.getBody().toString());
    events.emit('taken');
  }).listen(platform.port, '127.0.0.1');
  await once(server, 'listening');
}

async function ask(client, { interface: name, begin, end }) {
  const answer = await client.request('post', `datacube/${name}`, { json: { begin_date: begin, end_date: end } });
  return answer.toObject();
}

async function rows(client) {
  for (const wanted of scenario.answers) {
    assert.deepEqual(await ask(client, wanted), { list: wanted.list });
  }
  for (const wanted of scenario.errors) {
    const { errcode, errmsg } = await ask(client, wanted);
    assert.deepEqual([errcode, errmsg.split(' rid: ')[0]], [wanted.errcode, wanted.errmsg]);
  }
}

// Users replace the cache like this. The default writes files into the working folder.
class MemoryCache extends CacheInterface {
  kept = new Map();

  async get(key, otherwise = null) { return this.kept.get(key) ?? otherwise; }

  async set(key, value) { this.kept.set(key, value); return true; }

  async has(key) { return this.kept.has(key); }

  async delete(key) { return this.kept.delete(key); }
}

async function main() {
  await sendAll();
  const cache = new MemoryCache();
  const newApp = () => {
    const app = new OpenPlatform({
      app_id: platform.appid, secret: platform.secret, token: platform.token, aes_key: platform.key,
      http: { baseURL: `${base}/`, throw: false },
    });
    return app.setCache(cache);
  };
  const app = newApp();
  const events = new EventEmitter();
  await listen(newApp, events);
  const taken = once(events, 'taken');
  const start = JSON.stringify({ component_appid: platform.appid, component_secret: platform.secret });
  const started = await (await fetch(`${base}/cgi-bin/component/api_start_push_ticket`, { method: 'POST', body: start })).json();
  assert.equal(started.errcode, 0);
  await taken;
  assert.match(await app.getVerifyTicket().getTicket(), /^ticket@@@/);
  assert.match((await app.createPreAuthorizationCode()).pre_auth_code, /^preauthcode@@@/);

  const authorized = once(events, 'authorized');
  const { auth_code: code } = await askOwn('POST', 'authorizations', { appid: account.appid, permission_sets: [1, 15] });
  const given = await app.getAuthorization(code);
  assert.equal(given.getAppId(), account.appid);
  assert.equal((await authorized)[0].get('AuthorizerAppid'), account.appid);
  await assert.rejects(app.getAuthorization(code), /61010/);
  await rows(app.getOfficialAccountWithAccessToken(account.appid, given.getAccessToken().getToken()).getClient());

  // The refresh token changes. The previous one is valid until the new one is used.
  const first = given.getRefreshToken();
  const second = (await app.refreshAuthorizerToken(account.appid, first)).authorizer_refresh_token;
  assert.notEqual(second, first);
  assert.equal((await app.refreshAuthorizerToken(account.appid, first)).authorizer_refresh_token, second);
  const renewed = await app.refreshAuthorizerToken(account.appid, second);
  await rows(app.getOfficialAccountWithAccessToken(account.appid, renewed.authorizer_access_token).getClient());
  await assert.rejects(app.refreshAuthorizerToken(account.appid, 'unknown'), /61023/);

  // The token of the platform reads no account.
  const wrong = app.getOfficialAccountWithAccessToken(account.appid, await app.getComponentAccessToken().getToken()).getClient();
  assert.equal((await ask(wrong, scenario.answers[0])).errcode, 61015);
  const withdrawn = once(events, 'unauthorized');
  await askOwn('DELETE', `authorizations/${account.appid}`);
  await withdrawn;
  const late = app.getOfficialAccountWithAccessToken(account.appid, renewed.authorizer_access_token).getClient();
  assert.equal((await ask(late, scenario.answers[0])).errcode, 61003);
  await assert.rejects(app.refreshAuthorizerToken(account.appid, renewed.authorizer_refresh_token), /61003|61023/);
  console.log('node-easywechat as a third-party platform: ticket, tokens, all rows, errors, refreshes and events as expected');
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
