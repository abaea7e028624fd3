//! Driving: the only place that talks to a server. Actions become requests, requests become exchanges, and what a
//! server invents is learned under the handles of the plan. Which server, with which accounts, is [`Config`]; one that
//! gainsay starts and owns is a [`Server`].

mod client;
mod config;
mod csrf;
pub(crate) mod disguises;
mod events;
pub mod history;
mod hooks;
mod injector;
mod jar;
mod link;
mod plugin;
mod process;
mod relay;
mod render;
mod startup;
pub mod symbols;
mod toxiproxy;
mod websocket;
mod wfc;

pub use client::{Client, ClientError, Limits, Race, Raced, is_loopback_url};
pub use config::{Account, Config, ConfigError, REMOTE_RATE, Secret, Target};
pub use hooks::{Hooked, Hooks};
pub use injector::{Disturbance, Eventually, Injector, InjectorError};
pub use jar::{Given, Jars, TOKEN, Told};
pub use link::{Link, LinkConfig};
pub use plugin::{Plugin, PluginConfig};
pub use process::{Ready, Run, Serve, ServeError, Server};
pub use render::{Probe, RenderError, Renderer};
pub use startup::{Misstart, Startup};
pub use toxiproxy::Toxiproxy;
pub use wfc::{Wfc, WfcError, kind_and_file};
