//! The data folder: whose it is, how much room there is, and how long the disk takes to keep something.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use i18n::{Lang, words};
use system::clock::Stopwatch;
use tokio::{sync::oneshot, time::timeout};

use super::{finding::Finding, installation::Installation};
use crate::chinese;

/// A disk that needs longer for all of it is not usable.
const TIME_MAX: Duration = Duration::from_secs(20);
/// No further round is begun after this time.
const ROUNDS_TIME_MAX: Duration = Duration::from_secs(4);
const ROUNDS: usize = 32;
/// About what a batch of callbacks needs.
const ROUND_BYTES: usize = 4096;
/// No disk keeps anything so soon, not even one with a memory of its own.
const TOO_FAST: Duration = Duration::from_micros(30);
const SLOW: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(1);
const FREE_BYTES_MIN: u64 = 256 << 20;
const FREE_BYTES_FEW: u64 = 2 << 30;
const FREE_INODES_FEW: u64 = 1000;

/// File systems by their number. Source: linux/magic.h, statfs(2).
const FILE_SYSTEMS: [(u64, &str, Sort); 16] = [
    (0xef53, "ext4", Sort::Local),
    (0x5846_5342, "xfs", Sort::Local),
    (0x9123_683e, "btrfs", Sort::Local),
    (0x2fc1_2fc1, "zfs", Sort::Local),
    (0xf2f5_2010, "f2fs", Sort::Local),
    (0xca45_1a4e, "bcachefs", Sort::Local),
    (0x0102_1994, "tmpfs", Sort::Memory),
    (0x8584_58f6, "ramfs", Sort::Memory),
    (0x794c_7630, "overlay", Sort::Overlay),
    (0x6969, "nfs", Sort::Network),
    (0xff53_4d42, "cifs", Sort::Network),
    (0xfe53_4d42, "smb", Sort::Network),
    (0x0102_1997, "9p", Sort::Network),
    (0x00c3_6400, "ceph", Sort::Network),
    (0x6573_5546, "fuse", Sort::Network),
    (0x5265_4973, "reiserfs", Sort::Local),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Local,
    /// Gone with the machine.
    Memory,
    /// Usually a container's, gone with it.
    Overlay,
    /// Locks and syncs are another machine's.
    Network,
}

/// Looks at the folder. On a thread of its own, for a disk may hang and the command must end all the same.
pub async fn check(scene: &Installation) -> Vec<Finding> {
    let (folder, lang) = (scene.config.data_dir.clone(), scene.lang);
    let (told, findings) = oneshot::channel();
    // Nobody listens any more after the time is over.
    thread::spawn(move || drop(told.send(look(&folder, lang))));
    if let Ok(Ok(findings)) = timeout(TIME_MAX, findings).await {
        return findings;
    }
    let found = lang.pick("the disk does not answer within 20 s", "磁盘 20 秒内没有响应");
    let remedy = lang.pick("see dmesg, and the machine's storage", "请查看 dmesg 和存储设备");
    vec![Finding::problem("disk_sync", found, remedy)]
}

fn look(folder: &Path, lang: Lang) -> Vec<Finding> {
    let Ok(about) = fs::metadata(folder) else { return vec![missing(folder, lang)] };
    let mut findings = vec![owner(folder, about.uid(), lang)];
    findings.extend(space(folder, lang));
    let file_system = file_system(folder);
    findings.extend(file_system.map(|(name, sort)| durable(&name, sort, lang)));
    findings.push(match measure(folder) {
        Ok(took) => synced(took, lang),
        Err(error) => {
            let remedy = lang
                .pick("run msgcube doctor as the user that serves", "请以运行服务的用户执行 msgcube doctor");
            let found = lang.pick(
                format!("nothing can be written to {}: {error}", folder.display()),
                format!("无法写入 {}：{}", folder.display(), chinese::error(lang, &error.to_string())),
            );
            Finding::problem("disk_sync", found, remedy)
        }
    });
    findings
}

fn missing(folder: &Path, lang: Lang) -> Finding {
    let found = lang.pick(
        format!("{} is not there yet; the first start makes it", folder.display()),
        format!("{} 尚不存在，首次启动时自动创建", folder.display()),
    );
    Finding::note("data_dir", found)
}

/// A start as root leaves files that the service cannot write.
fn owner(folder: &Path, uid: u32, lang: Lang) -> Finding {
    let foreign = strangers(folder, uid);
    let shown = folder.display();
    match foreign.first() {
        None => Finding::ok(
            "data_dir",
            lang.pick(format!("{shown}: all of user {uid}"), format!("{shown}：均属于用户 {uid}")),
        ),
        Some(first) => {
            let (number, first) = (foreign.len(), first.display());
            let found = lang.pick(
                format!("{shown} is of user {uid}, and {number} files in it are not: {first}"),
                format!("{shown} 属于用户 {uid}，其中 {number} 个文件不属于该用户：{first}"),
            );
            Finding::problem("data_dir", found, format!("chown -R {uid} {shown}"))
        }
    }
}

