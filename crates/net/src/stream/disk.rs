//! `Disk`: where the bytes of a file come from. On a remote file system (a network's, or a process's by FUSE) any
//! call may wait for another machine, and the kernel does not tell beforehand.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::{File, Metadata};
use std::hash::BuildHasher;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use crate::runtime::waker::lock;

/// See the module's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Disk {
    pub(super) device: u64,
    pub(super) is_remote: bool,
}

/// What was seen of the system's disks, for all workers of the process. The connections' threads and those that open
/// files meet here for a look.
#[derive(Default)]
struct Seen {
    disks: Vec<Disk>,
    /// The disks of files, by the hashes of their folders' paths.
    folders: HashMap<u64, Disk>,
}

static SEEN: LazyLock<(Mutex<Seen>, RandomState)> = LazyLock::new(Default::default);

impl Disk {
    /// The disk of `file`. For the first file of a remote disk it may wait.
    pub(super) fn of(file: &File, metadata: &Metadata) -> Self {
        let device = metadata.dev();
        let known = |disk: &&Self| disk.device == device;
        if let Some(disk) = lock(&SEEN.0).disks.iter().find(known) {
            return *disk;
        }
        let is_remote = is_remote(file);
        let disk = Self { device, is_remote };
        let mut seen = lock(&SEEN.0);
        if seen.disks.len() == MOST_DISKS {
            seen.disks.clear();
        }
        seen.disks.push(disk);
        disk
    }

    /// Notes that the file at `path` is on this disk, as others in the same folder are.
    pub(super) fn note_path(self, path: &Path) {
        let hash = hash(path);
        let mut seen = lock(&SEEN.0);
        if seen.folders.len() == MOST_FOLDERS {
            seen.folders.clear();
        }
        seen.folders.insert(hash, self);
    }
}

/// True if a file in the same folder was on a local disk.
pub(super) fn is_known_local(path: &Path) -> bool {
    of_folder(path).is_some_and(|disk| !disk.is_remote)
}

/// The disk of the last file that was opened in the same folder.
pub(super) fn of_folder(path: &Path) -> Option<Disk> {
    lock(&SEEN.0).folders.get(&hash(path)).copied()
}

fn hash(path: &Path) -> u64 {
    SEEN.1.hash_one(path.parent().map(Path::as_os_str))
}

#[cfg(target_os = "linux")]
fn is_remote(file: &File) -> bool {
    // A file system that does not answer is none of the quick ones.
    let Ok(facts) = rustix::fs::fstatfs(file) else {
        return true;
    };
    // The type's width and sign are the architecture's.
    let kind = i128::from(facts.f_type) & 0xffff_ffff;
    REMOTE.contains(&kind)
}

#[cfg(not(target_os = "linux"))]
fn is_remote(_: &File) -> bool {
    false
}

const MOST_DISKS: usize = 64;
const MOST_FOLDERS: usize = 4096;
/// NFS, FUSE, SMB, CIFS, SMB2, 9P, Ceph, AFS (twice), Coda, Lustre, GFS2, OCFS2, VirtualBox: `f_type` of statfs(2).
#[cfg(target_os = "linux")]
const REMOTE: [i128; 14] = [
    0x6969,
    0x6573_5546,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x6b41_4653,
    0x7375_7245,
    0x0bd0_0bd0,
    0x0116_1970,
    0x7461_636f,
    0x786f_4256,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let file = File::open(&path).unwrap();
        let disk = Disk::of(&file, &file.metadata().unwrap());
        assert_eq!(Disk::of(&file, &file.metadata().unwrap()), disk);
        assert!(!is_known_local(&path));
        Disk {
            is_remote: true,
            ..disk
        }
        .note_path(&path);
        assert!(!is_known_local(&path));
        assert!(of_folder(&path).is_some_and(|disk| disk.is_remote));
        Disk {
            is_remote: false,
            ..disk
        }
        .note_path(&path);
        assert!(is_known_local(&path.with_file_name("other")));
        assert!(!is_known_local(folder.path()));
    }
}
