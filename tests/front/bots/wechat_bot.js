// A bot with npm `wechat` in `connect`, as in its README. The text of the user chooses the reply: xml, success or empty.
// It answers in the mode of the request.  wechat_bot.js TOKEN AES_KEY APPID
'use strict';
const connect = require('connect');
const wechat = require('wechat');

const [token, encodingAESKey, appid] = process.argv.slice(2);

const app = connect();
app.use((req, res, next) => {
  req.query = Object.fromEntries(new URL(req.url, 'http://127.0.0.1').searchParams);
  next();
});
app.use('/wechat', wechat({ token, appid, encodingAESKey }, (req, res) => {
  const text = req.weixin.Content || 'success';
  if (text.startsWith('xml')) {
    res.reply(`${text} & 你好 <b>`);
  } else if (text.startsWith('empty')) {
    res.reply('');
  } else {
    res.end('success');
  }
}));

const server = app.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
