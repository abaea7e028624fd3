//! The server over HTTP, with real files: the sound contract, idempotency, concurrency, and what each slip shows.

mod cancellation;
mod contract;
mod crashes;
mod harness;
mod idempotency;
mod requests;
mod slips;
