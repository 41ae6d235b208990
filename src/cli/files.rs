//! Files that a command reads and writes, before it does either.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Refuses what could not be written or would be lost: outputs over inputs or over each other, into no folder, over what is no
/// file. Each path comes with the option that names it.
pub(super) fn keep_apart(read: &[(&str, &Path)], written: &[(&str, Option<&Path>)]) -> Result<()> {
    let written: Vec<(&str, &Path)> = written.iter().filter_map(|(name, path)| Some((*name, (*path)?))).collect();
    let read: Vec<(&str, PathBuf)> = read.iter().map(|(name, path)| (*name, place(&file_of(path)))).collect();
    for (i, (name, path)) in written.iter().enumerate() {
        writable(path)?;
        let ours = place(path);
        let other = read.iter().find(|(_, theirs)| *theirs == ours || theirs.is_dir() && ours.starts_with(theirs));
        let other = other.map(|(other, _)| *other);
        let twice = || written[..i].iter().find(|(_, earlier)| place(earlier) == ours).map(|(other, _)| *other);
        if let Some(other) = other.or_else(twice) {
            return Err(Error::file(path, format!("{name} would overwrite {other}: give it another name")));
        }
    }
    Ok(())
}

/// The file that an argument names: of `FILE.npz:NAME` the archive.
fn file_of(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.rsplit_once(".npz:").map_or_else(|| path.to_path_buf(), |(file, _)| PathBuf::from(format!("{file}.npz")))
}

/// Where a path leads, links followed; of what is not there yet, where it would be.
fn place(path: &Path) -> PathBuf {
    let there = || {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(there).unwrap_or_else(|| path.to_path_buf())
}

/// Refuses a path that no file can be written to: before an hour of work rather than after it.
fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::file(folder, "no such folder to write into"));
    }
    match path.metadata() {
        Ok(there) if there.is_dir() => return Err(Error::file(path, "a folder; give the name of a file")),
        Ok(there) if !there.is_file() => {
            return Err(Error::file(path, "no ordinary file; it would be replaced by one"));
        }
        _ => {}
    }
    tempfile::Builder::new().prefix(".limbeck-").tempfile_in(folder).map_err(Error::io(folder))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_read_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("images")).unwrap();
        for name in ["rows.csv", "arrays.npz", "images/a.png"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let refuse = |read: &str, out: &str| {
            keep_apart(&[("--data", &at(read))], &[("--out", Some(&at(out)))]).unwrap_err().to_string()
        };
        assert!(refuse("rows.csv", "rows.csv").contains("would overwrite --data"));
        assert!(refuse("rows.csv", "images/../rows.csv").contains("would overwrite --data"));
        assert!(refuse("arrays.npz:x", "arrays.npz").contains("would overwrite --data"));
        assert!(refuse("images", "images/b.npy").contains("would overwrite --data"));
        assert!(refuse("rows.csv", "images").contains("a folder"));
        assert!(refuse("rows.csv", "no/such/model").contains("no such folder"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("rows.csv"), at("link")).unwrap();
            assert!(refuse("link", "rows.csv").contains("would overwrite --data"));
            assert!(refuse("rows.csv", "link").contains("would overwrite --data"));
            let null = keep_apart(&[], &[("--out", Some(Path::new("/dev/null")))]).unwrap_err();
            assert!(null.to_string().contains("no ordinary file"), "{null}");
        }
        let (a, b) = (at("a"), at("a"));
        assert!(keep_apart(&[], &[("--out", Some(&a)), ("--checkpoint", Some(&b))]).is_err());
        keep_apart(&[("--data", &at("rows.csv"))], &[("--out", Some(&at("model")))]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3 + usize::from(cfg!(unix)));
    }
}
