//! Reads `gainsay.toml`: from its text to a [`Config`], or everything that is wrong with it at once, each with its
//! place. The tree is walked by hand because serde stops at the first mistake and has no place for most.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    Account, Config, ConfigError, Origin, REMOTE_RATE, Secret, Source, StartupRule, Target,
};
use crate::drive::client::{Limits, is_loopback};
use crate::drive::hooks::Hooks;
use crate::drive::link::LinkConfig;
use crate::drive::plugin::PluginConfig;
use crate::drive::process::{Ready, Run, Serve};
use crate::drive::wfc::kind_and_file;
use crate::generate::LinkName;
use crate::model::Mistake;
use crate::model::diagnostics::guess;
use crate::model::value::Value;

/// How long a server may take to be ready where the file does not say.
const READY_WITHIN: Duration = Duration::from_secs(30);

const TARGET_KEYS: &[&str] = &[
    "url",
    "headers",
    "accounts",
    "auth_wfc",
    "allow_remote",
    "rate",
    "timeout",
    "quiet",
    "serve",
    "env",
    "directory",
    "ready",
    "ready_within",
    "links",
    "toxiproxy",
    "hooks",
    "injector",
    "startup",
    "run_header",
    "cleanup",
];

/// The keys of a start-up rule.
const STARTUP_KEYS: &[&str] = &["env", "unset", "starts"];

/// The commands that `hooks` may hold.
const HOOKS: &[&str] = &["crash", "stop", "restart", "pause", "resume"];

/// Keys whose values hold no secrets, so that errors may show them.
const PLAIN_KEYS: &[&str] = &[
    "url",
    "auth_wfc",
    "allow_remote",
    "rate",
    "timeout",
    "quiet",
    "directory",
    "ready",
    "ready_within",
    "run_header",
    "cleanup",
];

pub(super) fn read(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let source = |shown: String| {
        Arc::new(Source {
            path: path.to_owned(),
            shown: shown.into(),
        })
    };
    if !errors.is_empty() {
        // What was read beside them is a guess: mistakes found in it would be about text that is meant otherwise.
        let mistakes = errors.iter().map(|e| syntax(e, text)).collect();
        return Err(source(blot_lines(text)).mistakes(mistakes));
    }
    let mut values = Vec::new();
    scalars(document.get_ref(), 0, &mut values);
    let mut reader = Reader {
        directory: path.parent().unwrap_or(Path::new("")).to_owned(),
        file: source(blot_values(text, &values)),
        target: String::new(),
        mistakes: Vec::new(),
    };
    let targets = reader.config(document.get_ref());
    if !reader.mistakes.is_empty() {
        return Err(reader.file.mistakes(reader.mistakes));
    }
    Ok(Config {
        path: path.to_owned(),
        targets,
    })
}

struct Reader {
    directory: PathBuf,
    file: Arc<Source>,
    /// The name of the target that is read.
    target: String,
    mistakes: Vec<Mistake>,
}

/// One `key = value`.
struct Entry<'t> {
    key: &'t str,
    at: Range<usize>,
    value: &'t Spanned<DeValue<'t>>,
}

impl Reader {
    fn config(&mut self, document: &DeTable<'_>) -> BTreeMap<String, Target> {
        let mut targets = BTreeMap::new();
        for entry in entries(document) {
            if entry.key != "target" {
                let help = guess(entry.key, ["target"], "a target is a table `[target.NAME]`");
                self.unknown(&entry, help);
                continue;
            }
            let Some(named) = self.table(&entry, "a table of targets, `[target.NAME]`") else {
                continue;
            };
            for entry in entries(named) {
                self.target = entry.key.to_owned();
                let target = self
                    .table(&entry, "a table, `[target.NAME]`, with a `url`")
                    .and_then(|table| self.target(&entry, table));
                targets.extend(target.map(|target| (entry.key.to_owned(), target)));
            }
        }
        targets
    }

