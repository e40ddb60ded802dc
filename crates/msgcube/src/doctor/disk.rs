//! The data folder: whose it is, how much room there is, and how long the disk takes to keep something.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use i18n::{Lang, format};
use i18n::{Text, text};
use system::clock::Stopwatch;
use tokio::{sync::oneshot, time::timeout};

use super::{finding::Finding, installation::Installation};

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
    let found = text!("the disk does not answer within 20 s").in_lang(lang);
    let remedy = text!("see dmesg, and the machine's storage").in_lang(lang);
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
            let remedy = text!("run msgcube doctor as the user that serves").in_lang(lang);
            let found = text!(
                "nothing can be written to {folder}: {error}",
                folder = folder.display(),
                error = Text::of_english(&error)
            )
            .in_lang(lang);
            Finding::problem("disk_sync", found, remedy)
        }
    });
    findings
}

fn missing(folder: &Path, lang: Lang) -> Finding {
    let found =
        text!("{folder} is not there yet; the first start makes it", folder = folder.display()).in_lang(lang);
    Finding::note("data_dir", found)
}

/// A start as root leaves files that the service cannot write.
fn owner(folder: &Path, uid: u32, lang: Lang) -> Finding {
    let foreign = strangers(folder, uid);
    let shown = folder.display();
    match foreign.first() {
        None => Finding::ok("data_dir", text!("{shown}: all of user {uid}", shown, uid).in_lang(lang)),
        Some(first) => {
            let (number, first) = (foreign.len(), first.display());
            let found = text!(
                "{shown} is of user {uid}, and {number} files in it are not: {first}",
                shown,
                uid,
                number,
                first
            )
            .in_lang(lang);
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
    let (size, inodes) = (format::size(free), about.f_favail);
    // Some file systems have as many as they like, and say 0.
    let has_inodes = about.f_files > 0;
    let found = if has_inodes {
        text!("{size} and {inodes} inodes free", size, inodes).in_lang(lang)
    } else {
        text!("{size} free", size).in_lang(lang)
    };
    let remedy =
        text!("make room: on a full disk callbacks are not taken (about 15 bytes a message are needed)")
            .in_lang(lang);
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
            text!("in memory: all is lost with the machine").in_lang(lang),
            text!("put data_dir on a disk").in_lang(lang),
        ),
        Sort::Overlay => (
            text!("a container's own layer: lost with the container").in_lang(lang),
            text!("mount a volume at data_dir").in_lang(lang),
        ),
        Sort::Network => (
            text!("not a disk of this machine: what a sync and a lock mean there is another's business")
                .in_lang(lang),
            text!("put data_dir on a local disk").in_lang(lang),
        ),
    };
    Finding::warning("file_system", text!("{name}, {found}", name, found).in_lang(lang), remedy)
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
    let (middle, most, rounds) = (format::time(median), format::time(worst), took.len());
    let found = text!(
        "write and sync: {middle} at the median, {most} at worst ({rounds} rounds)",
        middle,
        most,
        rounds
    )
    .in_lang(lang);
    if median < TOO_FAST {
        let remedy = text!("so fast that nothing may be kept: check that the disk (or the virtual machine's) does not ignore syncs").in_lang(lang);
        return Finding::warning("disk_sync", found, remedy);
    }
    if median > SLOW || worst > SLOWEST {
        let remedy = text!(
            "every callback waits for it, 4.5 s at most: use a faster disk, or find what else writes there"
        )
        .in_lang(lang);
        return Finding::warning("disk_sync", found, remedy);
    }
    Finding::ok("disk_sync", found)
}
