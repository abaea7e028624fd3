//! Which server a command talks to: by address, or by its entry in `gainsay.toml`, which may say how to start it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::terminal::Terminal;
use super::{Failure, duration};
use crate::drive::{
    Client, Config, ConfigError, Disturbance, Hooked, Hooks, Jars, Limits, Link, LinkConfig,
    Plugin, REMOTE_RATE, Server, Target, Toxiproxy, Wfc, WfcError, is_loopback_url, kind_and_file,
};
use crate::generate::{self, Fault, LinkName, start};
use crate::model::Model;
use crate::report;
use crate::run::{NO_LINKS, NO_PROCESS, Runner, Source};

/// Options of every command that talks to a server.
#[derive(Debug, clap::Args)]
pub(super) struct TargetOptions {
    /// The address of the server
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    url: Option<String>,
    /// A target of gainsay.toml
    #[arg(long, value_name = "NAME", value_parser = target_name)]
    target: Option<String>,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "gainsay.toml")]
    config: PathBuf,
    /// Talk to a server that is not on this machine
    #[arg(long)]
    allow_remote: bool,
    /// Requests a second, over all jobs
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Requests in all
    #[arg(long, value_name = "N")]
    max_requests: Option<u64>,
    /// How long one request may take
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Accounts from an authentication file of Web Fuzzing Commons; of which kind, where several can act
    #[arg(long, value_name = "[KIND=]FILE")]
    auth_wfc: Vec<String>,
    /// Send no X-Gainsay-Run header, which marks what is sent
    #[arg(long)]
    no_run_header: bool,
}

/// The header that marks every request of a run, so that what it leaves behind can be found.
const RUN_HEADER: &str = "X-Gainsay-Run";

/// A server that is there, and what is needed to drive it.
pub(super) struct Ready {
    pub runner: Runner,
    pub generate: generate::Options,
    pub url: String,
    /// Whether what plans create is deleted when they are over.
    pub cleanup: bool,
    /// The server, where it is ours.
    server: Option<Arc<Mutex<Server>>>,
    /// The program that makes faults.
    plugin: Option<Arc<Mutex<Plugin>>>,
}

/// What a target gives beside its address.
#[derive(Default)]
struct Sources {
    server: Option<Arc<Mutex<Server>>>,
    hooks: Option<Hooks>,
    links: BTreeMap<LinkName, Source>,
    plugin: Option<Plugin>,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Mistakes(mistakes) => {
                Failure::Rendered(format!("{}{mistakes}", mistakes.render(false, 100)))
            }
            ConfigError::Read { .. } => Failure::Usage(format!(
                "{error}\n  --config names another file; a server can be named by --url alone"
            )),
            other => Failure::Usage(other.to_string()),
        }
    }
}

impl From<WfcError> for Failure {
    fn from(error: WfcError) -> Self {
        match error {
            WfcError::Login { .. } | WfcError::Unanswered { .. } => {
                Failure::Harness(error.to_string())
            }
            other => Failure::Usage(other.to_string()),
        }
    }
}

/// The name of a target, which is no address.
fn target_name(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err("a target is one that gainsay.toml names; an address goes with --url".into()),
        false => Ok(text.to_owned()),
    }
}

impl TargetOptions {
    /// The accounts of authentication files, those of the command line before those of the target.
    fn wfc(&self, model: &Model) -> Result<Vec<Wfc>, Failure> {
        let mut named: Vec<(Option<String>, PathBuf)> = Vec::new();
        for option in &self.auth_wfc {
            let (kind, path) = kind_and_file(option);
            named.push((kind.map(str::to_owned), path.to_owned()));
        }
        if let (Some(name), true) = (&self.target, named.is_empty()) {
            let config = Config::load(&self.config)?;
            named.clone_from(&config.target(name)?.auth_wfc);
        }
        let load = |(kind, path): &(Option<String>, PathBuf)| {
            Wfc::load(model, kind.as_deref(), path).map_err(Failure::from)
        };
        named.iter().map(load).collect()
    }