    fn target(&mut self, named: &Entry<'_>, table: &DeTable<'_>) -> Option<Target> {
        let mut target = Target {
            name: named.key.to_owned(),
            url: String::new(),
            headers: Vec::new(),
            accounts: BTreeMap::new(),
            auth_wfc: Vec::new(),
            allow_remote: false,
            rate: None,
            timeout: Limits::default().timeout,
            quiet: Limits::default().quiet,
            links: BTreeMap::new(),
            toxiproxy: None,
            injector: None,
            hooks: None,
            run_header: true,
            cleanup: false,
            serve: None,
            environment: Vec::new(),
            startup: Vec::new(),
            file: self.file.clone(),
        };
        let mut url = None;
        let mut run = None;
        let mut hooks = None;
        let mut injector = None;
        let mut directory = self.directory.clone();
        let mut ready = None;
        let mut ready_within = READY_WITHIN;
        let mut of_serve = Vec::new();
        let mut of_startup = None;
        for entry in entries(table) {
            match entry.key {
                "url" => url = self.url(&entry),
                "headers" => target.headers = self.headers(&entry),
                "accounts" => target.accounts = self.accounts(&entry),
                "allow_remote" => target.allow_remote = self.flag(&entry),
                "rate" => target.rate = self.rate(&entry),
                "timeout" => target.timeout = self.duration(&entry).unwrap_or(target.timeout),
                "quiet" => target.quiet = self.duration(&entry).unwrap_or(target.quiet),
                "serve" => run = self.run(&entry),
                "env" => target.environment = self.environment(&entry),
                "directory" => {
                    let given = self.text(&entry, "a path relative to this file, such as \".\"");
                    directory = self.directory.join(given.unwrap_or_default());
                }
                "ready" => ready = self.ready(&entry),
                "ready_within" => ready_within = self.duration(&entry).unwrap_or(READY_WITHIN),
                "links" => target.links = self.links(&entry),
                "toxiproxy" => target.toxiproxy = self.url(&entry),
                "hooks" => hooks = self.hooks(&entry),
                "injector" => injector = self.run(&entry),
                "run_header" => target.run_header = self.flag(&entry),
                "cleanup" => target.cleanup = self.flag(&entry),
                "auth_wfc" => {
                    let given = self.text(&entry, "a file, \"auth.yaml\" or \"KIND=auth.yaml\"");
                    target.auth_wfc.extend(given.map(|given| {
                        let (kind, path) = kind_and_file(&given);
                        (kind.map(str::to_owned), self.directory.join(path))
                    }));
                }
                "startup" => {
                    target.startup = self.startup(&entry);
                    of_startup = Some(entry.at.clone());
                }
                _ => {
                    let known =
                        format!("a target has {}", super::list(TARGET_KEYS.iter().copied()));
                    self.unknown(
                        &entry,
                        guess(entry.key, TARGET_KEYS.iter().copied(), &known),
                    );
                }
            }
            if matches!(entry.key, "env" | "directory" | "ready" | "ready_within") {
                of_serve.push((entry.key.to_owned(), entry.at));
            }
        }
        if let Some(at) = of_startup.filter(|_| !table.contains_key("serve")) {
            self.mistake(
                at,
                "`startup` means nothing without `serve`",
                "add `serve = \"COMMAND\"` to have gainsay start the server, or leave this out",
            );
        }
        if table.contains_key("serve")
            && let Some((at, _)) = &hooks
        {
            self.mistake(
                at.clone(),
                "`hooks` and `serve` cannot stand beside each other",
                "gainsay kills and starts the server that `serve` starts by itself; leave one of them out",
            );
        }
        if !table.contains_key("serve") && hooks.is_none() {
            of_serve.retain(|(key, _)| key != "directory" || injector.is_none());
            for (key, at) in of_serve {
                self.mistake(
                    at,
                    format!("`{key}` means nothing without `serve` or `hooks`"),
                    "add `serve = \"COMMAND\"` to have gainsay start the server, or leave this out",
                );
            }
        }
        if !table.contains_key("url") {
            self.mistake(
                named.at.clone(),
                format!("the target `{}` has no `url`", named.key),
                "add one, such as `url = \"http://127.0.0.1:8000\"`",
            );
        }
        let url = url?;
        if target.rate.is_none() && !is_loopback(url.host_str().unwrap_or_default()) {
            target.rate = Some(REMOTE_RATE);
        }
        target.url = url.into();
        if directory.as_os_str().is_empty() {
            directory = ".".into();
        }
        target.injector = injector.map(|run| PluginConfig {
            run,
            directory: directory.clone(),
        });
        target.hooks = hooks.map(|(_, hooks)| Hooks {
            directory: directory.clone(),
            ready: ready.clone(),
            ready_within,
            ..hooks
        });
        target.serve = run.map(|run| Serve {
            run,
            env: Vec::new(),
            unset: Vec::new(),
            directory,
            ready,
            ready_within,
        });
        Some(target)
    }

