//! Snapshots of counterexamples, in insta's file format, so that `cargo insta review` works on them: a YAML header with
//! the plan, `---`, and the story. `.snap` is accepted, `.snap.new` is pending.
//!
//! A snapshot may come from a stranger. Reading one is bounded, and yields a plan of the model's own rules, or an error.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::Digest;

pub use super::portable::PlanError;
use super::portable::{self, PortablePlan};
use super::story::{headline, lasting};
use crate::check::CheckId;
use crate::generate::Plan;
use crate::model::Model;
use crate::shrink::Counterexample;

/// A counterexample as it is kept: what fails, the plan that shows it, and the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The name of the model.
    pub model: String,
    /// What fails.
    pub check: CheckId,
    /// The plan that shows it.
    pub plan: Plan,
    /// What fails, in a sentence.
    pub description: String,
    /// The story, the same for every run against the same bug.
    pub body: String,
}

/// What became of a snapshot that was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is accepted as it is.
    Unchanged,
    /// It waits for review in this file.
    Pending(PathBuf),
    /// It would wait for review in this file; nothing was written.
    WouldBePending(PathBuf),
}

/// Why a snapshot could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is larger than any counterexample.
    #[error("{path} is larger than {LARGEST} bytes, so it is no snapshot of gainsay's")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// It has no header, or not one of ours.
    #[error(
        "{path} is no snapshot of a counterexample: {reason}; give a file that `gainsay run` has written"
    )]
    Header {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// It belongs to another model.
    #[error(
        "{path} is of the model `{theirs}`, and this is `{ours}`; give the model that it was found with"
    )]
    OtherModel {
        /// The file.
        path: String,
        /// The model of the snapshot.
        theirs: String,
        /// The model that was given.
        ours: String,
    },
    /// The model has changed since.
    #[error(
        "the snapshot {path} is of an older model: {source}; run gainsay again to find the failure anew, or delete the file"
    )]
    Older {
        /// The file.
        path: String,
        /// What is different.
        source: PlanError,
    },
    /// The header could not be made.
    #[error("cannot write the header of a snapshot of {check}: {reason}")]
    Unwritable {
        /// The check.
        check: String,
        /// Why not.
        reason: String,
    },
}

/// The most bytes that a snapshot may have.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// The version of what stands under `info`.
const VERSION: u32 = 1;

/// insta's header. It knows more keys and may add them.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(default)]
    source: String,
    #[serde(default)]
    description: String,
    info: Info,
}

#[derive(Serialize, Deserialize)]
struct Info {
    gainsay: u32,
    model: String,
    check: CheckId,
    plan: PortablePlan,
}

impl Snapshot {
    /// The snapshot of a counterexample.
    pub fn new(model: &Model, found: &Counterexample) -> Snapshot {
        Snapshot {
            model: model.name.clone(),
            check: found.violation.id.clone(),
            plan: found.plan.clone(),
            description: headline(&found.violation.id),
            body: lasting(model, found).trim_end().to_owned(),
        }
    }

    /// The text of its file.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Unwritable`], which is a mistake of this program.
    pub fn to_text(&self, model: &Model) -> Result<String, SnapshotError> {
        let header = Header {
            // The path as it was given, but nobody's home.
            source: match Path::new(&model.path).is_absolute() {
                true => Path::new(&model.path)
                    .file_name()
                    .map_or(String::new(), |name| name.to_string_lossy().into_owned()),
                false => model.path.clone(),
            },
            description: self.description.clone(),
            info: Info {
                gainsay: VERSION,
                model: self.model.clone(),
                check: self.check.clone(),
                plan: portable::write(model, &self.plan),
            },
        };
        let options = serde_saphyr::ser_options! {
            // insta folds nothing, and the YAML reader that it has is an old one.
            prefer_block_scalars: false,
            // As insta writes it when a snapshot is accepted.
            compact_list_indent: false,
        };
        let header = serde_saphyr::to_string_with_options(&header, options).map_err(|error| {
            SnapshotError::Unwritable {
                check: self.check.to_string(),
                reason: error.to_string(),
            }
        })?;
        Ok(format!("---\n{}\n---\n{}\n", header.trim_end(), self.body))
    }

    /// Reads the text of a snapshot file. `path` is for errors only.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] where it is none, is another model's, or the model has changed since.
    pub fn parse(model: &Model, path: &str, text: &str) -> Result<Snapshot, SnapshotError> {
        if text.len() > LARGEST {
            return Err(SnapshotError::TooLarge {
                path: path.to_owned(),
            });
        }
        let bad = |reason: String| SnapshotError::Header {
            path: path.to_owned(),
            reason,
        };
        let (header, body) =
            split(text).ok_or_else(|| bad("it has no header between two lines of `---`".into()))?;
        let options = serde_saphyr::options! {
            strict_booleans: true,
        };
        let header: Header = serde_saphyr::from_str_with_options(header, options)
            .map_err(|error| bad(error.without_snippet().to_string()))?;
        let info = header.info;
        if info.gainsay != VERSION {
            return Err(bad(format!(
                "its plan is of version {}, and this program reads version {VERSION}",
                info.gainsay
            )));
        }
        if info.model != model.name {
            return Err(SnapshotError::OtherModel {
                path: path.to_owned(),
                theirs: info.model,
                ours: model.name.clone(),
            });
        }
        let plan = portable::read(model, &info.plan).map_err(|source| SnapshotError::Older {
            path: path.to_owned(),
            source,
        })?;
        Ok(Snapshot {
            model: info.model,
            check: info.check,
            plan,
            description: header.description,
            body: normal(body),
        })
    }

