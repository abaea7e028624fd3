//! What an error answer shows of the server's inside: stack traces, SQL, file paths. Each sign is one that no API answers
//! with on purpose.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// What an error answer shows that is none of the client's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Internal {
    /// Where in the program it failed.
    StackTrace,
    /// A statement, or what a database says of one.
    Sql,
    /// A file of the server's.
    Path,
}

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Internal::StackTrace => "a stack trace",
            Internal::Sql => "SQL, or what a database says",
            Internal::Path => "a path of its files",
        })
    }
}

/// So much of an answer is looked at.
const LOOKED_AT: usize = 256 * 1024;

/// So many characters of the evidence are shown.
const SHOWN: usize = 160;

type Signs = Vec<(Internal, Regex)>;

static SIGNS: LazyLock<Signs> = LazyLock::new(|| {
    use Internal::{Path, Sql, StackTrace};
    [
        (StackTrace, r"Traceback \(most recent call last\)"),
        (StackTrace, r#"File "[^"\n]+\.py", line \d+"#),
        (StackTrace, r"\bat [^()\n]{1,200} \([^()\s]+:\d+:\d+\)"),
        (StackTrace, r"\bat [\w$.<>]+\([\w$]+\.(?:java|kt|scala):\d+\)"),
        (StackTrace, r"\bat [^\n]{1,200}\) in [^\n]{1,200}:line \d+"),
        (StackTrace, r"goroutine \d+ \[[a-z ]+\]:"),
        (StackTrace, r"\bpanicked at \S+\.rs:\d+"),
        (StackTrace, r"\.rb:\d+:in [`']"),
        (StackTrace, r"\.php(?: on line |:)\d+"),
        (Sql, r"\bSQLSTATE\b"),
        (Sql, r"\bORA-\d{5}\b"),
        (Sql, r"\b(?:UNIQUE|FOREIGN KEY|NOT NULL|CHECK) constraint failed\b"),
        (Sql, r"violates (?:unique|foreign key|not-null|check) constraint"),
        (Sql, r"Duplicate entry '[^\n]{0,200}' for key"),
        (Sql, r"syntax error at or near"),
        (Sql, r"You have an error in your SQL syntax"),
        (Sql, r"\bno such (?:table|column): \w+"),
        (Sql, r#"(?:relation|column) \\?"[\w.]+\\?" does not exist"#),
        (Sql, r"\b(?:sqlalchemy\.exc|psycopg2?|sqlite3|pymysql|asyncpg)\.\w+"),
        (Sql, r"\bSELECT [^;]{1,400}? FROM [\w\x22.`]+"),
        (Sql, r"\bINSERT INTO [\w\x22.`]+ ?\("),
        (Sql, r"\bUPDATE [\w\x22.`]+ SET \w+ ?="),
        (Sql, r"\bDELETE FROM [\w\x22.`]+ WHERE\b"),
        (
            Path,
            r"/(?:usr|home|var|opt|srv|etc|root|app|tmp|Users|private)/[\w./@+-]+\.(?:py|rb|js|ts|mjs|go|rs|java|kt|php|cs|so|sqlite3?|db|ini|conf|ya?ml|toml|env|log|pem)\b",
        ),
        (
            Path,
            r"\b[A-Z]:(?:\\\\?[\w .@+-]+)+\.(?:py|rb|js|ts|go|rs|java|php|cs|dll|exe|db|ini|config|log)\b",
        ),
    ]
    .into_iter()
    .filter_map(|(internal, sign)| {
        // A test sees to it that each of them is a regular expression.
        Some((internal, Regex::new(sign).ok()?))
    })
    .collect()
});

/// What a text shows of the server's inside, and where.
pub(super) fn shown(text: &str) -> Option<(Internal, String)> {
    let text = &text[..text.floor_char_boundary(LOOKED_AT)];
    SIGNS.iter().find_map(|(internal, sign)| {
        let found = sign.find(text)?;
        let evidence: String = found.as_str().chars().take(SHOWN).collect();
        Some((*internal, evidence))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Internal> {
        shown(text).map(|(internal, _)| internal)
    }

    #[test]
    fn every_sign_is_a_regular_expression() {
        assert_eq!(SIGNS.len(), 25);
    }

    #[test]
    fn what_servers_say_when_they_break_is_recognised() {
        use Internal::{Path, Sql, StackTrace};
        for (text, internal) in [
            (
                "Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 3, in f",
                StackTrace,
            ),
            (
                r#"{"stack":"TypeError: x is undefined\n    at Layer.handle (/srv/api/router.js:12:5)"}"#,
                StackTrace,
            ),
            ("\tat com.acme.Shop.buy(Shop.java:42)", StackTrace),
            ("goroutine 7 [running]:\nmain.main()", StackTrace),
            ("thread 'main' panicked at src/main.rs:4:5:", StackTrace),
            ("app/models/user.rb:12:in `save'", StackTrace),
            (
                "error returned from database: UNIQUE constraint failed: users.name",
                Sql,
            ),
            (
                r#"ERROR: duplicate key value violates unique constraint "users_pkey""#,
                Sql,
            ),
            (
                "(1062, \"Duplicate entry 'ann' for key 'users.username'\")",
                Sql,
            ),
            ("SELECT id, name FROM users WHERE id = 3", Sql),
            ("no such table: presets", Sql),
            ("cannot open /var/lib/shop/user_7.db", Path),
            (r"cannot read C:\Program Files\Shop\shop.config", Path),
        ] {
            assert_eq!(of(text), Some(internal), "{text}");
        }
    }

    #[test]
    fn what_apis_say_on_purpose_is_none() {
        for text in [
            r#"{"detail":"Select a plan from the list, where each has a price"}"#,
            r#"{"error":"username taken","path":"/api/users"}"#,
            r#"{"message":"Update your profile, set a name"}"#,
            r#"{"documentation_url":"https://docs.example.com/app/errors#404"}"#,
            "The file report.py was not found",
            r#"{"detail":"delete from the list where it stands"}"#,
            "Cannot GET /home/settings",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn the_evidence_is_the_part_that_tells() {
        let (_, evidence) = shown("oh no: no such table: presets, sorry").expect("it shows");
        assert_eq!(evidence, "no such table: presets");
    }
}