    /// `[target.NAME.startup.without_key]`, with what of the environment is changed, and what must come of it.
    fn startup(&mut self, entry: &Entry<'_>) -> Vec<StartupRule> {
        let mut rules = Vec::new();
        let Some(named) = self.table(
            entry,
            "a table of start-up rules, `[target.NAME.startup.without_key]`",
        ) else {
            return rules;
        };
        for entry in entries(named) {
            let form = "a table, such as `{ unset = [\"SECRET_KEY\"], starts = false }`";
            let Some(table) = self.table(&entry, form) else {
                continue;
            };
            let mut rule = StartupRule {
                name: entry.key.to_owned(),
                env: Vec::new(),
                unset: Vec::new(),
                starts: false,
            };
            for part in entries(table) {
                match part.key {
                    "env" => rule.env = self.environment(&part),
                    "unset" => rule.unset = self.variables(&part),
                    "starts" => rule.starts = self.flag(&part),
                    _ => {
                        let known = format!("its keys are {}", STARTUP_KEYS.join(", "));
                        let help = guess(part.key, STARTUP_KEYS.iter().copied(), &known);
                        self.unknown(&part, help);
                    }
                }
            }
            if !table.contains_key("starts") {
                self.mistake(
                    entry.at.clone(),
                    format!("the start-up rule `{}` does not say what must come of it", entry.key),
                    "add `starts = false` where the server must refuse to start, `starts = true` where it must start",
                );
            }
            if !table.contains_key("env") && !table.contains_key("unset") {
                self.mistake(
                    entry.at.clone(),
                    format!("the start-up rule `{}` changes nothing", entry.key),
                    "say what of the environment is different: `env = { NAME = \"\" }`, `unset = [\"NAME\"]`",
                );
            }
            rules.push(rule);
        }
        rules
    }

