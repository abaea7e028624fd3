//! The planted slips. Each is one plausible mistake with exactly one effect. Some show in a sequence of requests, some
//! only when requests run at once, some only when the server is killed at the wrong moment.

use crate::demo::slips::slips;

pub use crate::demo::slips::UnknownSlip;

slips! {
    IgnoreDeleteCount = "ignore_delete_count": "a rotation does not look at whether it deleted the key";
    NonatomicClaim = "nonatomic_claim": "a rotation reads a backup, and marks it four statements later";
    DeleteThenInsert = "delete_then_insert": "the key is deleted in one transaction, and replaced in the next";
    InsertThenMark = "insert_then_mark": "the backup becomes a key in one transaction, and is marked in the next";
    BurnBackup = "burn_backup": "a backup is claimed first, and not given back if another was faster";
    NoBindingMove = "no_binding_move": "a rotation leaves the bindings of the key as they are";
    RestoreActiveOk = "restore_active_ok": "a backup can be restored while it is an active key";
    WholeKeyShown = "whole_key_shown": "a key of twelve characters or fewer is shown whole";
    NoBackupDeletes = "no_backup_deletes": "a rotation for which no backup is left deletes the key";
}
