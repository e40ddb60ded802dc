//! The configuration: what is allowed and probably not meant, and who can read the secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use i18n::Lang;
use server::config::{AccountConfig, Oddity};
use system::data_key::{DataKey, DataKeyError};

use super::{finding::Finding, installation::Installation};
use crate::chinese;

/// Settings that are secrets themselves, where their name does not end in `_file`.
const SECRETS: [&str; 8] = [
    "admin_key",
    "secret",
    "secret_key",
    "upstream_secret",
    "token",
    "token_previous",
    "encoding_aes_key",
    "encoding_aes_key_previous",
];

/// A configuration that cannot be used: the one thing to say.
pub fn unusable(lang: Lang, why: &str) -> Finding {
    let remedy = lang
        .pick("correct it; `msgcube serve` would not start with it", "请更正；否则 `msgcube serve` 无法启动");
    Finding::problem("configuration", chinese::error(lang, why), remedy)
}

/// What can be said of the whole file. `path` is where it stands.
pub fn check(scene: &Installation, path: &Path) -> Vec<Finding> {
    let mut findings = vec![read(scene, path), readable(scene, path), data_key(scene), admin_key(scene)];
    if scene.config.accounts.is_empty() {
        let found = scene.lang.pick("no [[account]] in it", "其中没有 [[account]]");
        findings.push(Finding::note("accounts", found));
    }
    findings
}

fn read(scene: &Installation, path: &Path) -> Finding {
    let (accounts, listen, path) = (scene.config.accounts.len(), scene.config.listen, path.display());
    let found = scene.lang.pick(
        format!("{path}: read; accounts: {accounts}; listens on {listen}"),
        format!("{path}：可用；公众号 {accounts} 个；监听 {listen}"),
    );
    Finding::ok("configuration", found)
}

/// Everyone on the machine could read them. A group may: that is how a service gets at files of root.
fn readable(scene: &Installation, path: &Path) -> Finding {
    let mut files = secret_files(path);
    files.extend(scene.config.tls.as_ref().map(|tls| tls.key.clone()));
    let total = files.len();
    let open: Vec<String> =
        files.iter().filter(|file| is_open(file)).map(|file| file.display().to_string()).collect();
    if open.is_empty() {
        let found = scene.lang.pick(
            format!("files with secrets: {total}, none readable by every user of this machine"),
            format!("含密钥的文件 {total} 个，均非所有用户可读"),
        );
        return Finding::ok("secret_files", found);
    }
    let names = open.join(" ");
    let found = scene.lang.pick(
        format!("every user of this machine can read secrets in {}", open.join(", ")),
        format!("本机所有用户都能读取其中的密钥：{}", open.join("、")),
    );
    Finding::warning("secret_files", found, format!("chmod o-rwx {names}"))
}

/// Readable for all, in folders that all may enter.
fn is_open(file: &Path) -> bool {
    let has = |path: &Path, bit| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & bit != 0);
    let file = file.canonicalize().unwrap_or(file.to_owned());
    has(&file, 0o004) && file.ancestors().skip(1).all(|folder| has(folder, 0o001))
}

/// The files with secrets that a configuration names, and itself if it holds some.
fn secret_files(path: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let Ok(table) = toml::from_str::<toml::Table>(&text) else { return Vec::new() };
    let arrays = ["account", "component", "cloud"].into_iter().filter_map(|name| table.get(name)?.as_array());
    let tables: Vec<&toml::Table> =
        arrays.flatten().filter_map(toml::Value::as_table).chain(std::iter::once(&table)).collect();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (key, value) in tables.iter().flat_map(|table| table.iter()) {
        let Some(text) = value.as_str() else { continue };
        if SECRETS.contains(&key.as_str()) {
            files.push(path.to_owned());
        } else if key.strip_suffix("_file").is_some_and(|name| SECRETS.contains(&name)) {
            files.push(folder.join(text));
        }
    }
    files.sort();
    files.dedup();
    files
}

/// It is only looked at: making one is the server's business.
fn data_key(scene: &Installation) -> Finding {
    let path = scene.config.data_key_file.display();
    match DataKey::load(&scene.config.data_key_file) {
        Ok(Some(_)) => {
            let found = scene.lang.pick(
                format!("{path}: whole, readable for its owner only, outside data_dir"),
                format!("{path}：完整，仅所有者可读，位于 data_dir 之外"),
            );
            Finding::ok("data_key", found)
        }
        Ok(None) if has_data(&scene.config.data_dir) => {
            let found = scene.lang.pick(
                format!("{path} is missing, and there is data that belongs to it"),
                format!("{path} 不存在，而 data_dir 中已有数据"),
            );
            let remedy = scene.lang.pick(
                "restore it from its backup; msgcube serve does not start without it, and says how to go on with another",
                "请从备份恢复；没有它，msgcube serve 不启动，并会说明怎样换用另一个密钥",
            );
            Finding::problem("data_key", found, remedy)
        }
        Ok(None) => {
            let found = scene.lang.pick(
                format!("{path} is not there yet; the first start makes it"),
                format!("{path} 尚不存在，首次启动时自动生成"),
            );
            Finding::note("data_key", found)
        }
        Err(error) => unusable_key(scene.lang, &error),
    }
}