    /// A list of environment variables.
    fn variables(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let DeValue::Array(items) = entry.value.get_ref() else {
            self.wrong_type(entry, "a list of variables, such as `[\"SECRET_KEY\"]`");
            return Vec::new();
        };
        let mut names = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(name) if is_variable(name) => names.push(name.to_owned()),
                _ => self.bad_variable(item.span()),
            }
        }
        names
    }

    /// `[target.NAME.links.database]`, with where it is and where it leads.
    fn links(&mut self, entry: &Entry<'_>) -> BTreeMap<LinkName, LinkConfig> {
        let mut links = BTreeMap::new();
        let Some(named) = self.table(entry, "a table of links, `[target.NAME.links.database]`")
        else {
            return links;
        };
        for entry in entries(named) {
            let Some(table) = self.table(&entry, "a table with `listen` and `upstream`") else {
                continue;
            };
            let (mut listen, mut upstream) = (None, None);
            for part in entries(table) {
                match part.key {
                    "listen" => {
                        let text = self.text(&part, "such as \"127.0.0.1:15432\"");
                        listen = text.and_then(|text| text.parse::<SocketAddr>().ok());
                        if !listen.is_some_and(|address| address.ip().is_loopback()) {
                            listen = None;
                            self.wrong_type(
                                &part,
                                "where the link listens, an address of this machine with a port, such as \"127.0.0.1:15432\"",
                            );
                        }
                    }
                    "upstream" => {
                        let text = self.text(&part, "such as \"127.0.0.1:5432\"");
                        let sound = |text: &String| {
                            let parts = text.rsplit_once(':');
                            parts.is_some_and(|(host, port)| {
                                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
                            })
                        };
                        upstream = text.filter(sound);
                        if upstream.is_none() {
                            self.wrong_type(
                                &part,
                                "where the link leads, a host with a port, such as \"127.0.0.1:5432\"",
                            );
                        }
                    }
                    _ => {
                        let keys = ["listen", "upstream"];
                        let help = guess(part.key, keys, "a link has listen and upstream");
                        self.unknown(&part, help);
                    }
                }
            }
            for key in ["listen", "upstream"] {
                if !table.contains_key(key) {
                    self.mistake(
                        entry.at.clone(),
                        format!("the link `{}` has no `{key}`", entry.key),
                        "a link listens at one address and leads to another: `listen = \"127.0.0.1:15432\"`, \
                         `upstream = \"127.0.0.1:5432\"`",
                    );
                }
            }
            match LinkName::from(entry.key) {
                Ok(name) => {
                    if let (Some(listen), Some(upstream)) = (listen, upstream) {
                        links.insert(name, LinkConfig { listen, upstream });
                    }
                }
                Err(_) => self.mistake(
                    entry.at.clone(),
                    "the name of this link is too long",
                    "32 letters are enough for a name such as `database`",
                ),
            }
        }
        links
    }

    /// The commands of `hooks`, and where it stands.
    fn hooks(&mut self, entry: &Entry<'_>) -> Option<(Range<usize>, Hooks)> {
        let expected = "a table of commands, such as `{ crash = \"docker kill api\", restart = \"docker start api\" }`";
        let table = self.table(entry, expected)?;
        let mut hooks = Hooks::default();
        for part in entries(table) {
            let place = match part.key {
                "crash" => &mut hooks.crash,
                "stop" => &mut hooks.stop,
                "restart" => &mut hooks.restart,
                "pause" => &mut hooks.pause,
                "resume" => &mut hooks.resume,
                _ => {
                    let known = format!("its keys are {}", HOOKS.join(", "));
                    self.unknown(&part, guess(part.key, HOOKS.iter().copied(), &known));
                    continue;
                }
            };
            *place = self.run(&part);
        }
        let pairs = [
            (
                "crash",
                hooks.crash.is_some(),
                "restart",
                hooks.restart.is_some(),
            ),
            (
                "stop",
                hooks.stop.is_some(),
                "restart",
                hooks.restart.is_some(),
            ),
            (
                "pause",
                hooks.pause.is_some(),
                "resume",
                hooks.resume.is_some(),
            ),
        ];
        for (one, has_one, other, has_other) in pairs {
            if has_one && !has_other {
                self.mistake(
                    entry.at.clone(),
                    format!("the hook `{one}` needs the hook `{other}`"),
                    "what is done to the server has to be undone",
                );
            }
        }
        Some((entry.at.clone(), hooks))
    }

    fn url(&mut self, entry: &Entry<'_>) -> Option<Url> {
        let text = self.text(entry, "such as \"http://127.0.0.1:8000\"")?;
        let url = Url::parse(&text).ok();
        let url = url.filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let Some(url) = url else {
            self.mistake(
                entry.value.span(),
                "this is no address of a target",
                "write it with its scheme, such as \"http://127.0.0.1:8000\"",
            );
            return None;
        };
        let refused = if !url.username().is_empty() || url.password().is_some() {
            Some((
                "credentials in an address would be shown",
                "send them with `headers = { Authorization = { env = \"NAME\" } }`",
            ))
        } else if url.query().is_some() || url.fragment().is_some() {
            Some((
                "the address of a target has no query and no fragment",
                "leave what follows the path out; parameters belong to the rules of the model",
            ))
        } else {
            None
        };
        match refused {
            Some((message, help)) => {
                self.mistake(entry.value.span(), message, help);
                None
            }
            None => Some(url),
        }
    }

    fn headers(&mut self, entry: &Entry<'_>) -> Vec<(String, Secret)> {
        let expected = "a table, such as `{ Authorization = { env = \"NAME\" } }`";
        let Some(table) = self.table(entry, expected) else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        for entry in entries(table) {
            if entry.key.parse::<HeaderName>().is_err() {
                self.mistake(
                    entry.at.clone(),
                    format!("`{}` cannot be the name of a header", entry.key),
                    "letters, digits and `-` make one",
                );
            }
            let what = format!("the header {} of the target {}", entry.key, self.target);
            let Some(secret) = self.secret(&entry, what, false) else {
                continue;
            };
            if let Origin::Literal(Value::Text(text)) = &secret.origin
                && HeaderValue::from_bytes(text.as_bytes()).is_err()
            {
                self.mistake(
                    entry.value.span(),
                    "a header cannot have this value: it holds control characters",
                    "take out what is not printable, such as a line break at its end",
                );
            }
            headers.push((entry.key.to_owned(), secret));
        }
        headers
    }

    fn environment(&mut self, entry: &Entry<'_>) -> Vec<(String, Secret)> {
        let Some(table) = self.table(entry, "a table, such as `{ DATABASE = \"test.db\" }`") else {
            return Vec::new();
        };
        let mut environment = Vec::new();
        for entry in entries(table) {
            if !is_variable(entry.key) {
                self.bad_variable(entry.at.clone());
            }
            let what = format!("the variable {} of {}'s server", entry.key, self.target);
            let secret = self.secret(&entry, what, false);
            environment.extend(secret.map(|secret| (entry.key.to_owned(), secret)));
        }
        environment
    }

    fn accounts(&mut self, entry: &Entry<'_>) -> BTreeMap<String, Vec<Account>> {
        let form = format!(
            "lists of accounts by entity, `[[target.{}.accounts.ENTITY]]`",
            self.target
        );
        let Some(kinds) = self.table(entry, &form) else {
            return BTreeMap::new();
        };
        let mut accounts = BTreeMap::new();
        for kind in entries(kinds) {
            let DeValue::Array(items) = kind.value.get_ref() else {
                let help = format!(
                    "write `[[target.{}.accounts.{}]]`, in double brackets, before each account",
                    self.target, kind.key
                );
                self.mistake(
                    kind.at,
                    format!("`{}` is no list of accounts", kind.key),
                    help,
                );
                continue;
            };
            let mut given = Vec::new();
            for item in items.iter() {
                let DeValue::Table(fields) = item.get_ref() else {
                    self.mistake(
                        item.span(),
                        format!("an account is a table, not {}", article(item)),
                        "write `{ FIELD = \"VALUE\" }`",
                    );
                    continue;
                };
                given.push(self.account(&kind, given.len() + 1, fields));
            }
            accounts.insert(kind.key.to_owned(), given);
        }
        accounts
    }

    fn account(&mut self, kind: &Entry<'_>, nth: usize, fields: &DeTable<'_>) -> Account {
        let mut account = Account {
            fields: BTreeMap::new(),
            kind: kind.at.clone(),
            names: BTreeMap::new(),
        };
        for field in entries(fields) {
            let what = format!(
                "`{}` of {} {nth} of the target {}",
                field.key, kind.key, self.target
            );
            if let Some(secret) = self.secret(&field, what, true) {
                account.fields.insert(field.key.to_owned(), secret);
                account.names.insert(field.key.to_owned(), field.at);
            }
        }
        account
    }

    /// A value, or `{ env = "NAME" }`; `typed` where it may be a number or a truth value.
    fn secret(&mut self, entry: &Entry<'_>, what: String, typed: bool) -> Option<Secret> {
        let span = entry.value.span();
        let origin = match entry.value.get_ref() {
            DeValue::String(text) => Some(Origin::Literal(Value::text(text.as_ref()))),
            DeValue::Boolean(truth) if typed => Some(Origin::Literal(Value::Bool(*truth))),
            DeValue::Integer(number) if typed => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                parsed.ok().map(|n| Origin::Literal(Value::Int(n)))
            }
            DeValue::Float(number) if typed => {
                let parsed = number.as_str().parse::<f64>();
                parsed
                    .ok()
                    .map(|n| Origin::Literal(Value::Number(n.into())))
            }
            DeValue::Table(table) => return self.variable(entry, table, what),
            _ => None,
        };
        let Some(origin) = origin else {
            self.mistake(
                span,
                format!("`{}` cannot be {}", entry.key, article(entry.value)),
                "write a value in quotes, or `{ env = \"NAME\" }` to take it from the environment",
            );
            return None;
        };
        Some(Secret {
            origin,
            what: what.into(),
            span,
            file: self.file.clone(),
        })
    }

    fn variable(&mut self, entry: &Entry<'_>, table: &DeTable<'_>, what: String) -> Option<Secret> {
        let mut name = None;
        for part in entries(table) {
            match part.key {
                "env" => name = self.text(&part, "the name of an environment variable"),
                _ => {
                    let help = guess(part.key, ["env"], "only `env` can stand here");
                    self.unknown(&part, help);
                }
            }
        }
        if !table.contains_key("env") {
            self.mistake(
                entry.at.clone(),
                format!("`{}` has no value", entry.key),
                "write it in quotes, or `{ env = \"NAME\" }` to take it from the environment",
            );
        }
        let name = name?;
        if !is_variable(&name) {
            let at = table.get("env").map_or(entry.value.span(), Spanned::span);
            self.bad_variable(at);
        }
        Some(Secret {
            origin: Origin::Variable(name),
            what: what.into(),
            span: entry.value.span(),
            file: self.file.clone(),
        })
    }

    fn run(&mut self, entry: &Entry<'_>) -> Option<Run> {
        let run = match entry.value.get_ref() {
            DeValue::String(line) if !line.trim().is_empty() => Some(Run::Shell(line.to_string())),
            DeValue::Array(words) => {
                let words: Option<Vec<String>> = words
                    .iter()
                    .map(|word| word.get_ref().as_str().map(str::to_owned))
                    .collect();
                words.and_then(|words| {
                    let (program, arguments) = words.split_first()?;
                    (!program.is_empty()).then(|| Run::Program(program.clone(), arguments.to_vec()))
                })
            }
            _ => None,
        };
        if run.is_none() {
            self.mistake(
                entry.value.span(),
                "this is no command",
                "write a line for the shell, \"python app.py --port 8000\", or a list, [\"python\", \"app.py\"]",
            );
        }
        run
    }

    fn ready(&mut self, entry: &Entry<'_>) -> Option<Ready> {
        let text = self.text(entry, "such as \"GET /health\"")?;
        let ready = text.trim().split_once(' ').map(|(method, path)| Ready {
            method: method.to_owned(),
            path: path.trim().to_owned(),
        });
        let sound = |ready: &Ready| {
            ready.method.chars().all(|c| c.is_ascii_uppercase())
                && ready.path.starts_with('/')
                && !ready
                    .path
                    .contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#'))
        };
        let ready = ready.filter(sound);
        if ready.is_none() {
            self.mistake(
                entry.value.span(),
                "this is no method and path",
                "write both, such as \"GET /health\"; the path is below that of the `url`",
            );
        }
        ready
    }

    fn flag(&mut self, entry: &Entry<'_>) -> bool {
        let flag = entry.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(entry, "true or false, without quotes");
        }
        flag.unwrap_or_default()
    }

    fn rate(&mut self, entry: &Entry<'_>) -> Option<f64> {
        let number = match entry.value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let rate = number.filter(|rate| rate.is_finite() && *rate > 0.0);
        if rate.is_none() {
            self.wrong_type(entry, "requests a second, a number above 0, such as 20");
        }
        rate
    }

    fn duration(&mut self, entry: &Entry<'_>) -> Option<Duration> {
        let text = entry.value.get_ref().as_str();
        let duration = text.and_then(|text| humantime::parse_duration(text).ok());
        let duration = duration.filter(|d| !d.is_zero());
        if duration.is_none() {
            self.wrong_type(
                entry,
                "a time with its unit, in quotes, such as \"30s\" or \"500ms\"",
            );
        }
        duration
    }

    fn text(&mut self, entry: &Entry<'_>, expected: &str) -> Option<String> {
        let text = entry.value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(entry, &format!("a text in quotes, {expected}"));
        }
        text
    }

    fn table<'t>(&mut self, entry: &Entry<'t>, expected: &str) -> Option<&'t DeTable<'t>> {
        let table = entry.value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(entry, expected);
        }
        table
    }

    fn wrong_type(&mut self, entry: &Entry<'_>, expected: &str) {
        let message = format!("`{}` cannot have this value", entry.key);
        self.mistake(entry.value.span(), message, format!("it is {expected}"));
    }

    fn bad_variable(&mut self, at: Range<usize>) {
        self.mistake(
            at,
            "this cannot be the name of an environment variable",
            "letters, digits and `_` make one, such as STAGING_TOKEN",
        );
    }

    fn unknown(&mut self, entry: &Entry<'_>, help: String) {
        self.mistake(
            entry.at.clone(),
            format!("unknown key `{}`", entry.key),
            help,
        );
    }

    fn mistake(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(Mistake {
            span,
            message: message.into(),
            help: help.into(),
        });
    }
}

