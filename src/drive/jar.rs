//! Cookie jars: for each principal of a run what the server set in his cookies, kept and sent again by the rules of
//! RFC 6265, to the target alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cookie_store::{Cookie, CookieStore};
use reqwest::Url;
use reqwest::header::HeaderValue;

use super::client::address;
use super::csrf::{self, decoded};
use super::history::Response;
use crate::model::Model;
use crate::model::value::Handle;

/// What the token of a principal is called.
pub const TOKEN: &str = "csrf";

/// So many cookies a jar holds: what RFC 6265, section 6.1, asks of every client for one domain. Of more the later ones
/// are dropped.
const MOST_COOKIES: usize = 50;

/// So many bytes a cookie has with its attributes, by the same section. A longer one is dropped.
const LONGEST_COOKIE: usize = 4096;

/// Of one answer so many cookies are looked at.
const MOST_IN_AN_ANSWER: usize = 512;

/// The jars of one run. Cheap to clone: a clone is the jars as they are now.
#[derive(Clone, Default)]
pub struct Jars {
    /// The address of the target; without one nothing is kept.
    base: Option<Url>,
    jars: BTreeMap<Handle, Arc<CookieStore>>,
    /// The latest token that an answer showed a principal.
    tokens: BTreeMap<Handle, Arc<str>>,
    /// What principals showed before a rule changed it.
    old: BTreeMap<Handle, Arc<Given>>,
    /// What principals show in the place of what the model says.
    given: BTreeMap<Handle, Arc<Given>>,
    told: Vec<Told>,
}

/// What a principal shows that was there before, in the place of what the model says.
#[derive(Clone, Default, PartialEq)]
pub struct Given {
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
}

/// A value that the server told a principal, and that is nobody else's business.
#[derive(Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose it is.
    pub whose: Handle,
    /// What it is, behind the name of whose it is: `cookie.sid`.
    pub what: String,
    /// The value.
    pub value: String,
    /// The step whose answer told it, where it was one.
    pub step: Option<u32>,
    /// The cookie's name, where that step's answer sets it with this very value.
    pub cookie: Option<String>,
}

impl Jars {
    /// Empty jars for the target at an address.
    pub fn new(base: Url) -> Jars {
        Jars {
            base: Some(base),
            ..Jars::default()
        }
    }

    /// Keeps what an answer gives a principal to keep, as his kind does: cookies, a token. `path` is that of the request,
    /// without the target's prefix.
    pub fn learn(
        &mut self,
        model: &Model,
        whose: Handle,
        step: Option<u32>,
        path: &str,
        response: &Response,
    ) {
        let Some(auth) = &model.kind(whose.kind).auth else {
            return;
        };
        if auth.jar {
            self.keep(whose, step, path, response);
        }
        let csrf = auth.csrf.as_ref();
        let token = csrf.and_then(|csrf| csrf::shown(model, csrf, response));
        if let Some(token) = token {
            self.tell_of(whose, step, TOKEN, &token);
            self.tokens.insert(whose, token.into());
        }
    }

    /// The latest token that an answer showed a principal.
    pub fn token(&self, whose: Handle) -> Option<&str> {
        self.tokens.get(&whose).map(Arc::as_ref)
    }

