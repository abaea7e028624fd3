//! The same from Rust: a campaign as a value, for a `#[test]`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::campaign::{self, CampaignError, Report, campaign};
use crate::drive::{Client, ClientError, Limits};
use crate::generate::{self, Faults, Generator, Races};
use crate::model::expression::{NativeError, NativeFunction};
use crate::model::value::Value;
use crate::model::{LoadError, Model};
use crate::report::{Style, story};
use crate::run::Runner;

/// A campaign against a server, set up step by step.
///
/// ```no_run
/// use gainsay::Tester;
///
/// # #[allow(clippy::needless_doctest_main)]
/// // In a project's own tests this is the body of a `#[test]`.
/// fn api_keeps_its_rules() -> Result<(), gainsay::TestError> {
///     let report = Tester::new("models/shop.yaml")
///         .url("http://127.0.0.1:8000")
///         .seeds(0..25)
///         .steps(50)
///         .max_requests(10_000)
///         .native("checksum", |arguments| match arguments {
///             [gainsay::model::value::Value::Text(text)] => {
///                 let sum: u32 = text.bytes().map(u32::from).sum();
///                 Ok(gainsay::model::value::Value::Int(i64::from(sum % 97)))
///             }
///             _ => Err("checksum takes a text".into()),
///         })
///         .run()?;
///     report.assert_held();
///     Ok(())
/// }
/// ```
#[derive(Clone, derive_more::Debug)]
pub struct Tester {
    path: PathBuf,
    url: String,
    headers: Vec<(String, String)>,
    #[debug(skip)]
    natives: BTreeMap<String, NativeFunction>,
    limits: Limits,
    allow_remote: bool,
    plans: generate::Options,
    campaign: campaign::Options,
}

/// Why a campaign came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The model could not be loaded.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// The target cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The target cannot be reached.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// There is no runtime to drive requests with.
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}

/// What came of a [`Tester`]'s campaign.
#[derive(Debug)]
pub struct Outcome {
    /// The model.
    pub model: Arc<Model>,
    /// What was found.
    pub report: Report,
}

impl Tester {
    /// A campaign with the model at a path: 25 seeds of 50 steps, one plan at a time, against nothing yet.
    pub fn new(model: impl AsRef<Path>) -> Tester {
        Tester {
            path: model.as_ref().to_owned(),
            url: String::new(),
            headers: Vec::new(),
            natives: BTreeMap::new(),
            limits: Limits::default(),
            allow_remote: false,
            plans: generate::Options::default(),
            campaign: campaign::Options::default(),
        }
    }

    /// The address of the server, on this machine unless [`Tester::allow_remote`] says otherwise.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Tester {
        self.url = url.into();
        self
    }

    /// A header that is sent with every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Tester {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Allows a server on another machine.
    #[must_use]
    pub fn allow_remote(mut self) -> Tester {
        self.allow_remote = true;
        self
    }

    /// The seeds: one plan for each.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Tester {
        self.campaign.seeds = seeds;
        self
    }

    /// The steps of each plan, after its set-up.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Tester {
        self.plans.steps = Some(steps.max(1));
        self
    }

    /// Plans at once.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Tester {
        self.campaign.jobs = jobs.max(1);
        self
    }

    /// Only rules with one of these names or tags.
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Tester {
        self.plans.only = names.into_iter().map(Into::into).collect();
        self
    }

    /// Not the rules with one of these names or tags.
    #[must_use]
    pub fn skip(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Tester {
        self.plans.skip = names.into_iter().map(Into::into).collect();
        self
    }

    /// What goes wrong between the clients and the server: `Faults::network(0.3)`, or some kinds. Those of the server's
    /// process need one that gainsay starts, which belongs to the command line.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Tester {
        self.plans.faults = faults;
        self
    }

    /// Steps that run against others: `Races { permille: 300, width: 4 }` for three of ten that change something, in four
    /// branches at most.
    #[must_use]
    pub fn races(mut self, races: Races) -> Tester {
        self.plans.races = races;
        self
    }

    /// Requests in all; when they are used up, plans are left out and the report does not hold.
    #[must_use]
    pub fn max_requests(mut self, max: u64) -> Tester {
        self.limits.max_requests = Some(max);
        self
    }

    /// Requests a second.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Tester {
        self.limits.rate = Some(rate);
        self
    }

    /// No more plans are started after this time.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Tester {
        self.campaign.time = Some(time);
        self
    }

    /// How long one request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Tester {
        self.limits.timeout = timeout;
        self
    }

    /// A function that the model's expressions can call by this name: a signature, a hash. It must be pure.
    #[must_use]
    pub fn native<F>(mut self, name: impl Into<String>, function: F) -> Tester
    where
        F: Fn(&[Value]) -> Result<Value, NativeError> + Send + Sync + 'static,
    {
        self.natives.insert(name.into(), Arc::new(function));
        self
    }

    /// Runs the campaign, on a runtime of its own: for a plain `#[test]`.
    ///
    /// # Errors
    ///
    /// [`TestError`] where it came to nothing; what fails is in the report.
    pub fn run(&self) -> Result<Outcome, TestError> {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(TestError::Runtime)?
            .block_on(self.run_async())
    }

    /// Runs the campaign on the current runtime: for a `#[tokio::test]`.
    ///
    /// # Errors
    ///
    /// As [`Tester::run`].
    pub async fn run_async(&self) -> Result<Outcome, TestError> {
        let model = Arc::new(Model::load_with(&self.path, self.natives.clone())?);
        let client = Client::new(
            &self.url,
            self.headers.clone(),
            self.limits.clone(),
            model.tolerate.clone(),
            self.allow_remote,
        )?;
        let generator = Generator::new(model.clone(), self.plans.clone());
        let runner = Runner::new(model.clone(), client, generator.start());
        let report = campaign(&generator, &runner, &self.campaign, &mut |_| {}).await?;
        Ok(Outcome { model, report })
    }
}

impl Outcome {
    /// The counterexamples as stories.
    pub fn stories(&self) -> String {
        self.report
            .counterexamples
            .iter()
            .map(|found| story(&self.model, found, Style::PLAIN))
            .collect()
    }

    /// Asserts that all plans were run and nothing failed.
    ///
    /// # Panics
    ///
    /// With the counterexamples, if something failed; with what was not run, if something was not.
    pub fn assert_held(&self) {
        let stories = self.stories();
        assert!(stories.is_empty(), "{stories}");
        assert!(
            self.report.held(),
            "only {} of {} plans were run: {}",
            self.report.plans_run,
            self.report.plans_asked,
            self.report
                .stopped_by
                .as_deref()
                .unwrap_or("some were inconclusive")
        );
    }
}

impl From<&str> for NativeError {
    fn from(message: &str) -> Self {
        NativeError(message.to_owned())
    }
}