/// The entries of a table in the order of the file.
fn entries<'t>(table: &'t DeTable<'t>) -> Vec<Entry<'t>> {
    let mut entries: Vec<Entry<'t>> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            at: key.span(),
            value,
        })
        .collect();
    entries.sort_by_key(|entry| entry.at.start);
    entries
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control())
}

/// What a value is: `a string`, `an integer`.
fn article(value: &Spanned<DeValue<'_>>) -> String {
    let name = value.get_ref().type_str();
    match name.starts_with(['a', 'i']) {
        true => format!("an {name}"),
        false => format!("a {name}"),
    }
}

fn syntax(error: &toml::de::Error, text: &str) -> Mistake {
    let end = text.trim_end().len();
    let span = error.span().unwrap_or(end..end);
    let message = error.message().trim().replace('\n', ", ");
    let help = match message.contains("duplicate") {
        true => "name each target, and each key of a table, once".into(),
        false => "correct the TOML here: texts stand in quotes, tables in `[…]`".into(),
    };
    Mistake {
        span,
        message,
        help,
    }
}

/// The places of all values that may be secret: all but those of the keys of a target that hold none. The names of
/// environment variables too, since somebody may have put the value there.
fn scalars(table: &DeTable<'_>, depth: usize, found: &mut Vec<Range<usize>>) {
    for entry in entries(table) {
        let text = entry.value.get_ref().as_str().unwrap_or_default();
        let plain = depth == 2 && PLAIN_KEYS.contains(&entry.key) && !text.contains('@');
        scalar(entry.value, depth, plain, found);
    }
}