    /// Keeps the cookies that an answer sets for a principal. `path` is that of the request, without the target's prefix.
    pub fn keep(&mut self, whose: Handle, step: Option<u32>, path: &str, response: &Response) {
        let Some(url) = self.base.as_ref().map(|base| address(base, path)) else {
            return;
        };
        let named = response.headers.iter();
        let set = named.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, text) in set.take(MOST_IN_AN_ANSWER) {
            let Ok(cookie) = Cookie::parse(text.as_str(), &url) else {
                continue;
            };
            self.tell(whose, step, cookie.name(), cookie.value());
            let jar = Arc::make_mut(self.jars.entry(whose).or_default());
            let name = cookie.name().to_owned();
            let known = jar.iter_any().any(|known| known.name() == name);
            let kept = jar.iter_unexpired().count();
            let fits = text.len() <= LONGEST_COOKIE
                && (known || kept < MOST_COOKIES)
                && HeaderValue::from_str(cookie.value()).is_ok();
            if fits {
                // One that is refused is for another domain, or ends what is not there.
                let _ = jar.insert(cookie.into_owned(), &url);
            }
        }
    }

    /// Names and values of the cookies that a principal sends with a request: those with longer paths first (RFC 6265,
    /// section 5.4).
    pub fn cookies(&self, whose: Handle, path: &str) -> Vec<(String, String)> {
        let (Some(base), Some(jar)) = (&self.base, self.jars.get(&whose)) else {
            return Vec::new();
        };
        let mut cookies = jar.matches(&address(base, path));
        cookies.sort_by(|a, b| {
            let length = |cookie: &Cookie<'_>| cookie.path.len();
            (length(b).cmp(&length(a))).then_with(|| a.name().cmp(b.name()))
        });
        let pair = |cookie: &Cookie<'_>| (cookie.name().to_owned(), cookie.value().to_owned());
        cookies.into_iter().map(pair).collect()
    }

    /// Whether a principal has no cookies.
    pub fn is_empty(&self, whose: Handle) -> bool {
        let jar = self.jars.get(&whose);
        jar.is_none_or(|jar| jar.iter_unexpired().next().is_none())
    }

    /// Gives a principal what he shows from then on.
    pub fn give(&mut self, whose: Handle, given: Given) {
        self.tell_all(whose, &given, str::to_owned);
        self.given.insert(whose, Arc::new(given));
    }

    /// What a principal shows in the place of what the model says, if that was given.
    pub fn given(&self, whose: Handle) -> Option<&Given> {
        self.given.get(&whose).map(Arc::as_ref)
    }

    /// Notes a value that was given to a principal alone.
    pub fn tell_given(&mut self, whose: Handle, what: &str, value: &str) {
        self.tell_of(whose, None, what, value);
    }

    /// Notes everything that somebody shows, by these names.
    fn tell_all(&mut self, whose: Handle, given: &Given, called: impl Fn(&str) -> String) {
        for (name, value) in given.headers.iter().chain(&given.query) {
            let what = called(name);
            self.tell_given(whose, &what, value);
            // The scheme in front of a token is no secret.
            if let Some((_, token)) = value.split_once(' ') {
                self.tell_given(whose, &what, token);
            }
        }
    }

    /// Whether a value is known to be a principal's already.
    fn is_told(&self, whose: Handle, value: &str) -> bool {
        (self.told.iter()).any(|told| told.whose == whose && told.value == value)
    }

    fn tell_of(&mut self, whose: Handle, step: Option<u32>, what: &str, value: &str) {
        if !value.is_empty() && !self.is_told(whose, value) {
            self.told.push(Told {
                whose,
                what: what.to_owned(),
                value: value.to_owned(),
                step,
                cookie: None,
            });
        }
    }

    /// Notes what a principal showed until a rule changed it.
    pub fn retire(&mut self, whose: Handle, shown: Given) {
        self.tell_all(whose, &shown, |name| format!("old {name}"));
        self.old.insert(whose, Arc::new(shown));
    }

    /// What a principal showed before.
    pub fn old(&self, whose: Handle) -> Option<&Given> {
        self.old.get(&whose).map(Arc::as_ref)
    }

    /// What the server told principals, whether it is still in a jar or not.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    fn tell(&mut self, whose: Handle, step: Option<u32>, name: &str, value: &str) {
        if value.is_empty() || self.is_told(whose, value) {
            return;
        }
        let told = Told {
            whose,
            what: format!("cookie.{name}"),
            value: value.to_owned(),
            step,
            cookie: Some(name.to_owned()),
        };
        // A page may show it as what it stands for.
        let decoded = decoded(value);
        if decoded != value {
            self.told.push(Told {
                value: decoded.into_owned(),
                cookie: None,
                ..told.clone()
            });
        }
        self.told.push(told);
    }
}

