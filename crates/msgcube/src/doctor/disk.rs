//! The data folder: its owner, its free space, its file system, and how long a sync takes.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use i18n::{Text, format, text};
use system::clock::Stopwatch;
use tokio::{sync::oneshot, time::timeout};

use super::{finding::Finding, installation::Installation};

/// Time limit for all checks of the disk.
const TIME_MAX: Duration = Duration::from_secs(20);
/// No further round begins after this time.
const ROUNDS_TIME_MAX: Duration = Duration::from_secs(4);
const ROUNDS: usize = 32;
/// About the size of a batch of callbacks.
const ROUND_BYTES: usize = 4096;
/// No disk makes data durable this fast, not even one with a protected cache.
const TOO_FAST: Duration = Duration::from_micros(30);
const SLOW: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(1);
const FREE_BYTES_MIN: u64 = 256 << 20;
const FREE_BYTES_FEW: u64 = 2 << 30;
const FREE_INODES_FEW: u64 = 1000;

/// File systems by their number. Source: linux/magic.h, statfs(2).
const FILE_SYSTEMS: [(u64, &str, StorageKind); 16] = [
    (0xef53, "ext4", StorageKind::Local),
    (0x5846_5342, "xfs", StorageKind::Local),
    (0x9123_683e, "btrfs", StorageKind::Local),
    (0x2fc1_2fc1, "zfs", StorageKind::Local),
    (0xf2f5_2010, "f2fs", StorageKind::Local),
    (0xca45_1a4e, "bcachefs", StorageKind::Local),
    (0x0102_1994, "tmpfs", StorageKind::Memory),
    (0x8584_58f6, "ramfs", StorageKind::Memory),
    (0x794c_7630, "overlay", StorageKind::Overlay),
    (0x6969, "nfs", StorageKind::Network),
    (0xff53_4d42, "cifs", StorageKind::Network),
    (0xfe53_4d42, "smb", StorageKind::Network),
    (0x0102_1997, "9p", StorageKind::Network),
    (0x00c3_6400, "ceph", StorageKind::Network),
    (0x6573_5546, "fuse", StorageKind::Network),
    (0x5265_4973, "reiserfs", StorageKind::Local),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum StorageKind {
    Local,
    /// In memory: lost when the machine stops.
    Memory,
    /// Usually the layer of a container: lost with the container.
    Overlay,
    /// On another machine, which decides what a lock and a sync mean.
    Network,
}

/// Checks the folder. Runs on its own thread: a disk may hang, and the command must end anyway.
pub async fn check(installation: &Installation) -> Vec<Finding> {
    let folder = installation.config.data_dir.clone();
    let (sender, findings) = oneshot::channel();
    // The receiver is gone after the time limit.
    thread::spawn(move || drop(sender.send(check_folder(&folder))));
    if let Ok(Ok(findings)) = timeout(TIME_MAX, findings).await {
        return findings;
    }
    let found = text!("the disk does not answer within 20 s");
    let remedy = text!("see dmesg, and the machine's storage");
    vec![Finding::problem("disk_sync", found, remedy)]
}

fn check_folder(folder: &Path) -> Vec<Finding> {
    let Ok(about) = fs::metadata(folder) else { return vec![missing(folder)] };
    let mut findings = vec![owner(folder, about.uid())];
    findings.extend(space(folder));
    let file_system = file_system(folder);
    findings.extend(file_system.map(|(name, kind)| check_file_system(&name, kind)));
    findings.push(match measure(folder) {
        Ok(took) => check_sync_times(took),
        Err(error) => {
            let remedy = text!("run msgcube doctor as the user that serves");
            let found = text!(
                "nothing can be written to {folder}: {error}",
                folder = folder.display(),
                error = Text::from_english(error)
            );
            Finding::problem("disk_sync", found, remedy)
        }
    });
    findings
}

fn missing(folder: &Path) -> Finding {
    let found = text!("{folder} is not there yet; the first start makes it", folder = folder.display());
    Finding::note("data_dir", found)
}

/// Files of another owner: for example, a start as root leaves files that the service cannot write.
fn owner(folder: &Path, uid: u32) -> Finding {
    let foreign = files_of_others(folder, uid);
    let shown = folder.display();
    match foreign.first() {
        None => Finding::ok("data_dir", text!("{shown}: all files belong to user {uid}", shown, uid)),
        Some(first) => {
            let (number, first) = (foreign.len(), first.display());
            let found = text!(
                "{shown} belongs to user {uid}, but {number} files in it do not: {first}",
                shown,
                uid,
                number,
                first
            );
            Finding::problem("data_dir", found, format!("chown -R {uid} {shown}"))
        }
    }
}

fn files_of_others(folder: &Path, uid: u32) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = list(folder).chain(list(&folder.join("log")));
    all.filter(|path| fs::symlink_metadata(path).is_ok_and(|about| about.uid() != uid)).collect()
}

