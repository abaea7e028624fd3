//! The server over HTTP and websockets, with real files: what the sound one keeps to, and what each slip shows.

mod contract;
mod harness;
mod persistence;
mod races;
mod slips;
mod websockets;