fn strangers(folder: &Path, uid: u32) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = list(folder).chain(list(&folder.join("log")));
    all.filter(|path| fs::symlink_metadata(path).is_ok_and(|about| about.uid() != uid)).collect()
}

fn space(folder: &Path, lang: Lang) -> Option<Finding> {
    let about = rustix::fs::statvfs(folder).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let (size, inodes) = (words::size(free), about.f_favail);
    // Some file systems have as many as they like, and say 0.
    let has_inodes = about.f_files > 0;
    let found = if has_inodes {
        lang.pick(format!("{size} and {inodes} inodes free"), format!("剩余 {size}，inode {inodes} 个"))
    } else {
        lang.pick(format!("{size} free"), format!("剩余 {size}"))
    };
    let remedy = lang.pick(
        "make room: on a full disk callbacks are not taken (about 15 bytes a message are needed)",
        "请腾出空间：磁盘写满后不再接收回调（每条消息约占 15 字节）",
    );
    Some(match free {
        0..FREE_BYTES_MIN => Finding::problem("disk_space", found, remedy),
        FREE_BYTES_MIN..FREE_BYTES_FEW => Finding::warning("disk_space", found, remedy),
        _ if has_inodes && inodes < FREE_INODES_FEW => Finding::warning("disk_space", found, remedy),
        _ => Finding::ok("disk_space", found),
    })
}

fn file_system(folder: &Path) -> Option<(String, Sort)> {
    let number = u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()? & 0xffff_ffff;
    let known = FILE_SYSTEMS.iter().find(|(known, ..)| *known == number);
    Some(known.map_or((format!("{number:#x}"), Sort::Local), |(_, name, sort)| ((*name).to_owned(), *sort)))
}

fn durable(name: &str, sort: Sort, lang: Lang) -> Finding {
    let (found, remedy) = match sort {
        Sort::Local => return Finding::ok("file_system", name),
        Sort::Memory => (
            lang.pick("in memory: all is lost with the machine", "位于内存：关机即全部丢失"),
            lang.pick("put data_dir on a disk", "请将 data_dir 放在磁盘上"),
        ),
        Sort::Overlay => (
            lang.pick("a container's own layer: lost with the container", "容器自身的可写层：随容器一起丢失"),
            lang.pick("mount a volume at data_dir", "请在 data_dir 挂载数据卷"),
        ),
        Sort::Network => (
            lang.pick(
                "not a disk of this machine: what a sync and a lock mean there is another's business",
                "不是本机磁盘：落盘与加锁取决于对端",
            ),
            lang.pick("put data_dir on a local disk", "请将 data_dir 放在本地磁盘上"),
        ),
    };
    Finding::warning("file_system", lang.pick(format!("{name}, {found}"), format!("{name}，{found}")), remedy)
}

/// How long it takes to write and keep a little, many times. The file is removed.
fn measure(folder: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::Builder::new().prefix(".msgcube-doctor-").tempfile_in(folder)?;
    let whole = Stopwatch::start();
    let mut took = Vec::with_capacity(ROUNDS);
    while took.len() < ROUNDS && whole.elapsed() < ROUNDS_TIME_MAX {
        let round = Stopwatch::start();
        file.write_all(&[0x6d; ROUND_BYTES])?;
        file.as_file().sync_data()?;
        took.push(round.elapsed());
    }
    file.close()?;
    Ok(took)
}

fn synced(mut took: Vec<Duration>, lang: Lang) -> Finding {
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let worst = took.last().copied().unwrap_or_default();
    let (middle, most, rounds) = (words::time(median), words::time(worst), took.len());
    let found = lang.pick(
        format!("write and sync: {middle} at the median, {most} at worst ({rounds} rounds)"),
        format!("写入并落盘：中位数 {middle}，最慢 {most}（{rounds} 次）"),
    );
    if median < TOO_FAST {
        let remedy = lang.pick(
            "so fast that nothing may be kept: check that the disk (or the virtual machine's) does not ignore syncs",
            "快得可疑，可能并未真正落盘：请确认磁盘（或虚拟机的磁盘）没有忽略 sync",
        );
        return Finding::warning("disk_sync", found, remedy);
    }
    if median > SLOW || worst > SLOWEST {
        let remedy = lang.pick(
            "every callback waits for it, 4.5 s at most: use a faster disk, or find what else writes there",
            "每个回调都要等待落盘（最多 4.5 秒）：请换用更快的磁盘，或查明还有什么在写入",
        );
        return Finding::warning("disk_sync", found, remedy);
    }
    Finding::ok("disk_sync", found)
}
