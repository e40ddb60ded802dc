//! Help of commands, arguments and possible values.

use super::Texts;

/// One line each.
#[rustfmt::skip]
pub(super) static TEXTS: Texts = &[
    ("Counts the messages users send to WeChat Official Accounts, exactly, and answers WeChat's own interfaces for them", "精确统计用户发给公众号的消息，并原样应答微信的消息分析接口"),
    // commands
    ("Take callbacks and answer the interfaces", "启动服务：接收回调，应答接口"),
    ("Look at an installation, from its configuration to what WeChat meets, and say what to do", "检查整个安装，从配置到微信看到的样子，并说明该怎么做"),
    ("Make up a realistic year for a few accounts, show last month, and serve it", "生成几个公众号一整年的模拟消息，显示上月数据并启动服务"),
    ("Ask WeChat, or any server of its interface, for figures", "向微信或任何提供该接口的服务器查询数据"),
    ("Ask any server of its interface, or WeChat itself, what is known of it, and show where they agree", "逐项核对某个服务器（或微信本身）的应答是否与该接口一致"),
    ("Send a signed callback as WeChat does", "像微信一样签名并推送一条消息"),
    ("Send files of messages to a running server", "把消息文件导入运行中的服务"),
    ("Add, show, change and remove accounts of a running server", "增加、查看、修改、移除运行中服务的公众号"),
    ("Make, list and end keys for the own interface of a running server", "新建、列出、作废运行中服务的 /v1 密钥"),
    ("Let a running server read its configuration file again", "让运行中的服务重新读取配置文件"),
    ("Certificates for HTTPS", "HTTPS 证书"),
    ("Make an own authority and a certificate, for SDKs that have WeChat's host written into them", "自建证书颁发机构并签发证书，供写死微信域名的 SDK 使用"),
    ("Print a script that completes commands and options", "打印命令和选项的自动补全脚本（英文）"),
    ("Write manual pages to a folder", "把 man 手册页（英文）写入目录"),
    ("Add an account; secrets that are not given are made up and shown once", "增加公众号；未给出的机密自动生成，只显示一次"),
    ("List the accounts", "列出公众号"),
    ("Show an account, without its secrets", "查看一个公众号，不含机密"),
    ("Change settings of an account that was added at run time", "修改运行中增加的公众号的设置"),
    ("Stop serving an account that was added at run time; what was counted stays, its tokens end", "停止服务运行中增加的公众号；已统计的数据保留，token 失效"),
    ("Make a new EncodingAESKey, callback token or secret, shown once; the former key and token are still taken", "更换 EncodingAESKey、Token 或 secret，只显示一次；原有的 EncodingAESKey 和 Token 仍然接受"),
    ("Make a key, shown once", "新建密钥，只显示一次"),
    ("List the keys, without the keys themselves", "列出密钥，不含密钥本身"),
    ("End a key", "作废密钥"),
    // several commands
    ("Language of what people read [default: that of the environment]", "显示语言 [默认：由环境变量决定]"),
    ("English", "英文"),
    ("Chinese (simplified)", "简体中文"),
    ("How the log is written", "日志格式"),
    ("For people", "供人阅读"),
    ("For machines: one JSON object a line", "供程序读取：每行一个 JSON 对象"),
    ("The configuration file", "配置文件"),
    ("Where msgcube listens, if not where the configuration says", "msgcube 的监听地址，默认取自配置"),
    ("Print one JSON object", "输出一个 JSON 对象"),
    ("The account's appid", "公众号的 appid"),
    ("File with the account's secret", "存放公众号 secret 的文件"),
    ("The account's secret. Other users of this machine see it in `ps`: prefer MSGCUBE_SECRET or --secret-file", "公众号的 secret。本机其他用户能用 `ps` 看到它，建议改用 MSGCUBE_SECRET 或 --secret-file"),
    ("An access token, used as it is. Shows up in `ps`: prefer MSGCUBE_ACCESS_TOKEN", "直接使用的 access_token。会出现在 `ps` 中，建议改用 MSGCUBE_ACCESS_TOKEN"),
    ("Take appid and secret from msgcube's configuration; --appid chooses among several accounts", "从 msgcube 的配置读取 appid 和 secret；有多个公众号时用 --appid 指定"),
    ("The server's configuration: its address and admin key are used", "服务的配置文件：从中取地址和管理密钥"),
    ("Where msgcube listens, such as http://127.0.0.1:8060, if not where the configuration says", "msgcube 的监听地址，如 http://127.0.0.1:8060，默认取自配置"),
    ("A key with the scope admin. Shows up in `ps`: prefer MSGCUBE_ADMIN_KEY or --admin-key-file", "有 admin 权限的密钥。会出现在 `ps` 中，建议改用 MSGCUBE_ADMIN_KEY 或 --admin-key-file"),
    ("File with that key", "存放该密钥的文件"),
    ("Print the server's answer as JSON", "以 JSON 输出服务的应答"),
    ("Its appid", "公众号的 appid"),
    // serve
    ("Address to listen on, instead of the configuration's; port 0 takes a free one", "监听地址，代替配置中的；端口 0 表示任选空闲端口"),
    ("The store's folder, instead of the configuration's", "数据目录，代替配置中的"),
    ("Go on with another data key than data_dir was made with: all tokens end, and what only the former key opens is lost", "data_dir 的数据密钥已换时仍然启动：所有 token 失效，只有原密钥能解开的内容将丢失"),
    ("Let the clock start at this moment, for trying things out", "让时钟从这一刻开始，供试验用"),
    // doctor
    ("Where WeChat reaches it, such as https://wx.example.com: callbacks are played there", "微信访问的地址，如 https://wx.example.com：模拟的回调发往这里"),
    ("Look at this account or platform only", "只检查这个公众号或第三方平台"),
    ("Play no messages: only WeChat's check of the address", "不模拟消息，只做微信的地址校验"),
    // demo
    ("The same seed gives the same accounts and, at the same moment, the same messages", "随机种子：相同的种子得到相同的公众号，同一时刻得到相同的消息"),
    ("How many messages: 1 is about 300,000 over all accounts", "消息的多少：1 约为所有公众号合计 30 万条"),
    ("How many accounts", "公众号个数"),
    ("Address to serve on; port 0 takes a free one", "监听地址；端口 0 表示任选空闲端口"),
    ("Where to keep the data [default: a temporary folder, removed at the end]", "数据目录 [默认：临时目录，结束时删除]"),
    ("Print the figures and exit instead of serving", "打印数据后退出，不启动服务"),
    // query
    ("Which figures", "查询哪种数据"),
    ("First day: YYYY, YYYY-MM or YYYY-MM-DD", "第一天：YYYY、YYYY-MM 或 YYYY-MM-DD"),
    ("Last day, likewise; yesterday in Beijing if not given or later", "最后一天，写法同上；不填或太晚则为北京时间昨天"),
    ("The server answers open periods too (`live = true`): let --to be today", "服务器也应答未结束的时段（`live = true`）：--to 可以是今天"),
    ("Where the interfaces are; WeChat's own if neither this nor --config says otherwise", "接口地址；本项和 --config 都没有时为微信的地址"),
    ("Print the rows as {\"list\":[…]}", "以 {\"list\":[…]} 输出各行"),
    ("Print the rows as CSV with a header", "以 CSV 输出各行，带表头"),
    // conformance
    ("The server to ask, such as https://api.weixin.qq.com; by default that of --config", "要核对的服务器，如 https://api.weixin.qq.com；默认取自 --config"),
    ("Also ask what ends tokens that others use", "也问会使他人的 token 失效的问题"),
    ("Let what is only assumed decide the exit status, too", "仅为推测的也计入退出状态码"),
    ("Milliseconds between calls; by default 250, and 0 on this machine or in a private network", "两次调用之间的毫秒数；默认 250，本机或内网为 0"),
    ("Trust the authorities in this file (PEM), too", "同时信任该文件（PEM）中的证书颁发机构"),
    ("Write what was asked and answered to this file", "把问答记录写入该文件"),
    ("Leave the real numbers of users and messages in the record", "记录中保留真实的人数和条数"),
    ("Judge a record; no server is asked", "核对已有的记录，不访问服务器"),
    ("Print the table in Markdown", "以 Markdown 输出表格"),
    // send
    ("The text to send; for other types the first field they have", "消息文本；其他类型则为其第一个字段"),
    ("Encrypt it (safe mode)", "加密（安全模式）"),
    ("The whole callback address", "完整的回调地址"),
    ("The server's address, in front of /callback/{appid}; by default that of the configuration", "服务器地址，即 /callback/{appid} 之前的部分；默认取自配置"),
    ("The account; needed if the configuration has several", "公众号；配置中有多个时必填"),
    ("The sender's openid", "发送者的 openid"),
    ("text, image, voice, video, shortvideo, link, location, event or any other MsgType", "text、image、voice、video、shortvideo、link、location、event 或其他 MsgType"),
    ("With --type event: its name", "--type event 时：事件名"),
    ("With --type event: its EventKey", "--type event 时：EventKey"),
    ("The message's number, by default a random one; the same one again is a repeat. An event has none by default", "消息编号，默认随机；同一编号再发一次即为重复。事件默认没有"),
    ("Unix seconds, by default now", "Unix 时间（秒），默认为现在"),
    ("The configuration to take token, key and address from", "从该配置读取 Token、EncodingAESKey 和地址"),
    ("The callback token, if not from the configuration", "回调的 Token，默认取自配置"),
    ("The EncodingAESKey, if not from the configuration", "EncodingAESKey，默认取自配置"),
    ("The third-party platform that brings the account: with the platform's token and key, and always encrypted", "公众号所属的第三方平台：使用平台的 Token 和密钥，且一律加密"),
    ("ToUserName: the account's gh_…, by default original_id of the configuration. An account of a platform needs it", "ToUserName，即公众号的 gh_…，默认取自配置的 original_id；平台的公众号必须给出"),
    ("File with the server's admin key, to see whether it was counted; by default that of the configuration", "存放管理密钥的文件，用来确认是否计入；默认取自配置"),
    ("Send a plain callback also where require_encryption is set: it is refused, and that moment stays a gap for good", "设置了 require_encryption 时也发送明文：会被拒绝，该时刻成为永久的缺口"),
    ("Print the request as a curl command, send nothing", "只打印等效的 curl 命令，不发送"),
    // import
    ("Files of WeChat's callbacks: JSON, one a line, or XML; gzip and zstd are unpacked; - is stdin", "微信消息文件：每行一条 JSON，或 XML；gzip、zstd 自动解压；- 为标准输入"),
    ("The server's configuration: its address, its admin key and its account are used", "服务的配置：使用其中的地址、管理密钥和公众号"),
    ("The account the messages belong to; needed if the configuration has several", "消息所属的公众号；配置中有多个时必须给出"),
    ("The server's admin key. Shows up in `ps`: prefer MSGCUBE_ADMIN_KEY or --admin-key-file", "服务的管理密钥。会出现在 `ps` 中，建议改用 MSGCUBE_ADMIN_KEY 或 --admin-key-file"),
    ("File with the server's admin key", "存放管理密钥的文件"),
    ("Claim that these days are complete once everything is imported, such as 2025-01-01..2025-12-31", "声明全部导入后这些天的数据完整，如 2025-01-01..2025-12-31"),
    ("How long a failing request is repeated, in seconds", "请求失败后持续重试的秒数"),
    ("Print the totals as JSON", "以 JSON 输出合计"),
    // account
    ("Its appid at WeChat", "公众号在微信的 appid"),
    ("File with the secret that callers of msgcube show", "存放调用方所用 secret 的文件"),
    ("File with WeChat's own secret, if that is to be another", "存放微信 AppSecret 的文件，与上一项不同时填写"),
    ("File with the callback token", "存放回调 Token 的文件"),
    ("File with the EncodingAESKey", "存放 EncodingAESKey 的文件"),
    ("Take plain callbacks, too: nothing proves their content", "也接收明文回调：其内容无从验证"),
    ("Refuse callbacks to another ToUserName (`gh_…`)", "拒收发给其他 ToUserName 的回调（`gh_…`）"),
    ("service, subscription or other", "service（服务号）、subscription（订阅号）或 other"),
    ("The account is not verified by WeChat: the seven interfaces answer 48001", "公众号未认证：七个接口返回 48001"),
    ("Pass callbacks on to this address, whose reply goes back to WeChat", "把回调转给这个地址，它的回复返回给微信"),
    ("Such as certified=false, quota_per_day=1000, token=@FILE, original_id= (which removes it), lists and tables as JSON: 'relay={\"url\":\"http://127.0.0.1:9000/wechat\",\"on_late\":\"success\"}'; names as in the configuration", "如 certified=false、quota_per_day=1000、token=@文件、original_id=（表示去掉该项）；列表和表用 JSON：'relay={\"url\":\"http://127.0.0.1:9000/wechat\",\"on_late\":\"success\"}'；键名同配置文件"),
    ("Do not ask whether an appid is meant that has not the form of WeChat's", "appid 不是微信的格式时不再询问"),
    ("What to make anew", "更换哪一项"),
    ("The key that callbacks are encrypted with", "加密回调的 EncodingAESKey"),
    ("The token that callbacks are signed with", "签名回调的 Token"),
    ("The secret that callers of msgcube show", "调用方所用的 secret"),
    // key
    ("What people call it", "名称，便于辨认"),
    ("read, read:APPID, write, write:APPID or admin; repeat it for several", "权限：read、read:APPID、write、write:APPID 或 admin；可重复填写"),
    ("How long it is good for", "有效天数"),
    ("Its id, as listed, or the key itself", "列表中的编号，或密钥本身"),
    // tls ca
    ("A DNS name or IP address that clients ask for; may be given several times", "客户端访问的域名或 IP 地址；可重复填写"),
    ("The folder for the four files; an authority that lies there is used again", "存放四个文件的目录；其中已有的证书颁发机构会继续使用"),
    ("How many days the server's certificate holds; some systems refuse more than 397", "证书的有效天数；有些系统拒绝超过 397 天的证书"),
    // completions, man
    ("The shell", "哪种 shell"),
    ("The folder to write them to", "写入的目录"),
];