    /// Reads a snapshot file; where only a pending one is there, that.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`], see [`Snapshot::parse`].
    pub fn read(model: &Model, path: &Path) -> Result<Snapshot, SnapshotError> {
        let waiting = pending(path);
        let path = match !path.exists() && waiting.exists() {
            true => waiting.as_path(),
            false => path,
        };
        let text = read_bounded(path)?;
        Snapshot::parse(model, &path.display().to_string(), &text)
    }

    /// Where the accepted snapshot of a check is kept: `snapshots/worlds/submit_proposal.own_proposal.snap`.
    pub fn path(dir: &Path, model: &str, check: &CheckId) -> PathBuf {
        dir.join(file_name(model))
            .join(format!("{}.snap", file_name(&check.slug())))
    }
}

/// The folder of a model's snapshots.
pub fn folder(dir: &Path, model: &str) -> PathBuf {
    dir.join(file_name(model))
}

/// The path of the model that a snapshot names, as its header says it.
///
/// # Errors
///
/// [`SnapshotError`] where the file is no snapshot of gainsay's.
pub fn source(path: &Path) -> Result<PathBuf, SnapshotError> {
    #[derive(Deserialize)]
    struct Source {
        source: String,
    }
    let text = read_bounded(path)?;
    let not_ours = |reason: String| SnapshotError::Header {
        path: path.display().to_string(),
        reason,
    };
    let (header, _) = split(&text).ok_or_else(|| not_ours("it has no header".into()))?;
    serde_saphyr::from_str::<Source>(header)
        .map(|header| header.source.into())
        .map_err(|error| not_ours(error.to_string()))
}

/// Writes a snapshot as pending, unless one with the same story is accepted. With `ci` nothing is written.
///
/// # Errors
///
/// [`SnapshotError::Io`], and [`SnapshotError::Unwritable`].
pub fn write(
    dir: &Path,
    snapshot: &Snapshot,
    model: &Model,
    ci: bool,
) -> Result<Written, SnapshotError> {
    let accepted = Snapshot::path(dir, &snapshot.model, &snapshot.check);
    let waiting = pending(&accepted);
    let same = accepted.exists()
        && split(&read_bounded(&accepted)?)
            .is_some_and(|(_, body)| normal(body) == normal(&snapshot.body));
    if same {
        if !ci {
            match std::fs::remove_file(&waiting) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io("remove", &waiting)(error));
                }
                _ => {}
            }
        }
        return Ok(Written::Unchanged);
    }
    if ci {
        return Ok(Written::WouldBePending(waiting));
    }
    let text = snapshot.to_text(model)?;
    let folder = waiting.parent().unwrap_or(dir);
    std::fs::create_dir_all(folder).map_err(io("create", folder))?;
    // Whoever reads it meanwhile sees all of it, or none.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io("write in", folder))?;
    file.write_all(text.as_bytes())
        .map_err(io("write", &waiting))?;
    readable(file.as_file()).map_err(io("write", &waiting))?;
    file.persist(&waiting)
        .map_err(|error| io("write", &waiting)(error.error))?;
    Ok(Written::Pending(waiting))
}

/// Temporary files are for their owner alone; a snapshot is for everybody who has the project.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn pending(accepted: &Path) -> PathBuf {
    let mut name = accepted.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn io<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> SnapshotError + use<'a> {
    move |source| SnapshotError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

fn read_bounded(path: &Path) -> Result<String, SnapshotError> {
    let file = std::fs::File::open(path).map_err(io("read", path))?;
    let mut text = String::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX) + 1;
    file.take(most)
        .read_to_string(&mut text)
        .map_err(io("read", path))?;
    match text.len() > LARGEST {
        true => Err(SnapshotError::TooLarge {
            path: path.display().to_string(),
        }),
        false => Ok(text),
    }
}

/// The header and the body.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    let mut start = None;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        match (start, line.trim_end() == "---") {
            (None, true) => start = Some(end),
            (None, false) => return None,
            (Some(start), true) => return Some((&text[start..at], &text[end..])),
            (Some(_), false) => {}
        }
        at = end;
    }
    None
}

/// As insta compares: without what ends the text, and with plain line ends. What is normal stays as it is.
fn normal(body: &str) -> String {
    let lines = body.trim_end().split('\n');
    let plain: Vec<&str> = lines.map(|line| line.trim_end_matches('\r')).collect();
    plain.join("\n")
}

/// A name that is one segment of a path on every system. What is too long ends in a digest of the whole.
fn file_name(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if out.len() > 120 {
        let digest = sha2::Sha256::digest(name.as_bytes());
        out.truncate(100);
        out.push('-');
        out.extend(digest.iter().take(6).map(|byte| format!("{byte:02x}")));
    }
    if out.starts_with('.') || out.is_empty() {
        out.insert(0, '_');
    }
    out
}

#[cfg(test)]
mod tests;