fn space(folder: &Path) -> Option<Finding> {
    let about = rustix::fs::statvfs(folder).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let (size, inodes) = (format::size(free), about.f_favail);
    // Some file systems have no limit of inodes and report 0.
    let has_inodes = about.f_files > 0;
    let found = if has_inodes {
        text!("{size} and {inodes} inodes free", size, inodes)
    } else {
        text!("{size} free", size)
    };
    let remedy =
        text!("make room: on a full disk callbacks are not accepted (a message needs about 15 bytes)");
    Some(match free {
        0..FREE_BYTES_MIN => Finding::problem("disk_space", found, remedy),
        FREE_BYTES_MIN..FREE_BYTES_FEW => Finding::warning("disk_space", found, remedy),
        _ if has_inodes && inodes < FREE_INODES_FEW => Finding::warning("disk_space", found, remedy),
        _ => Finding::ok("disk_space", found),
    })
}

fn file_system(folder: &Path) -> Option<(String, StorageKind)> {
    let number = u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()? & 0xffff_ffff;
    let known = FILE_SYSTEMS.iter().find(|(known, ..)| *known == number);
    Some(
        known.map_or((format!("{number:#x}"), StorageKind::Local), |(_, name, kind)| {
            ((*name).to_owned(), *kind)
        }),
    )
}

fn check_file_system(name: &str, kind: StorageKind) -> Finding {
    let (found, remedy) = match kind {
        StorageKind::Local => return Finding::ok("file_system", name.to_owned()),
        StorageKind::Memory => {
            (text!("in memory: all is lost with the machine"), text!("put data_dir on a disk"))
        }
        StorageKind::Overlay => {
            (text!("a container's own layer: lost with the container"), text!("mount a volume at data_dir"))
        }
        StorageKind::Network => (
            text!("not a disk of this machine: what a sync and a lock mean there is unknown"),
            text!("put data_dir on a local disk"),
        ),
    };
    Finding::warning("file_system", text!("{name}, {found}", name, found), remedy)
}

/// Measures how long a small write with a sync takes, several times. The file is removed.
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

fn check_sync_times(mut took: Vec<Duration>) -> Finding {
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let worst = took.last().copied().unwrap_or_default();
    let (middle, most, rounds) = (format::time(median), format::time(worst), took.len());
    let found = text!(
        "write and sync: {middle} at the median, {most} at worst ({rounds} rounds)",
        middle,
        most,
        rounds
    );
    if median < TOO_FAST {
        let remedy = text!(
            "too fast to be durable: check that the disk (or the virtual machine's) does not ignore syncs"
        );
        return Finding::warning("disk_sync", found, remedy);
    }
    if median > SLOW || worst > SLOWEST {
        let remedy = text!(
            "every callback waits for it, 4.5 s at most: use a faster disk, or find what else writes there"
        );
        return Finding::warning("disk_sync", found, remedy);
    }
    Finding::ok("disk_sync", found)
}