/// What stands below the help, in several lines.
pub(super) static BLOCKS: Texts = &[
    (
        "\
It plays WeChat's check of the address and messages of 1970 by the user msgcube-doctor: they are answered as usual,
kept aside once, and never counted. Behind a relay they reach the bot, which may answer them; --no-post leaves them out.
A third-party platform's push_url gets a GET with a wrong signature, and none of the events that are played.
Status 0: no problems; 1: problems.",
        "\
模拟微信的地址校验和用户 msgcube-doctor 在 1970 年的消息：照常应答，只另存一份，绝不计入。设置了转发时机器人会收到这些消息，并可能作出回复；--no-post 不发送。
第三方平台的 push_url 只会收到一个签名错误的 GET，不会收到模拟的事件。
状态码：0 没有问题；1 有问题。",
    ),
    (
        "\
An account of a third-party platform: --config FILE --component PLATFORM --appid ACCOUNT --to gh_…
Whether it was counted shows in the account's figures before and after, if the admin key is known.
Status 0: accepted; 1: not accepted, or not counted though it is no repeat.",
        "\
第三方平台的公众号：--config 文件 --component 平台 --appid 公众号 --to gh_…
知道管理密钥时，会对比推送前后的数据，说明这条消息是否计入。
状态码：0 已接受；1 未接受，或并非重复却没有计入。",
    ),
    (
        "\
It reads figures of one account and changes nothing but the day's quota. Its token comes from stable_token in the mode that takes it from
nobody, or is given; only with --disturb it also asks GET /cgi-bin/token and force_refresh, which end tokens of others.
Dates are counted from today in Beijing. A record holds no secret, no token, no appid and, unless --keep-figures is given,
no numbers of users and messages: it can be sent in.
Status 0: all that is documented or seen agrees; 3: something of it differs or could not be seen; 1: it could not be asked.",
        "\
只读取一个公众号的数据，除消耗当日额度外不改动任何内容。token 以 stable_token 的普通模式获取，不影响他人，也可直接给出；加 --disturb 才会调用 GET /cgi-bin/token 和 force_refresh，它们会使他人的 token 失效。
日期从北京时间今天算起。记录中没有 secret、token 和 appid；不加 --keep-figures 则也没有人数和条数，可以放心提交。
状态码：0 凡有文档或有实例的都一致；3 有不一致或无法核对的；1 无法访问。",
    ),
];