impl fmt::Debug for Jars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jars(of {})", self.jars.len())
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Told({} of {})", self.what, self.whose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::KindId;

    fn handle(step: u32) -> Handle {
        Handle {
            kind: KindId(0),
            step,
            nth: 0,
        }
    }

    fn answer(cookies: &[&str]) -> Response {
        let header = |text: &&str| ("set-cookie".to_owned(), (*text).to_owned());
        Response {
            status: 200,
            headers: cookies.iter().map(header).collect(),
            body: Vec::new(),
            truncated: false,
        }
    }

    fn jars() -> Jars {
        Jars::new(Url::parse("http://127.0.0.1:8000/v2").expect("an address"))
    }

    fn sent(jars: &Jars, whose: Handle, path: &str) -> String {
        let pairs = jars.cookies(whose, path).into_iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    #[test]
    fn everybody_has_a_jar_of_his_own() {
        let mut jars = jars();
        let (one, other) = (handle(1), handle(2));
        jars.keep(
            one,
            Some(1),
            "/login",
            &answer(&["sid=a1; Path=/; HttpOnly"]),
        );
        jars.keep(other, Some(2), "/login", &answer(&["sid=b2; Path=/"]));
        assert_eq!(sent(&jars, one, "/notes"), "sid=a1");
        assert_eq!(sent(&jars, other, "/notes"), "sid=b2");
        jars.keep(one, Some(3), "/refresh", &answer(&["sid=a3; Path=/"]));
        assert_eq!(sent(&jars, one, "/notes"), "sid=a3");
        assert_eq!(sent(&jars, handle(3), "/notes"), "");
        assert_eq!(jars.told().len(), 3);
        assert!(!format!("{jars:?} {:?}", jars.told()).contains("a1"));
    }

    #[test]
    fn paths_domains_and_ends_are_those_of_the_rfc() {
        let mut jars = jars();
        let one = handle(1);
        let set = [
            "near=1",
            "deep=2; Path=/v2/notes",
            "all=3; Path=/",
            "foreign=4; Domain=example.com; Path=/",
            "tls=5; Secure; Path=/",
        ];
        jars.keep(one, None, "/auth/login", &answer(&set));
        assert_eq!(sent(&jars, one, "/notes/7"), "deep=2; all=3; tls=5");
        assert_eq!(sent(&jars, one, "/auth/me"), "near=1; all=3; tls=5");
        jars.keep(one, None, "/auth/me", &answer(&["all=; Path=/; Max-Age=0"]));
        assert_eq!(sent(&jars, one, "/auth/me"), "near=1; tls=5");
    }

    #[test]
    fn what_a_server_sets_is_bounded() {
        let mut jars = jars();
        let one = handle(1);
        let many: Vec<String> = (0..400).map(|n| format!("c{n}=v; Path=/")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let huge = format!("huge={}; Path=/", "x".repeat(100_000));
        jars.keep(one, None, "/", &answer(&["sid=first; Path=/", &huge]));
        jars.keep(one, None, "/", &answer(&many));
        jars.keep(one, None, "/", &answer(&["sid=second; Path=/"]));
        let kept = jars.cookies(one, "/");
        assert_eq!(kept.len(), MOST_COOKIES);
        assert!(kept.contains(&("sid".into(), "second".into())));
        assert!(!kept.iter().any(|(name, _)| name == "huge"));
    }

    #[test]
    fn what_is_encoded_is_told_as_what_it_stands_for_too() {
        let mut jars = jars();
        let set = answer(&["XSRF-TOKEN=eyJpdiI6%3D%3D; Path=/"]);
        jars.keep(handle(1), Some(4), "/", &set);
        let values: Vec<&str> = jars.told().iter().map(|told| told.value.as_str()).collect();
        assert_eq!(values, ["eyJpdiI6==", "eyJpdiI6%3D%3D"]);
    }
}
