//! Driving: the only place that talks to a server. Actions become requests, requests become exchanges, and what a
//! server invents is learned under the handles of the plan.

mod client;
pub mod history;
mod render;
pub mod symbols;

pub use client::{Client, ClientError, Limits};
pub use render::{RenderError, Renderer};
