//! The server over HTTP, as a client sees it: the main paths, the refusals and their order, concurrency, and what each
//! planted bug shows.

mod activity;
mod dweller_proposals;
mod events;
mod feedback;
mod harness;
mod paths;
mod refusals;
mod slips;
mod society;
mod society_slips;
mod stories;
mod world_slips;