    /// Whether the server takes changes of its environment as its target's start-up rules say; the rules that it does
    /// not keep to.
    pub async fn startup(&self, terminal: &Terminal) -> Result<usize, Failure> {
        let Some(name) = &self.target else {
            return Ok(0);
        };
        let config = Config::load(&self.config)?;
        let target = config.target(name)?;
        let environment = |name: &str| std::env::var(name).ok();
        let mut broken = 0;
        for rule in target.startup(&environment)? {
            terminal.note(&format!("start-up rule {}", rule.name));
            let found = rule.check(&target.url).await;
            let found = found.map_err(|e| Failure::Harness(e.to_string()))?;
            terminal.print(&report::startup(&rule, found.as_ref(), terminal.style()));
            broken += usize::from(found.is_some());
        }
        Ok(broken)
    }

    /// The runner for this target; starts the server where that is ours to do.
    pub async fn ready(
        &self,
        model: &Arc<Model>,
        mut generate: generate::Options,
        terminal: &Terminal,
    ) -> Result<Ready, Failure> {
        if self
            .rate
            .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
        {
            return Err(Failure::Usage("--rate is a number above 0".into()));
        }
        let mut limits = Limits {
            rate: self.rate,
            max_requests: self.max_requests,
            ..Limits::default()
        };
        let environment = |name: &str| std::env::var(name).ok();
        let wfc = self.wfc(model)?;
        let mut marked = true;
        let mut hidden = Vec::new();
        let mut cleanup = false;
        let (url, mut headers, allow_remote, mut mirror, sources) = match (&self.url, &self.target)
        {
            (Some(url), _) => {
                // Somebody else's machine is not hit as fast as it goes, unless somebody says so.
                if self.allow_remote && !is_loopback_url(url) {
                    limits.rate = self.rate.or(Some(REMOTE_RATE));
                }
                count(model, &wfc, &mut generate)?;
                let mirror = start(model, &[]);
                let none = Sources::default();
                (url.clone(), Vec::new(), self.allow_remote, mirror, none)
            }
            (None, Some(name)) => {
                let config = Config::load(&self.config)?;
                let target = config.target(name)?;
                marked = target.run_header;
                cleanup = target.cleanup;
                limits.timeout = target.timeout;
                limits.quiet = target.quiet;
                limits.rate = self.rate.or(target.rate);
                generate.accounts = target.accounts(model)?;
                count(model, &wfc, &mut generate)?;
                let mirror = target.account_mirror(model, &environment)?;
                let headers = target.headers(&environment)?;
                hidden = target.secret_headers(&environment)?;
                let allow = self.allow_remote || target.allow_remote;
                // Before anything is started: whether it may be talked to at all.
                Client::new(
                    &target.url,
                    Vec::new(),
                    limits.clone(),
                    model.tolerate.clone(),
                    allow,
                )?;
                // Before the server, which connects through them.
                let links = links(target).await?;
                let server = match target.serve(&environment)? {
                    Some(serve) => {
                        terminal.note(&format!("starting the server: {}", serve.run));
                        let server = Server::start(&serve, &target.url, None)
                            .await
                            .map_err(|e| Failure::Harness(e.to_string()))?;
                        Some(Arc::new(Mutex::new(server)))
                    }
                    None => None,
                };
                let plugin = match &target.injector {
                    Some(config) => {
                        let plugin = Plugin::start(config).await;
                        Some(plugin.map_err(|e| Failure::Harness(e.to_string()))?)
                    }
                    None => None,
                };
                let sources = Sources {
                    server,
                    plugin,
                    hooks: target.hooks.clone(),
                    links,
                };
                (target.url.clone(), headers, allow, mirror, sources)
            }
            (None, None) => {
                return Err(Failure::Usage(
                    "which server? give --url http://127.0.0.1:PORT, or --target NAME of a gainsay.toml".into(),
                ));
            }
        };
        if let Some(timeout) = self.timeout {
            limits.timeout = timeout;
        }
        let named = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(RUN_HEADER));
        if marked && !self.no_run_header && !named {
            let run = uuid::Uuid::new_v4().simple().to_string();
            terminal.note(&format!("every request carries {RUN_HEADER}: {run}"));
            headers.push((RUN_HEADER.to_owned(), run));
        }
        let client = Client::new(&url, headers, limits, model.tolerate.clone(), allow_remote)?
            .hiding(&hidden);
        let mut jars = Jars::new(client.base().clone());
        for accounts in &wfc {
            accounts.add_to(model, &mut mirror);
            accounts.log_in(model, &client, &mut jars).await?;
        }
        let mut runner = Runner::new(model.clone(), client.clone(), mirror).with_jars(jars);
        let Sources {
            server,
            hooks,
            mut links,
            plugin,
        } = sources;
        let own = plugin.as_ref().map_or(&[][..], Plugin::own).to_vec();
        let has_process = plugin.as_ref().is_some_and(Plugin::has_process);
        let plugin = plugin.map(|plugin| Arc::new(Mutex::new(plugin)));
        let process: Option<Source> = match (&server, hooks) {
            (Some(server), _) => Some(server.clone()),
            (None, Some(hooks)) => Some(Arc::new(Mutex::new(Hooked::new(hooks, client)))),
            (None, None) => (plugin.clone())
                .filter(|_| has_process)
                .map(|plugin| plugin as Source),
        };
        let faults = &mut generate.faults;
        faults.offer(&own)?;
        if faults.need_a_process() && process.is_none() {
            return Err(Failure::Usage(NO_PROCESS.into()));
        }
        if faults.need_links() && links.is_empty() {
            return Err(Failure::Usage(NO_LINKS.into()));
        }
        faults.links = links.keys().copied().collect();
        if let Some(process) = process {
            let source = process.lock().await;
            let kinds = [
                (Fault::Crash, Disturbance::Crash),
                (Fault::Stop, Disturbance::Stop),
                (Fault::Pause, Disturbance::Pause),
            ];
            let cannot = |fault: &Fault| {
                let mut kinds = kinds.iter();
                kinds.any(|(kind, what)| kind == fault && !source.can(*what))
            };
            if let Some(fault) = faults.kinds.iter().find(|fault| cannot(fault)).copied() {
                faults.kinds.retain(|fault| !cannot(fault));
                if faults.kinds.is_empty() {
                    return Err(Failure::Usage(format!(
                        "there is no hook for {fault}\n  add it to the target's `hooks` in gainsay.toml, or to what its `injector` offers"
                    )));
                }
                terminal.note(&format!("no hook for {fault}: it is left out"));
            }
            drop(source);
            runner = runner.with_process(process);
        }
        if let Some(plugin) = &plugin {
            for own in own {
                if links.insert(own.name, plugin.clone()).is_some() {
                    return Err(Failure::Usage(format!(
                        "a link and a fault of the injector are both called `{}`; rename one of them",
                        own.name
                    )));
                }
            }
        }
        runner = runner.with_sources(links);
        Ok(Ready {
            runner,
            generate,
            url,
            cleanup,
            server,
            plugin,
        })
    }
}