fn has_data(folder: &Path) -> bool {
    ["pages.redb", "log"].iter().any(|name| folder.join(name).exists())
}

fn unusable_key(lang: Lang, error: &DataKeyError) -> Finding {
    let (found, remedy) = match error {
        DataKeyError::File { path, source } => (
            format!("{}: {source}", path.display()),
            lang.pick(
                "run msgcube doctor as the user that serves, or as root".to_owned(),
                "请以运行服务的用户或 root 执行 msgcube doctor".to_owned(),
            ),
        ),
        DataKeyError::Length { path, found } => (
            lang.pick(
                format!("{} has {found} bytes instead of 32", path.display()),
                format!("{} 有 {found} 字节，应为 32 字节", path.display()),
            ),
            lang.pick(
                "restore it from a backup, or remove it: a new one is made, and all tokens end".to_owned(),
                "请从备份恢复；或将其删除，启动时会生成新的，所有 token 随之失效".to_owned(),
            ),
        ),
        DataKeyError::Open { path, mode } => (
            lang.pick(
                format!("{} can be read by others (mode {mode:o})", path.display()),
                format!("{} 可被其他用户读取（权限 {mode:o}）", path.display()),
            ),
            format!("chmod 600 {}", path.display()),
        ),
    };
    Finding::problem("data_key", found, remedy)
}

fn admin_key(scene: &Installation) -> Finding {
    let lang = scene.lang;
    if scene.config.admin_key.is_some() {
        return Finding::ok("admin_key", lang.pick("set", "已设置"));
    }
    let found =
        lang.pick("no admin_key: /v1 and /metrics are closed", "未设置 admin_key：/v1 与 /metrics 已关闭");
    let remedy = lang.pick(
        "set admin_key_file, or MSGCUBE_ADMIN_KEY for this command as for the server",
        "请设置 admin_key_file；若服务用环境变量 MSGCUBE_ADMIN_KEY，执行本命令时也请设置",
    );
    Finding::warning("admin_key", found, remedy)
}

/// What can be said of one account's settings.
pub fn account(lang: Lang, account: &AccountConfig) -> Vec<Finding> {
    let oddities = account.oddities();
    let mut findings: Vec<Finding> = oddities.iter().map(|oddity| odd(lang, account, *oddity)).collect();
    if !oddities.contains(&Oddity::PlainTaken) {
        let found = lang.pick("plain callbacks are refused", "拒绝明文回调");
        findings.push(Finding::ok("require_encryption", found));
    }
    findings
}

fn odd(lang: Lang, account: &AccountConfig, oddity: Oddity) -> Finding {
    match oddity {
        Oddity::AppidForm => Finding::note(
            "appid_form",
            lang.pick(
                "WeChat's appids are wx and 16 hexadecimal digits",
                "微信的 AppID 是 wx 加 16 位十六进制数字",
            ),
        ),
        Oddity::SecretLength => Finding::note(
            "secret_length",
            lang.pick(
                "the secret has not 32 characters, as WeChat's have; a value of your own is fine",
                "secret 不是微信那样的 32 个字符；自行设定的值无妨",
            ),
        ),
        Oddity::PlainTaken if account.encoding_aes_key.is_none() => Finding::warning(
            "require_encryption",
            lang.pick(
                "no encoding_aes_key: plain callbacks only, and nothing proves their content",
                "未设置 encoding_aes_key：只接收明文回调，其内容无法验证",
            ),
            lang.pick(
                "choose safe mode at WeChat, set encoding_aes_key and require_encryption = true",
                "请在微信后台选择安全模式，并设置 encoding_aes_key 和 require_encryption = true",
            ),
        ),
        Oddity::PlainTaken => Finding::warning(
            "require_encryption",
            lang.pick(
                "plain callbacks are taken, too, and nothing proves their content",
                "也接收明文回调，其内容无法验证",
            ),
            lang.pick(
                "choose safe mode at WeChat and set require_encryption = true",
                "请在微信后台选择安全模式，并设置 require_encryption = true",
            ),
        ),
    }
}
