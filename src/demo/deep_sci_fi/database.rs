//! Which database a name means, and what to say when it cannot be used: the password of its URL never shows.

use std::path::Path;

use reqwest::Url;

use super::server::ServeError;

/// The kinds that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite(Durability),
    Postgres,
}

/// How much a commit to SQLite survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The process: the database is thrown away with the server.
    Process,
    /// The machine, short of its last moments.
    Machine,
}

/// A database as sqlx wants it named.
#[derive(PartialEq, Eq)]
pub(super) struct Database {
    pub url: String,
    pub kind: Kind,
}

impl Database {
    /// From a path, or a URL of a kind that the server speaks.
    pub(super) fn named(name: &str) -> Result<Self, ServeError> {
        match name.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Ok(Self {
                url: name.to_owned(),
                kind: Kind::Postgres,
            }),
            Some(("sqlite", _)) => Ok(Self::sqlite(name.to_owned(), Durability::Machine)),
            // A colon further on belongs to a path: only `scheme://` is taken for another database's URL.
            Some((_, rest)) if rest.starts_with("//") => {
                Err(ServeError::UnsupportedDatabase { url: shown(name) })
            }
            _ => Ok(Self::sqlite(file_url(name), Durability::Machine)),
        }
    }

    /// A SQLite file that nobody needs after the server.
    pub(super) fn throwaway(file: &Path) -> Self {
        Self::sqlite(file_url(&file.to_string_lossy()), Durability::Process)
    }

    fn sqlite(mut url: String, durability: Durability) -> Self {
        if !url.contains("mode=") {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}mode=rwc");
        }
        Self {
            url,
            kind: Kind::Sqlite(durability),
        }
    }

    /// The URL for messages.
    pub(super) fn shown(&self) -> String {
        match self.kind {
            Kind::Sqlite(_) => self.url.clone(),
            Kind::Postgres => shown(&self.url),
        }
    }
}

/// Percent-encodes what would end the path of a URL.
fn file_url(path: &str) -> String {
    let path = path
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    format!("sqlite://{path}")
}

/// The URL without its password, which may also be in the query. Of one that does not come apart cleanly, as with an
/// unescaped `/` in the password, only the scheme.
fn shown(url: &str) -> String {
    let scheme = url.split(':').next().unwrap_or_default();
    let hidden = format!("{scheme}://…");
    let Ok(mut url) = Url::parse(url) else {
        return hidden;
    };
    let behind_host = [Some(url.path()), url.query(), url.fragment()];
    if behind_host.iter().flatten().any(|part| part.contains('@')) {
        return hidden;
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return hidden;
    }
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// What to do about an error of a database when the server starts.
pub(super) fn remedy(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Configuration(_) => {
            "correct the URL: `postgres://user:password@localhost:5432/name`, with `%40` for `@` in a password, `%2F` for `/` and so on"
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => {
            "is a database server running there? start it, or correct the host and the port"
        }
        sqlx::Error::Tls(_) => "gainsay connects without TLS; leave `sslmode` out",
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28000" | "28P01") => "correct the user or the password",
            Some("3D000") => "create it, as with `createdb`, or correct its name",
            Some("42501") => "the user must be allowed to create tables in it",
            Some("53300") => "the server takes no more connections; end some",
            Some("57P03") => "try again once it is up",
            Some("14") => "is its folder there, and writable?",
            // Of either kind: a unique index cannot be made.
            _ if error.is_unique_violation() => {
                "a server with planted bugs wrote to it; use another, empty one"
            }
            _ => "use another database, or none for a temporary SQLite file",
        },
        _ => "use another database, or none for a temporary SQLite file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_named_by_path_or_url() {
        let url = |name: &str| Database::named(name).unwrap().url;
        assert_eq!(url("/tmp/a.db"), "sqlite:///tmp/a.db?mode=rwc");
        assert_eq!(url("a:b?.db"), "sqlite://a:b%3F.db?mode=rwc");
        assert_eq!(url("sqlite://x.db"), "sqlite://x.db?mode=rwc");
        assert_eq!(url("sqlite://x.db?mode=ro"), "sqlite://x.db?mode=ro");
        for name in ["postgres://here/db", "postgresql://me@here:1/db?a=b"] {
            let database = Database::named(name).unwrap();
            assert_eq!(
                (database.url.as_str(), database.kind),
                (name, Kind::Postgres)
            );
        }
        let refused = Database::named("mysql://me:secret@here/db").err().unwrap();
        assert_eq!(
            refused.to_string(),
            "cannot use the database `mysql://me:***@here/db`; give the path of a SQLite file, or a URL such as \
             `postgres://user:password@localhost:5432/name`"
        );
    }

    #[test]
    fn passwords_do_not_show() {
        let cases = [
            ("postgres://me@here:1/db", "postgres://me@here:1/db"),
            (
                "postgres://me:secret@here:1/db",
                "postgres://me:***@here:1/db",
            ),
            (
                "postgres://here/db?user=me&password=secret",
                "postgres://here/db",
            ),
            ("postgres://me:secret@here:port/db", "postgres://…"),
            ("postgres://me:1/secret@here/db", "postgres://…"),
            ("postgres://me:1#secret@here/db", "postgres://…"),
            ("postgres://me:1?secret@here/db", "postgres://…"),
        ];
        for (url, expected) in cases {
            assert_eq!(shown(url), expected);
        }
    }
}