/// Has plans count on the accounts of authentication files.
fn count(model: &Model, wfc: &[Wfc], generate: &mut generate::Options) -> Result<(), Failure> {
    for accounts in wfc {
        if generate
            .accounts
            .iter()
            .any(|(kind, _)| *kind == accounts.kind)
        {
            let kind = &model.kind(accounts.kind).name;
            return Err(Failure::Usage(format!(
                "the accounts of `{kind}` are given twice\n  give them in one authentication file, or under `accounts` in gainsay.toml"
            )));
        }
        generate.accounts.push((accounts.kind, accounts.count()));
    }
    generate.accounts.sort_unstable();
    Ok(())
}

/// The links of a target, started.
async fn links(target: &Target) -> Result<BTreeMap<LinkName, Source>, Failure> {
    let mut links: BTreeMap<LinkName, Source> = BTreeMap::new();
    for (name, config) in &target.links {
        let link: Source = match &target.toxiproxy {
            Some(url) => {
                let link = Toxiproxy::start(url, name, Some(config)).await;
                Arc::new(Mutex::new(
                    link.map_err(|e| Failure::Harness(e.to_string()))?,
                ))
            }
            None => Arc::new(Mutex::new(start_link(name, config).await?)),
        };
        links.insert(*name, link);
    }
    Ok(links)
}

/// A link that listens.
pub(super) async fn start_link(name: &str, config: &LinkConfig) -> Result<Link, Failure> {
    Link::start(config).await.map_err(|error| {
        Failure::Harness(format!(
            "the link {name} cannot listen on {}: {error}; choose another port, or end what listens there",
            config.listen
        ))
    })
}

impl Ready {
    /// Ends the program that makes faults, and the server, where it is ours.
    pub async fn stop(self) -> Result<(), Failure> {
        if let Some(plugin) = &self.plugin {
            plugin.lock().await.end();
        }
        match self.server {
            Some(server) => (server.lock().await)
                .stop()
                .await
                .map_err(|e| Failure::Harness(e.to_string())),
            None => Ok(()),
        }
    }
}