fn scalar(value: &Spanned<DeValue<'_>>, depth: usize, plain: bool, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => scalars(table, depth + 1, found),
        DeValue::Array(items) => items.iter().for_each(|i| scalar(i, depth, false, found)),
        _ if plain => {}
        _ => found.push(value.span()),
    }
}

/// The text with these places blotted out, and what a line that is a comment assigns; every byte stays where it is.
fn blot_values(text: &str, places: &[Range<usize>]) -> String {
    let mut hidden: HashSet<usize> = places.iter().cloned().flatten().collect();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(equals) = line
            .find('=')
            .filter(|_| line.trim_start().starts_with('#'))
        {
            hidden.extend(start + equals..start + line.len());
        }
        start += line.len();
    }
    blot(text, |at| hidden.contains(&at))
}

/// The text of a file that is no TOML, so that nobody knows where its values end: of every line only its key is shown,
/// unless it is one of a target that is known to hold no secret.
fn blot_lines(text: &str) -> String {
    let mut hidden = HashSet::new();
    let mut start = 0;
    let mut in_target = false;
    for line in text.split_inclusive('\n') {
        let (key, assigns) = line
            .split_once('=')
            .map_or(("", false), |(key, _)| (key, true));
        let header = !assigns && line.starts_with('[') && !line.contains(['"', '\'']);
        if header {
            in_target = !line.starts_with("[[") && line.matches('.').count() == 1;
        }
        let plain = in_target && PLAIN_KEYS.contains(&key.trim()) && !line.contains('@');
        if !header && !plain {
            hidden.extend(start + key.len()..start + line.len());
        }
        start += line.len();
    }
    blot(text, |at| hidden.contains(&at))
}

fn blot(text: &str, hidden: impl Fn(usize) -> bool) -> String {
    let mut blotted = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match hidden(at) && !c.is_whitespace() && !"\"'{}[]=,#".contains(c) {
            true => blotted.extend(std::iter::repeat_n('*', c.len_utf8())),
            false => blotted.push(c),
        }
    }
    blotted
}
