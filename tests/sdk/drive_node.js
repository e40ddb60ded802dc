// wechat-api 1.35.1 calls the seven interfaces (base URL: its property `endpoint`). wechat-crypto, which wechat 2.1.0 uses,
// makes the encrypted callbacks. A bot with wechat must accept the same callbacks.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const WechatAPI = require('wechat-api');
const WXBizMsgCrypt = require('wechat-crypto');
const wechat = require('wechat');

const env = process.env;
const base = env.MSGCUBE_TEST_BASE;
const appid = env.MSGCUBE_TEST_APPID;
const secret = env.MSGCUBE_TEST_SECRET;
const account = { token: env.MSGCUBE_TEST_TOKEN, appid, encodingAESKey: env.MSGCUBE_TEST_AES_KEY };
const scenario = JSON.parse(readFileSync(path.join(__dirname, 'scenario.json'), 'utf8'));
const now = Date.parse('2026-03-02T09:00:00+08:00') / 1000;
const cryptor = new WXBizMsgCrypt(account.token, account.encodingAESKey, appid);

const methods = {
  getupstreammsg: 'getUpstreamMsg', getupstreammsghour: 'getUpstreamMsgHour', getupstreammsgweek: 'getUpstreamMsgWeek',
  getupstreammsgmonth: 'getUpstreamMsgMonth', getupstreammsgdist: 'getUpstreamMsgDist',
  getupstreammsgdistweek: 'getUpstreamMsgDistWeek', getupstreammsgdistmonth: 'getUpstreamMsgDistMonth',
};

function* messages() {
  for (const group of scenario.groups) {
    for (let index = 0; index < group.count; index += 1) {
      const created = Date.parse(group.at) / 1000 + index * group.step_s;
      const tail = group.type === 'event'
        ? '<Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[]]></EventKey>'
        : `<Content><![CDATA[你好]]></Content><MsgId>${BigInt(group.first_msg_id) + BigInt(index)}</MsgId>`;
      yield `<xml><ToUserName><![CDATA[gh_sdktest]]></ToUserName><FromUserName><![CDATA[${group.user}]]></FromUserName>`
        + `<CreateTime>${created}</CreateTime><MsgType><![CDATA[${group.type}]]></MsgType>${tail}</xml>`;
    }
  }
}

function plainQuery(nonce) {
  const signature = crypto.createHash('sha1').update([account.token, String(now), nonce].sort().join('')).digest('hex');
  return { signature, timestamp: String(now), nonce };
}

function safe(xml, nonce, by = cryptor) {
  const encrypt = by.encrypt(xml);
  const query = { ...plainQuery(nonce), encrypt_type: 'aes', msg_signature: by.getSignature(String(now), nonce, encrypt) };
  return { query, body: `<xml><ToUserName><![CDATA[gh_sdktest]]></ToUserName><Encrypt><![CDATA[${encrypt}]]></Encrypt></xml>` };
}

// Compatible mode: the body has Encrypt and clear fields. The clear fields must not be counted.
function compatible(xml, nonce) {
  const { query, body } = safe(xml, nonce);
  return { query, body: body.replace('</xml>', '<FromUserName>somebody else</FromUserName><CreateTime>1770000000</CreateTime>'
    + '<MsgType>text</MsgType><MsgId>99</MsgId></xml>') };
}

async function post(url, { query, body }) {
  const answer = await fetch(`${url}?${new URLSearchParams(query)}`, { method: 'POST', headers: { 'Content-Type': 'text/xml' }, body });
  return { status: answer.status, text: await answer.text() };
}

// Each callback goes to msgcube and to a bot with `wechat`. Both must accept it.
async function sendAll() {
  const seen = [];
  const bot = wechat(account, (req, res) => { seen.push(req.weixin.FromUserName); res.reply(''); });
  const server = http.createServer((req, res) => {
    req.query = Object.fromEntries(new URL(req.url, 'http://127.0.0.1').searchParams);
    bot(req, res, (error) => { res.writeHead(500); res.end(String(error)); });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const botUrl = `http://127.0.0.1:${server.address().port}/`;
  let index = 0;
  for (const xml of messages()) {
    const callback = index % 2 ? safe(xml, `n${index}`) : compatible(xml, `n${index}`);
    assert.deepEqual(await post(`${base}/callback/${appid}`, callback), { status: 200, text: 'success' }, xml);
    assert.equal((await post(botUrl, callback)).status, 200);
    if (index % 3 === 0) {
      const again = { query: plainQuery(`again${index}`), body: xml };
      assert.deepEqual(await post(`${base}/callback/${appid}`, again), { status: 200, text: 'success' }, xml);
    }
    index += 1;
  }
  assert.equal(seen.length, index);
  assert.ok(!seen.includes('somebody else'));
  server.closeAllConnections();
  server.close();
}

async function refusals() {
  const xml = messages().next().value.replace('user-anna', 'an intruder');
  const wrongToken = new WXBizMsgCrypt('another', account.encodingAESKey, appid);
  const wrongAppid = new WXBizMsgCrypt(account.token, account.encodingAESKey, 'wx0000000000000fff');
  for (const by of [wrongToken, wrongAppid]) {
    const { status, text } = await post(`${base}/callback/${appid}`, safe(xml, 'x', by));
    assert.ok(status >= 400 && status < 500 && text !== 'success', `${status} ${text}`);
  }
}

const call = (api, { interface: name, begin, end }) => new Promise((resolve, reject) => {
  api[methods[name]](begin, end, (error, data) => (error ? reject(error) : resolve(data)));
});

function newApi(withSecret = secret) {
  const api = new WechatAPI(appid, withSecret);
  api.endpoint = base;
  return api;
}

async function rows() {
  const api = newApi();
  for (const wanted of scenario.answers) {
    assert.deepEqual(await call(api, wanted), { list: wanted.list });
  }
  for (const wanted of scenario.errors) {
    await assert.rejects(call(api, wanted), (error) => error.name === 'WeChatAPIError' && error.code === wanted.errcode
      && error.message.startsWith(`${wanted.errmsg} rid: `));
  }
  await assert.rejects(call(newApi('wrong'), scenario.answers[0]), { code: 40125 });
}

async function stableToken(forceRefresh) {
  const body = JSON.stringify({ grant_type: 'client_credential', appid, secret, force_refresh: forceRefresh });
  return (await (await fetch(`${base}/cgi-bin/stable_token`, { method: 'POST', body })).json()).access_token;
}

// wechat-api repeats a call once after 40001, with the token from its getToken. So its store must have forgotten the token.
async function refresh() {
  const old = await stableToken(false);
  assert.notEqual(await stableToken(true), old);
  const kept = [{ accessToken: old, expireTime: Date.now() + 7000000 }];
  const saved = [];
  const api = new WechatAPI(appid, secret, (callback) => callback(null, kept.pop()),
    (token, callback) => { saved.push(token); callback(null); });
  api.endpoint = base;
  assert.deepEqual(await call(api, scenario.answers[0]), { list: scenario.answers[0].list });
  assert.equal(saved.length, 1);
  assert.notEqual(saved[0].accessToken, old);
}

async function main() {
  await refusals();
  await sendAll();
  await rows();
  await refresh();
  console.log('wechat-api, wechat and wechat-crypto: all rows, errors and refreshes as expected');
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
