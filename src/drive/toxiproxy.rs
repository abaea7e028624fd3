//! Links that a Toxiproxy runs, by its HTTP API (version 2): the proxies are there already, or are made by it.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::injector::{Disturbance, Eventually, Injector, InjectorError};
use super::link::LinkConfig;
use crate::generate::LinkFault;

/// The name of the one toxic that gainsay adds to a proxy.
const TOXIC: &str = "gainsay";
/// So long Toxiproxy may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// One proxy of a Toxiproxy.
#[derive(Debug)]
pub struct Toxiproxy {
    api: Api,
    broken: Option<LinkFault>,
    lease: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Api {
    http: Client,
    /// That of the proxy: `http://127.0.0.1:8474/proxies/database`.
    url: Url,
}

impl Toxiproxy {
    /// The proxy of a name at a Toxiproxy, which is made if there is none.
    ///
    /// # Errors
    ///
    /// Where Toxiproxy does not answer, or refuses to.
    pub async fn start(
        base: &Url,
        name: &str,
        config: Option<&LinkConfig>,
    ) -> Result<Toxiproxy, InjectorError> {
        let mut url = base.clone();
        url.set_path(&format!("proxies/{name}"));
        let http = Client::builder()
            .timeout(ANSWERS_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| InjectorError(format!("cannot set up the HTTP client: {e}")))?;
        let api = Api { http, url };
        let missing = api.ask(Method::GET, "", None).await? == StatusCode::NOT_FOUND;
        match (missing, config) {
            (false, _) => {}
            (true, Some(config)) => {
                let mut all = base.clone();
                all.set_path("proxies");
                let proxy = json!({
                    "name": name,
                    "listen": config.listen.to_string(),
                    "upstream": config.upstream,
                    "enabled": true,
                });
                let status = api.send(Method::POST, all, Some(proxy)).await?;
                if !status.is_success() {
                    return Err(InjectorError(format!(
                        "Toxiproxy at {base} answered {status} when it was to make the proxy `{name}`; \
                         is its address taken?"
                    )));
                }
            }
            (true, None) => {
                return Err(InjectorError(format!(
                    "Toxiproxy at {base} has no proxy `{name}`; make one, or give the link `listen` and `upstream`"
                )));
            }
        }
        api.heal().await?;
        Ok(Toxiproxy {
            api,
            broken: None,
            lease: None,
        })
    }
}

impl Api {
    async fn ask(
        &self,
        method: Method,
        below: &str,
        body: Option<Value>,
    ) -> Result<StatusCode, InjectorError> {
        let mut url = self.url.clone();
        if !below.is_empty() {
            url.set_path(&format!("{}/{below}", self.url.path()));
        }
        self.send(method, url, body).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<StatusCode, InjectorError> {
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        match request.send().await {
            Ok(answer) => Ok(answer.status()),
            Err(error) => Err(InjectorError(format!(
                "Toxiproxy at {} does not answer ({}); is it running?",
                url.origin().ascii_serialization(),
                error.without_url()
            ))),
        }
    }

    async fn enable(&self, enabled: bool) -> Result<(), InjectorError> {
        let body = json!({ "enabled": enabled });
        self.sure(Method::POST, "", Some(body)).await
    }

    async fn poison(&self, fault: LinkFault) -> Result<(), InjectorError> {
        let (kind, stream, attributes) = match fault {
            LinkFault::Refuse => return self.enable(false).await,
            LinkFault::Cut => ("reset_peer", "downstream", json!({ "timeout": 0 })),
            LinkFault::Delay { millis } => ("latency", "downstream", json!({ "latency": millis })),
            // Kilobytes a second.
            LinkFault::Slow => ("bandwidth", "downstream", json!({ "rate": 32 })),
            LinkFault::CutAfter { bytes, answers } => (
                "limit_data",
                if answers { "downstream" } else { "upstream" },
                json!({ "bytes": bytes }),
            ),
        };
        let toxic = json!({
            "name": TOXIC, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes,
        });
        self.sure(Method::POST, "toxics", Some(toxic)).await
    }

    async fn heal(&self) -> Result<(), InjectorError> {
        let below = format!("toxics/{TOXIC}");
        self.ask(Method::DELETE, &below, None).await?;
        self.enable(true).await
    }

    async fn sure(
        &self,
        method: Method,
        below: &str,
        body: Option<Value>,
    ) -> Result<(), InjectorError> {
        let status = self.ask(method.clone(), below, body).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(InjectorError(format!(
                "Toxiproxy answered {status} to {method} {}/{below}",
                self.url.path()
            ))),
        }
    }
}

impl Injector for Toxiproxy {
    fn can(&self, what: Disturbance) -> bool {
        matches!(what, Disturbance::Link(_))
    }

    fn inject(&mut self, what: Disturbance, lease: Duration) -> Eventually<'_, ()> {
        Box::pin(async move {
            let Disturbance::Link(fault) = what else {
                return Err(InjectorError(format!("a link cannot do this: {what:?}")));
            };
            self.broken = Some(fault);
            self.api.poison(fault).await?;
            let api = self.api.clone();
            self.lease = Some(tokio::spawn(async move {
                sleep(lease).await;
                // Whoever heals it next learns what went wrong.
                let _ = api.heal().await;
            }));
            Ok(())
        })
    }

    fn heal(&mut self) -> Eventually<'_, bool> {
        Box::pin(async move {
            if let Some(lease) = self.lease.take() {
                lease.abort();
            }
            self.api.heal().await?;
            // Toxiproxy does not tell whether anything met its toxic; that it could has to do.
            Ok(self.broken.take().is_some())
        })
    }
}
